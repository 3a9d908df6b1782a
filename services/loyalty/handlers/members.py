"""Who enters and leaves segments, as the customer service says. A move that comes after bills which it is before has
its guest counted again from all bills: the order of arrival decides nothing."""

from collections.abc import Sequence
from uuid import UUID

from services.loyalty.handlers.guests import plans_of
from services.loyalty.handlers.periodic import recount_guests
from services.loyalty.models.accounts import GuestKey
from services.loyalty.rules.stays import named_by
from services.loyalty.store import accounts, stays
from shared.clock import now
from shared.database.db import Connection
from shared.events.customer import SegmentEntered, SegmentLeft


async def on_segment_entered(conn: Connection, events: Sequence[SegmentEntered]) -> None:
    """Keeps from when on guests are in segments."""
    await _take_in(conn, events)


async def on_segment_left(conn: Connection, events: Sequence[SegmentLeft]) -> None:
    """Keeps until when they were."""
    await _take_in(conn, events)


async def _take_in(conn: Connection, events: Sequence[SegmentEntered | SegmentLeft]) -> None:
    await keep(conn, events)
    plans = await plans_of(conn, {each.cafe_id for each in events})
    named = {cafe_id: keys for cafe_id, plan in plans.items() if (keys := named_by(plan))}
    told = [each for each in events if each.segment_key in named.get(each.cafe_id, ())]
    since: dict[GuestKey, list[SegmentEntered | SegmentLeft]] = {}
    for each in told:
        since.setdefault((each.cafe_id, each.customer_id), []).append(each)
    if not since:
        return
    locked = await accounts.lock_existing(conn, sorted(since))
    late = [
        guest
        for guest, account in locked.items()
        if (last := account.standing.last_visit_at) and last > min(each.occurred_at for each in since[guest])
    ]
    if late:
        await recount_guests(conn, late, now())


async def keep(conn: Connection, events: Sequence[SegmentEntered | SegmentLeft]) -> list[UUID]:
    """The same where guests are counted again anyway; the cafe of each move that was not known."""
    return await stays.keep(
        conn,
        [(e.cafe_id, e.customer_id, e.segment_key, e.occurred_at, isinstance(e, SegmentEntered)) for e in events],
    )
