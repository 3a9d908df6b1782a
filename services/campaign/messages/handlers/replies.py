"""What guests answer by SMS: stop words are obeyed at once, the rest waits for a person."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.campaign.audience.models.values import Consent
from services.campaign.audience.store import contacts
from services.campaign.messages.models.values import CounterChange, Reply, Settlement
from services.campaign.messages.rules.replies import read_reply
from services.campaign.messages.store import deliveries, replies, results
from shared.clock import new_id, now
from shared.database.db import Connection, Pool
from shared.errors import NotFound, Rejected
from shared.events.campaign import ReplyReceived
from shared.jobs.by_cafe import ByCafe
from shared.messaging import outbox
from shared.persian.phone import InvalidPhone, canonical
from shared.security.crypto import Keys, phone_hash, seal, unseal

TABLE: Final = "unclear_replies"
KEEP: Final = timedelta(days=90)
LONGEST: Final = 1000
# As the customer service says it: both keep the same row.
SOURCE: Final = "reply"
_forgetting = ByCafe("campaign", "campaign.forget_replies")


@dataclass(frozen=True)
class Read:
    """An answer in clear."""

    reply: Reply
    words: str


async def take_reply(conn: Connection, keys: Keys, cafe_id: UUID, sender: str, text: str) -> None:
    """Takes an SMS from a guest. The stop word withdraws the consent to advertising in this very transaction."""
    try:
        number = phone_hash(keys, cafe_id, canonical(sender))
    except InvalidPhone:
        return
    answered, moment = await deliveries.mark_replied(conn, cafe_id, number), now()
    if answered is not None and answered["is_first"]:
        await results.count(conn, [CounterChange(cafe_id, answered["campaign_id"], replied=1)], moment)
    guest = answered["customer_id"] if answered else await contacts.find_by_phone(conn, cafe_id, number)
    if guest is None:
        return
    meaning = read_reply(text)
    if meaning in ("stop", "rejoin"):
        await _keep(conn, cafe_id, guest, granted=meaning == "rejoin", at=moment)
    elif meaning == "unclear":
        reply_id = new_id()
        words = seal(keys, text[:LONGEST], table=TABLE, column="words", row=reply_id)
        await replies.add(conn, Reply(cafe_id, reply_id, guest, words, moment))
    said = ReplyReceived(
        cafe_id=cafe_id,
        occurred_at=moment,
        customer_id=guest,
        opted_out=meaning == "stop",
        rejoined=meaning == "rejoin",
    )
    await outbox.emit(conn, [said])


async def list_unclear(conn: Connection, cafe_id: UUID, limit: int, *, keys: Keys) -> list[Read]:
    """Answers that wait for a person, in clear, the oldest first."""
    return [Read(reply, _opened(keys, reply)) for reply in await replies.list_waiting(conn, cafe_id, limit)]


async def settle(
    conn: Connection, cafe_id: UUID, reply_id: UUID, settled_as: Settlement, by: UUID, *, keys: Keys
) -> Read:
    """Notes what a person took an answer for. A stop counts from when the guest said it.

    Raises `NotFound`, and `Rejected` (409) when somebody took it for something else.
    """
    reply = await replies.hold(conn, cafe_id, reply_id)
    if reply is None:
        raise NotFound("reply", "این پاسخ")
    if reply.settled_as not in (None, settled_as):
        raise Rejected(
            "already_settled",
            "Somebody has read this answer otherwise; record the guest's consent instead.",
            "این پاسخ پیش‌تر جور دیگری خوانده شده است؛ رضایت مهمان را جداگانه ثبت کنید.",
            status=409,
        )
    if reply.settled_as is None:
        await replies.settle(conn, cafe_id, reply_id, settled_as, by, now())
        if settled_as == "stop":
            await _keep(conn, cafe_id, reply.customer_id, granted=False, at=reply.received_at)
            said = ReplyReceived(
                cafe_id=cafe_id, occurred_at=reply.received_at, customer_id=reply.customer_id, opted_out=True
            )
            await outbox.emit(conn, [said])
    return Read(await replies.hold(conn, cafe_id, reply_id) or reply, _opened(keys, reply))


async def forget_old(pool: Pool) -> int:
    """Job: deletes guests' answers after 90 days."""
    before = now() - KEEP
    return await _forgetting.run(pool, lambda conn, aside: replies.list_old(conn, before, aside), replies.remove)


async def _keep(conn: Connection, cafe_id: UUID, guest: UUID, *, granted: bool, at: datetime) -> None:
    await contacts.keep_consents(conn, [Consent(cafe_id, guest, "sms", "marketing", granted, at, SOURCE)])


def _opened(keys: Keys, reply: Reply) -> str:
    return unseal(keys, reply.words_sealed, table=TABLE, column="words", row=reply.id)
