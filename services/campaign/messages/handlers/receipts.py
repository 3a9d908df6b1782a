"""What a provider tells us by itself: how messages fared."""

from collections.abc import Mapping
from uuid import UUID

from services.campaign.channels.registry import RECEIPTS
from services.campaign.messages.handlers.settling import settle
from services.campaign.messages.rules.settling import after_receipt
from services.campaign.messages.store import deliveries
from shared.clock import now
from shared.database.db import Connection


async def take_receipts(conn: Connection, cafe_id: UUID, provider_id: UUID, codes: Mapping[str, int]) -> int:
    """Takes the provider's codes by its message ids; a repeated or late one changes nothing. Returns what changed."""
    moment = now()
    keys = await deliveries.find_by_message(conn, cafe_id, provider_id, list(codes))
    receipts = {message_id: RECEIPTS["kavenegar"](code) for message_id, code in codes.items()}
    return await settle(
        conn, keys, lambda handed: after_receipt(handed, receipts[handed.provider_message_id or ""], moment), moment
    )
