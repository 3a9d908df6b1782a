"""What a provider tells us by itself: how messages fared."""

from collections.abc import Mapping
from uuid import UUID

from services.campaign.channels.models.values import DeliveryReceipt
from services.campaign.messages.handlers.settling import settle
from services.campaign.messages.rules.settling import after_receipt
from services.campaign.messages.store import deliveries
from shared.clock import now
from shared.database.db import Connection


async def take_receipts(
    conn: Connection, cafe_id: UUID, provider_id: UUID, receipts: Mapping[str, DeliveryReceipt]
) -> int:
    """Takes receipts by the provider's message ids; a repeated or late one changes nothing. Returns what changed."""
    moment = now()
    keys = await deliveries.find_by_message(conn, cafe_id, provider_id, list(receipts))
    return await settle(
        conn, keys, lambda handed: after_receipt(handed, receipts[handed.provider_message_id or ""], moment), moment
    )
