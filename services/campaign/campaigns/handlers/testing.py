"""A campaign's message to a number of whoever asks, to see it on a phone: by the same way as all others, and paid like
them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from services.campaign.campaigns.handlers import campaigns
from services.campaign.campaigns.store import trail
from services.campaign.channels.rules import local_id_of
from services.campaign.messages.models.values import DELIVERIES, TRIES_A_DAY, NewDelivery
from services.campaign.messages.store import deliveries
from services.campaign.texts.rules.wording import check_text
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import Rejected
from shared.security.crypto import seal
from shared.security.ids import customer_id
from shared.settings import Settings

LIVES: Final = timedelta(minutes=15)


@dataclass(frozen=True)
class Try:
    """What was let pass, to be queued."""

    message: NewDelivery
    phone_sealed: str
    at: datetime


async def allow(
    conn: Connection, config: Settings, cafe_id: UUID, campaign_id: UUID, by: UUID, phone: str
) -> Try:  # fmt: skip
    """Notes in the campaign's trail that somebody tries it, without the number.

    Raises `NotFound`, and `Rejected`: 409 for a campaign that has ended or is a journey's, 422 for one without a right
    text, 429 when the cafe has tried often enough today.
    """
    campaign, moment = await campaigns.show_unended(conn, cafe_id, campaign_id), now()
    check_text(campaign["template_content"], campaign["template_variables"], campaigns.KNOWN)
    if await trail.tried_since(conn, cafe_id, moment - timedelta(days=1)) >= TRIES_A_DAY:
        raise Rejected(
            "too_many_tries",
            f"A cafe tries its campaigns {TRIES_A_DAY} times a day at most.",
            f"هر کافه در روز حداکثر {TRIES_A_DAY} پیام آزمایشی می‌فرستد.",
            status=429,
            retry_after=3600,
        )
    message = _message(config, cafe_id, campaign, phone, moment)
    detail: dict[str, Any] = {"delivery_id": str(message.id)}
    await trail.note(conn, campaign, cafe_id, "tried", by, moment, detail=detail)
    sealed = seal(config.keys, phone, table=DELIVERIES, column="recipient_phone", row=message.id)
    return Try(message, sealed, moment)


async def queue(conn: Connection, allowed: Try) -> None:
    """Lets the message be sent with the next round."""
    await deliveries.insert_test(conn, allowed.message, allowed.phone_sealed, allowed.at)


def _message(config: Settings, cafe_id: UUID, campaign: dict[str, Any], phone: str, moment: datetime) -> NewDelivery:
    delivery_id = new_id()
    return NewDelivery(
        id=delivery_id,
        cafe_id=cafe_id,
        campaign_id=campaign["id"],
        # Whose number it is, should it be a guest's: what is kept of it goes with the guest.
        customer_id=customer_id(config.keys, cafe_id, phone),
        trigger_id=delivery_id,
        visit_id=None,
        local_id=local_id_of(delivery_id),
        content=campaign["template_content"],
        expires_at=moment + LIVES,
        correlation_id=new_id(),
        causation_id=None,
        channel=campaign["campaign_type"],
    )
