"""From a cafe's row to somebody who can send: which account, and which adapter speaks to it."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

import httpx2

from services.campaign.handlers.providers.base import Account, SmsProvider
from services.campaign.handlers.providers.kavenegar import NAME as KAVENEGAR
from services.campaign.handlers.providers.kavenegar import Kavenegar
from services.campaign.models import Provider
from shared.crypto import Keys, keyed_digest, seal, unseal
from shared.settings import Settings

TABLE: Final = "sms_providers"
KEY: Final = "api_key"

Adapter = Callable[[Account, httpx2.AsyncClient], SmsProvider]

# Another provider is a module beside `kavenegar`, and a line here.
ADAPTERS: Final[Mapping[str, Adapter]] = {KAVENEGAR: Kavenegar}
# A key travels to its provider and to nobody else, so addresses are not free text.
ENDPOINTS: Final[Mapping[str, str]] = {KAVENEGAR: "https://api.kavenegar.com"}


def has_account(provider: Provider, config: Settings) -> bool:
    """Whether the row can send: with a key of its own, or with the installation's account."""
    return provider.provider_name in ADAPTERS and (
        provider.api_key_sealed is not None or config.sms_api_key is not None
    )


def account_of(provider: Provider, config: Settings) -> Account:
    """The account that the row stands for, with its key opened.

    Raises `shared.crypto.CannotUnseal`.
    """
    endpoint = provider.api_endpoint or config.sms_endpoint
    if provider.api_key_sealed is not None:
        key = unseal(config.keys, provider.api_key_sealed, table=TABLE, column=KEY, row=provider.id)
        return Account(endpoint, key, provider.sender_line)
    assert config.sms_api_key is not None
    return Account(
        config.sms_endpoint, config.sms_api_key.get_secret_value(), provider.sender_line or config.sms_sender
    )


def seal_key(provider_id: UUID, api_key: str, config: Settings) -> str:
    """The key as the row keeps it."""
    return seal(config.keys, api_key, table=TABLE, column=KEY, row=provider_id)


def open_provider(provider: Provider, config: Settings, client: httpx2.AsyncClient) -> SmsProvider:
    """The adapter for the row's account."""
    return ADAPTERS[provider.provider_name](account_of(provider, config), client)


def allowed_endpoints(provider_name: str, config: Settings) -> tuple[str, ...]:
    """The addresses that an account of that provider may have."""
    return ENDPOINTS[provider_name], config.sms_endpoint


def callback_token(keys: Keys, cafe_id: UUID, provider_id: UUID) -> str:
    """What a provider's callbacks for that account must carry: 32 hexadecimal digits, the same at every call."""
    return keyed_digest(keys, "provider-callback", cafe_id, provider_id.bytes)[:16].hex()
