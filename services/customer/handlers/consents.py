"""What guests agree to, whoever tells it: a till, staff, or the guest by answering a message."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.customer.models.values import ConsentAnswer, GuestKey
from services.customer.store import activity
from services.customer.store import consents as store
from shared import clock
from shared.consent import TICK, counts_at
from shared.database.db import Connection
from shared.events.base import caused_by
from shared.events.campaign import ReplyReceived
from shared.events.customer import ConsentChanged
from shared.events.visit import ConsentRefused
from shared.messaging import outbox


async def on_message_reply_received(
    conn: Connection, events: Sequence[ReplyReceived], *, now: datetime | None = None
) -> None:
    """A guest who answered with the stop word no longer agrees to marketing by SMS; one who answered 12 does again."""
    said = [(event, event.rejoined) for event in events if event.opted_out or event.rejoined]
    await _keep_said(conn, said, "reply", now or clock.now())


async def on_contact_refused(
    conn: Connection, events: Sequence[ConsentRefused], *, now: datetime | None = None
) -> None:
    """A no of a till that was not told at its time."""
    await _keep_said(conn, [(event, False) for event in events], TICK, now or clock.now())


async def _keep_said(
    conn: Connection, said: Sequence[tuple[ReplyReceived | ConsentRefused, bool]], source: str, now: datetime
) -> None:
    if not said:
        return
    answers = [
        ConsentAnswer(
            GuestKey(event.cafe_id, event.customer_id), "sms", "marketing", granted, source, event.occurred_at
        )
        for event, granted in said
    ]
    await activity.lock(conn, sorted({answer.guest for answer in answers}))
    causations = {answer.guest: caused_by(event) for answer, (event, _) in zip(answers, said, strict=True)}
    await keep(conn, answers, causations, now)


async def keep(
    conn: Connection, answers: Sequence[ConsentAnswer], causations: Mapping[GuestKey, Mapping[str, Any]], now: datetime
) -> None:
    """Keeps the answers and publishes those that are in force from now on. Lock the activity rows first.

    No answer counts as given later than `now`, whatever clock dated it.

    `causations` are the ids (see `caused_by`) of what each guest's answer follows from.
    """
    if not answers:
        return
    answers = [replace(answer, occurred_at=counts_at(answer.occurred_at, now)) for answer in answers]
    events = [
        ConsentChanged(
            cafe_id=answer.guest.cafe_id,
            customer_id=answer.guest.customer_id,
            occurred_at=answer.occurred_at,
            channel=answer.channel,
            purpose=answer.purpose,
            granted=answer.granted,
            source=answer.source,
            **causations[answer.guest],
        )
        for answer in await store.keep(conn, answers, now)
    ]
    await outbox.emit(conn, events)
