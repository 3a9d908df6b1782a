"""What a provider tells us by itself: how messages fared."""

from collections.abc import Mapping
from uuid import UUID

from services.campaign.handlers.providers.accounts import callback_token
from services.campaign.handlers.providers.kavenegar import receipt_of
from services.campaign.handlers.settling import settle
from services.campaign.rules.settling import after_receipt
from services.campaign.store import deliveries
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound
from shared.security.crypto import Keys, same


def check_token(keys: Keys, cafe_id: UUID, provider_id: UUID, token: str) -> None:
    """Nothing, when the token belongs to that account.

    Raises `NotFound` otherwise: a stranger learns nothing about which accounts there are.
    """
    if not same(callback_token(keys, cafe_id, provider_id).encode(), token.encode()):
        raise NotFound("address", "چنین نشانی")


async def take_receipts(conn: Connection, cafe_id: UUID, provider_id: UUID, codes: Mapping[str, int]) -> int:
    """Takes the provider's codes by its message ids; a repeated or late one changes nothing. Returns what changed."""
    moment = now()
    keys = await deliveries.find_by_message(conn, cafe_id, provider_id, list(codes))
    receipts = {message_id: receipt_of(code) for message_id, code in codes.items()}
    return await settle(
        conn, keys, lambda handed: after_receipt(handed, receipts[handed.provider_message_id or ""], moment), moment
    )
