"""From a cafe's row to somebody who can send: which account, on whose terms, and which adapter speaks to it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

import httpx2

from services.campaign.handlers.providers.base import Account, SmsProvider
from services.campaign.handlers.providers.kavenegar import NAME as KAVENEGAR
from services.campaign.handlers.providers.kavenegar import Kavenegar
from services.campaign.models import DEAREST_SMS, AccountFault, Provider
from services.campaign.rules.deciding import first_choice, in_priority
from shared.inputs.credentials import is_credential
from shared.security.crypto import CannotUnseal, Keys, keyed_digest, seal, unseal
from shared.settings import Settings

TABLE: Final = "sms_providers"
KEY: Final = "api_key"

Adapter = Callable[[Account, httpx2.AsyncClient], SmsProvider]

# Another provider is a module beside `kavenegar`, and a line here.
ADAPTERS: Final[Mapping[str, Adapter]] = {KAVENEGAR: Kavenegar}
# A key travels to its provider and to nobody else, so addresses are not free text.
ENDPOINTS: Final[Mapping[str, str]] = {KAVENEGAR: "https://api.kavenegar.com"}


class UnusableKey(Exception):
    """The stored key can't be opened, or is none that can travel in an address."""


def on_its_terms(provider: Provider, config: Settings) -> Provider:
    """The account as messages are decided for it.

    Without a key of its own it sends by the installation's, and then line, price and the most a day are not the cafe's
    to say; its own limits may be lower.
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


def account_of(provider: Provider, config: Settings) -> Account:
    """The account that the row stands for, with its key opened.

    Raises `UnusableKey`.
    """
    if provider.api_key_sealed is None:
        assert config.sms_api_key is not None
        return Account(config.sms_endpoint, config.sms_api_key.get_secret_value(), config.sms_sender)
    try:
        key = unseal(config.keys, provider.api_key_sealed, table=TABLE, column=KEY, row=provider.id)
    except CannotUnseal:
        raise UnusableKey from None
    if not is_credential(key) or (
        provider.api_endpoint is not None
        and provider.api_endpoint not in allowed_endpoints(provider.provider_name, config)
    ):
        raise UnusableKey
    return Account(provider.api_endpoint or config.sms_endpoint, key, provider.sender_line)


def seal_key(provider_id: UUID, api_key: str, config: Settings) -> str:
    """The key as the row keeps it."""
    return seal(config.keys, api_key, table=TABLE, column=KEY, row=provider_id)


def open_provider(provider: Provider, config: Settings, client: httpx2.AsyncClient) -> SmsProvider:
    """The adapter for the row's account.

    Raises `UnusableKey`.
    """
    return ADAPTERS[provider.provider_name](account_of(provider, config), client)


def allowed_endpoints(provider_name: str, config: Settings) -> tuple[str, ...]:
    """The addresses that an account of that provider may have."""
    return ENDPOINTS[provider_name], config.sms_endpoint


def callback_token(keys: Keys, cafe_id: UUID, provider_id: UUID) -> str:
    """What a provider's callbacks for that account must carry: 32 hexadecimal digits, the same at every call."""
    return keyed_digest(keys, "provider-callback", cafe_id, provider_id.bytes)[:16].hex()
