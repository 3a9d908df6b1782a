"""What staff do with the library of texts and accounts at providers, and why a guest got what they got."""

from typing import Any
from uuid import UUID

from services.campaign.handlers.campaigns import require_channel
from services.campaign.handlers.providers.accounts import allowed_endpoints, seal_key
from services.campaign.models import Provider
from services.campaign.models.bodies import WriteProvider, WriteTemplate
from services.campaign.rules import beginnings
from services.campaign.rules.pace import stay_id
from services.campaign.rules.template import EVERY_VARIABLE
from services.campaign.rules.wording import Wording, check_text, warnings_of
from services.campaign.store import campaigns, deliveries, journeys, providers
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.settings import Settings

# Each is locked and looked at whenever the cafe has something to send.
MOST_ACCOUNTS = 20
TERMS = ("api_endpoint", "sender_line", "cost_per_sms")


async def explain_guest(conn: Connection, cafe_id: UUID, customer_id: UUID, limit: int) -> dict[str, Any]:
    """Why a guest got what they got, and why not: their ways through journeys, those that did not begin, their
    messages, every decision."""
    return {
        "runs": [
            run | beginnings.of_run(run["reason"])
            for run in await journeys.runs_of_guest(conn, cafe_id, customer_id, limit)
        ],
        "not_begun": await _not_begun(conn, cafe_id, customer_id),
        "messages": await deliveries.of_guest(conn, cafe_id, customer_id, limit),
    }


async def _not_begun(conn: Connection, cafe_id: UUID, customer_id: UUID) -> list[dict[str, Any]]:
    stays = await journeys.stays_of_guest(conn, cafe_id, customer_id)
    # Earlier versions began a journey once for the segment itself.
    triggers = [(stay_id(stay["segment_id"], stay["entered_at"]), stay["segment_id"]) for stay in stays]
    wanted = [(stay["journey_id"], trigger) for stay, both in zip(stays, triggers, strict=True) for trigger in both]
    begun = {journey_id for journey_id, _ in await journeys.find_runs(conn, cafe_id, customer_id, wanted)}
    shown = ("journey_key", "segment_key", "entered_at")
    reasons = [stay["reason"] or "unknown" for stay in stays]
    return [
        {name: stay[name] for name in shown} | {"reason": reason} | beginnings.not_begun(reason)
        for stay, reason in zip(stays, reasons, strict=True)
        if stay["journey_id"] not in begun
    ]


async def list_templates(conn: Connection, cafe_id: UUID) -> list[dict[str, Any]]:
    """The cafe's library of texts, each with what is odd about it."""
    return [
        row | {"warnings": warnings_of(row["content"], row["variables"], EVERY_VARIABLE)}
        for row in await campaigns.list_templates(conn, cafe_id)
    ]


def _checked(body: WriteTemplate) -> Wording:
    require_channel(body.template_type)
    return check_text(body.content, body.variables, EVERY_VARIABLE, ("content", "variables"))


async def add_template(conn: Connection, cafe_id: UUID, body: WriteTemplate) -> UUID:
    """Adds a text to the library.

    Raises `Rejected` for a channel that nothing sends on yet, and a text with a variable that no message knows or that
    may be missing without a fallback.
    """
    template_id, text = new_id(), _checked(body)
    await campaigns.insert_template(
        conn, cafe_id, template_id, body.name, body.template_type, text.content, text.fallbacks, body.category, now()
    )
    return template_id


async def replace_template(conn: Connection, cafe_id: UUID, template_id: UUID, body: WriteTemplate) -> None:
    """Replaces a text of the cafe's own.

    Raises `NotFound` (also for the system's texts), and `Rejected` as `add_template`.
    """
    text = _checked(body)
    if not await campaigns.update_template(
        conn, cafe_id, template_id, body.name, body.template_type, text.content, text.fallbacks, body.category
    ):
        raise NotFound("template", "این متن")


