"""What staff do with journeys, texts, accounts and the cafe's messaging rules."""

from typing import Any
from uuid import UUID

from services.campaign.handlers.providers.accounts import allowed_endpoints, seal_key
from services.campaign.models import Provider
from services.campaign.models.bodies import ChangeJourney, WriteProvider, WriteTemplate
from services.campaign.rules.template import VARIABLES, check_template, compile_template
from services.campaign.store import campaigns, deliveries, journeys, providers
from shared.clock import new_id, now
from shared.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.settings import Settings

EVERY_VARIABLE = frozenset().union(*VARIABLES.values())


async def change_journey(conn: Connection, cafe_id: UUID, journey_id: UUID, change: ChangeJourney) -> dict[str, Any]:
    """Changes a journey and its text. Messages already queued keep the text they were queued with.

    Raises `NotFound`, and `Rejected` for a text that asks for something this journey does not know.
    """
    journey = await show_journey(conn, cafe_id, journey_id)
    moment = now()
    text, fallbacks = change.template, change.fallbacks
    if text is not None or fallbacks is not None:
        text = text or journey["template_content"]
        if fallbacks is None:
            used = compile_template(text).names
            fallbacks = {name: words for name, words in journey["template_variables"].items() if name in used}
        text = check_template(text, fallbacks, VARIABLES[journey["trigger"]])
    delay = journey["delay_minutes"] if change.delay_minutes is None else change.delay_minutes
    if delay >= (change.max_age_minutes or journey["max_age_minutes"]):
        raise _delay_too_long()
    await journeys.update_journey(
        conn, cafe_id, journey_id, change.is_active, change.delay_minutes, change.max_age_minutes, moment
    )
    await campaigns.update_text(
        conn, cafe_id, journey["campaign_id"], text, fallbacks, change.ignores_quiet_hours,
        "budget" in change.model_fields_set, change.budget, moment,
    )  # fmt: skip
    return await show_journey(conn, cafe_id, journey_id)


async def show_journey(conn: Connection, cafe_id: UUID, journey_id: UUID) -> dict[str, Any]:
    """One journey with its text and counters.

    Raises `NotFound`.
    """
    found = await journeys.list_journeys(conn, cafe_id, journey_id)
    if not found:
        raise NotFound("journey", "این مسیر پیام")
    return found[0]


async def explain_guest(conn: Connection, cafe_id: UUID, customer_id: UUID, limit: int) -> dict[str, Any]:
    """Why a guest got what they got, and why not: their ways through journeys, their messages, every decision."""
    return {
        "runs": await journeys.runs_of_guest(conn, cafe_id, customer_id, limit),
        "messages": await deliveries.of_guest(conn, cafe_id, customer_id, limit),
    }


async def add_template(conn: Connection, cafe_id: UUID, body: WriteTemplate) -> UUID:
    """Adds a text to the library.

    Raises `Rejected` for a text with a variable that no message knows.
    """
    template_id, content = new_id(), check_template(body.content, body.variables, EVERY_VARIABLE)
    await campaigns.insert_template(
        conn, cafe_id, template_id, body.name, body.template_type, content, body.variables, body.category, now()
    )
    return template_id


async def replace_template(conn: Connection, cafe_id: UUID, template_id: UUID, body: WriteTemplate) -> None:
    """Replaces a text of the cafe's own.

    Raises `NotFound` (also for the system's texts), and `Rejected` as `add_template`.
    """
    content = check_template(body.content, body.variables, EVERY_VARIABLE)
    if not await campaigns.update_template(
        conn, cafe_id, template_id, body.name, body.template_type, content, body.variables, body.category
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

    Raises `Rejected` for an address that is not that provider's.
    """
    provider = _provider(config, cafe_id, new_id(), body)
    await providers.insert(conn, provider, now())
    return provider.id


async def replace_provider(
    conn: Connection, config: Settings, cafe_id: UUID, provider_id: UUID, body: WriteProvider
) -> None:
    """Replaces all of an account but its provider, and its key when one is given.

    Raises `NotFound`, and `Rejected` as `add_provider`.
    """
    provider = _provider(config, cafe_id, provider_id, body)
    if not await providers.update(conn, provider):
        raise NotFound("provider", "این ارائه‌دهنده")


def _provider(config: Settings, cafe_id: UUID, provider_id: UUID, body: WriteProvider) -> Provider:
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
        cost_per_sms=body.cost_per_sms,
        is_active=body.is_active,
        priority_order=body.priority_order,
        daily_limit=body.daily_limit,
        monthly_limit=body.monthly_limit,
    )


def _foreign_endpoint() -> Rejected:
    problem = Problem(
        "api_endpoint",
        "foreign_endpoint",
        "This is not an address of that provider.",
        "این نشانی از آن ارائه‌دهنده نیست.",
    )
    return Rejected("invalid_input", "Some fields are not right.", "برخی فیلدها درست نیستند.", problems=[problem])


def _delay_too_long() -> Rejected:
    problem = Problem(
        "delay_minutes",
        "delay_too_long",
        "The delay must be shorter than max_age_minutes, or nothing would ever be sent.",
        "تأخیر باید از بیشترین سن رویداد کوتاه‌تر باشد؛ وگرنه پیامی فرستاده نمی‌شود.",
    )
    return Rejected("invalid_input", "Some fields are not right.", "برخی فیلدها درست نیستند.", problems=[problem])
