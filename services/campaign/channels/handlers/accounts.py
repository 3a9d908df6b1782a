"""From a cafe's row to somebody who can send: which account, on whose terms, and which adapter speaks to it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import httpx2

from services.campaign.channels import store as channels_store
from services.campaign.channels.models.http import WriteProvider
from services.campaign.channels.models.values import DEAREST_SMS, AccountFault, AccountsOfCafes, Credentials, Provider
from services.campaign.channels.protocol import Adapter
from services.campaign.channels.registry import ADAPTERS, OF_INSTALLATION
from services.campaign.channels.rules import first_choice, in_priority
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.inputs.credentials import is_credential
from shared.security.crypto import CannotUnseal, Keys, keyed_digest, same, seal, unseal
from shared.settings import Settings

TABLE: Final = "sms_providers"
KEY: Final = "api_key"
# Each is locked and looked at whenever the cafe has something to send.
MOST_ACCOUNTS = 20
TERMS = ("api_endpoint", "sender_line", "cost_per_sms")
# Rial for one Persian part, until the provider's own answers say better.
DEFAULT_COST_PER_SMS: Final = Decimal(1390)


class UnusableKey(Exception):
    """The stored key can't be opened, or is none that can travel in an address."""


def on_its_terms(provider: Provider, config: Settings) -> Provider:
    """The account with the terms by which messages are decided about.

    Without a key of its own it sends by the installation's account. Then line, price and the most a day are the
    installation's to say; the cafe's own limits may be lower.
    """
    if provider.api_key_sealed is None:
        provider = replace(
            provider,
            api_endpoint=None,
            sender_line=config.sms_sender,
            cost_per_sms=config.sms_price,
            daily_limit=_lower(provider.daily_limit, config.sms_lent_daily),
        )
    return replace(provider, fault=_fault(provider, config))


def account_to_send_by(accounts: Sequence[Provider], config: Settings, moment: datetime) -> Provider | None:
    """The account that would send now, on its terms; where none could, the first that is meant to."""
    on_terms = [on_its_terms(each, config) for each in accounts]
    return first_choice(on_terms, moment) or next(iter(in_priority(on_terms)), None)


def _fault(provider: Provider, config: Settings) -> AccountFault | None:
    if provider.provider_name not in ADAPTERS:
        return "no_account"
    if provider.api_key_sealed is None and config.sms_api_key is None:
        return "no_account"
    if provider.api_key_sealed is None and config.sms_lent_daily == 0:
        return "not_lent"
    return "price_too_high" if provider.cost_per_sms > DEAREST_SMS else None


def _lower(own: int | None, installation: int | None) -> int | None:
    return min((limit for limit in (own, installation) if limit is not None), default=None)


def account_of(provider: Provider, config: Settings) -> Credentials:
    """The account that the row stands for, with its key opened.

    Raises `UnusableKey`.
    """
    if provider.api_key_sealed is None:
        assert config.sms_api_key is not None
        return Credentials(config.sms_endpoint, config.sms_api_key.get_secret_value(), config.sms_sender)
    try:
        key = unseal(config.keys, provider.api_key_sealed, table=TABLE, column=KEY, row=provider.id)
    except CannotUnseal:
        raise UnusableKey from None
    if not is_credential(key) or (
        provider.api_endpoint is not None
        and provider.api_endpoint not in allowed_endpoints(provider.provider_name, config)
    ):
        raise UnusableKey
    return Credentials(provider.api_endpoint or config.sms_endpoint, key, provider.sender_line)


def seal_key(provider_id: UUID, api_key: str, config: Settings) -> str:
    """The key as the row keeps it."""
    return seal(config.keys, api_key, table=TABLE, column=KEY, row=provider_id)


def open_provider(provider: Provider, config: Settings, client: httpx2.AsyncClient) -> Adapter:
    """The adapter for the row's account.

    Raises `UnusableKey`.
    """
    return ADAPTERS[provider.provider_name](account_of(provider, config), client)


def allowed_endpoints(provider_name: str, config: Settings) -> tuple[str, ...]:
    """The addresses that an account of that provider may have."""
    return ADAPTERS[provider_name].endpoint, config.sms_endpoint


def callback_token(keys: Keys, cafe_id: UUID, provider_id: UUID) -> str:
    """What a provider's callbacks for that account must carry: 32 hexadecimal digits, the same at every call."""
    return keyed_digest(keys, "provider-callback", cafe_id, provider_id.bytes)[:16].hex()


async def lock_accounts(conn: Connection, config: Settings, cafe_ids: Sequence[UUID]) -> AccountsOfCafes:
    """The cafes' accounts on the terms that messages are decided by, locked until the transaction ends: whoever decides
    for these cafes waits."""
    found = await channels_store.lock_providers(conn, cafe_ids)
    return {cafe_id: [on_its_terms(each, config) for each in rows] for cafe_id, rows in found.items()}


def check_token(keys: Keys, cafe_id: UUID, provider_id: UUID, token: str) -> None:
    """Does nothing when the token belongs to that account.

    Raises `NotFound` otherwise: a stranger learns nothing about which accounts there are.
    """
    if not same(callback_token(keys, cafe_id, provider_id).encode(), token.encode()):
        raise NotFound("address", "چنین نشانی")


def installation_account(cafe_id: UUID) -> Provider:
    return Provider(
        id=new_id(),
        cafe_id=cafe_id,
        provider_name=OF_INSTALLATION.name,
        api_endpoint=None,
        api_key_sealed=None,
        sender_line=None,
        cost_per_sms=DEFAULT_COST_PER_SMS,
        is_active=True,
        priority_order=100,
        daily_limit=None,
        monthly_limit=None,
    )


async def add_provider(conn: Connection, config: Settings, cafe_id: UUID, body: WriteProvider) -> UUID:
    """Adds an account.

    Raises `Rejected` for an address that is not that provider's, for terms that are the installation's to say, and
    (409) for more accounts than anybody needs.
    """
    if len(await channels_store.of_cafe(conn, cafe_id)) >= MOST_ACCOUNTS:
        raise _too_many_accounts()
    provider = _provider(config, cafe_id, new_id(), body, own_key=body.api_key is not None)
    await channels_store.insert(conn, provider, now())
    return provider.id


async def replace_provider(
    conn: Connection, config: Settings, cafe_id: UUID, provider_id: UUID, body: WriteProvider
) -> None:
    """Replaces all of an account but its provider, and its key when one is given.

    Raises `NotFound`, and `Rejected` as `add_provider`.
    """
    known = {each.id: each for each in await channels_store.of_cafe(conn, cafe_id)}
    if provider_id not in known:
        raise NotFound("provider", "این ارائه‌دهنده")
    own_key = body.api_key is not None or known[provider_id].api_key_sealed is not None
    provider = _provider(config, cafe_id, provider_id, body, own_key=own_key)
    if not await channels_store.update(conn, provider):
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
