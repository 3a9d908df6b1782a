"""What a provider tells us by itself: how messages fared, and what guests answered."""

from collections.abc import Mapping
from uuid import UUID

from services.campaign.handlers.providers.accounts import callback_token
from services.campaign.handlers.providers.kavenegar import receipt_of
from services.campaign.handlers.settling import settle
from services.campaign.rules.settling import after_receipt
from services.campaign.rules.template import is_stop
from services.campaign.store import audience, deliveries
from services.campaign.store.audience import Consent
from shared import outbox
from shared.clock import now
from shared.crypto import Keys, phone_hash, same
from shared.db import Connection
from shared.errors import NotFound
from shared.events.campaign import ReplyReceived
from shared.persian.phone import InvalidPhone, canonical


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


async def take_reply(conn: Connection, keys: Keys, cafe_id: UUID, sender: str, text: str) -> None:
    """Takes an SMS from a guest. The stop word withdraws the consent to advertising in this very transaction."""
    try:
        number = phone_hash(keys, cafe_id, canonical(sender))
    except InvalidPhone:
        return
    guest = await deliveries.mark_replied(conn, cafe_id, number) or await audience.find_by_phone(conn, cafe_id, number)
    if guest is None:
        return
    moment, opted_out = now(), is_stop(text)
    if opted_out:
        await audience.keep_consents(
            conn, [Consent(cafe_id, guest, "sms", "marketing", granted=False, at=moment, source="sms_reply")]
        )
    reply = ReplyReceived(cafe_id=cafe_id, occurred_at=moment, customer_id=guest, opted_out=opted_out)
    await outbox.emit(conn, [reply])