async def remove_template(conn: Connection, cafe_id: UUID, template_id: UUID) -> None:
    """Removes a text of the cafe's own.

    Raises `NotFound` (also for the system's texts).
    """
    if not await campaigns.delete_template(conn, cafe_id, template_id):
        raise NotFound("template", "این متن")


async def add_provider(conn: Connection, config: Settings, cafe_id: UUID, body: WriteProvider) -> UUID:
    """Adds an account.

    Raises `Rejected` for an address that is not that provider's, for terms that are the installation's to say, and
    (409) for more accounts than anybody needs.
    """
    if len(await providers.of_cafe(conn, cafe_id)) >= MOST_ACCOUNTS:
        raise _too_many_accounts()
    provider = _provider(config, cafe_id, new_id(), body, own_key=body.api_key is not None)
    await providers.insert(conn, provider, now())
    return provider.id


async def replace_provider(
    conn: Connection, config: Settings, cafe_id: UUID, provider_id: UUID, body: WriteProvider
) -> None:
    """Replaces all of an account but its provider, and its key when one is given.

    Raises `NotFound`, and `Rejected` as `add_provider`.
    """
    known = {each.id: each for each in await providers.of_cafe(conn, cafe_id)}
    if provider_id not in known:
        raise NotFound("provider", "این ارائه‌دهنده")
    own_key = body.api_key is not None or known[provider_id].api_key_sealed is not None
    provider = _provider(config, cafe_id, provider_id, body, own_key=own_key)
    if not await providers.update(conn, provider):
        raise NotFound("provider", "این ارائه‌دهنده")


def _provider(config: Settings, cafe_id: UUID, provider_id: UUID, body: WriteProvider, *, own_key: bool) -> Provider:
    if own_key and body.cost_per_sms is None:
        raise _wrong(_needed("cost_per_sms"))
    if not own_key and (given := [name for name in TERMS if getattr(body, name) is not None]):
        raise _wrong(*map(_not_yours, given))
    if body.api_endpoint is not None and body.api_endpoint not in allowed_endpoints(body.provider_name, config):
        raise _foreign_endpoint()
    key = body.api_key.get_secret_value() if body.api_key else None
    return Provider(
        id=provider_id,
        cafe_id=cafe_id,
        provider_name=body.provider_name,
        api_endpoint=body.api_endpoint,
        api_key_sealed=seal_key(provider_id, key, config) if key else None,
        sender_line=body.sender_line,
        cost_per_sms=config.sms_price if body.cost_per_sms is None else body.cost_per_sms,
        is_active=body.is_active,
        priority_order=body.priority_order,
        daily_limit=body.daily_limit,
        monthly_limit=body.monthly_limit,
    )


def _wrong(*problems: Problem) -> Rejected:
    return Rejected("invalid_input", "Some fields are not right.", "برخی فیلدها درست نیستند.", problems=problems)


def _foreign_endpoint() -> Rejected:
    return _wrong(
        Problem(
            "api_endpoint",
            "foreign_endpoint",
            "This is not an address of that provider.",
            "این نشانی از آن ارائه‌دهنده نیست.",
        )
    )


def _needed(field: str) -> Problem:
    return Problem(
        field, "missing", "An account with a key of its own needs it.", "برای حسابی که کلید خود را دارد لازم است."
    )


def _not_yours(field: str) -> Problem:
    return Problem(
        field,
        "of_the_installation",
        "Without a key of its own the account sends on the installation's terms; leave this out, or give a key.",
        "حساب بدون کلید با شرایط سامانه می‌فرستد؛ این فیلد را بردارید یا کلید بدهید.",
    )


def _too_many_accounts() -> Rejected:
    return Rejected(
        "too_many_accounts",
        f"A cafe has at most {MOST_ACCOUNTS} accounts; change one of them.",
        f"هر کافه حداکثر {MOST_ACCOUNTS} حساب دارد؛ یکی از آن‌ها را تغییر دهید.",
        status=409,
    )
