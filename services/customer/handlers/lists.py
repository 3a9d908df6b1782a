"""Guests of a cafe in an order, for lists that people page through."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from services.customer.models.http import ListCustomers
from services.customer.models.values import GuestKey
from services.customer.rules import bookmarks
from services.customer.rules.birthdays import birth_dates
from services.customer.store import customers, lists, segments
from shared.database.db import Connection, Pool, plan_by_key
from shared.errors import NotFound
from shared.jobs.by_cafe import ByCafe
from shared.persian.calendar import local_date

CHANGED_AT_ONCE = 2000
_listing = ByCafe("customer", "customer.list_guests")
_filling = ByCafe("customer", "customer.list_guests")


async def list_changed(pool: Pool) -> int:
    """Brings the lists up to date with what has happened to guests; returns how many rows it took in."""
    done = await _listing.run(pool, lambda conn, aside: lists.changed(conn, aside, CHANGED_AT_ONCE), _list_changed)
    return done or await _filling.run(
        pool, lambda conn, aside: lists.of_unknown_reach(conn, aside, CHANGED_AT_ONCE), _list_again
    )


async def _list_changed(conn: Connection, changed: Sequence[lists.GuestToList]) -> int:
    await lists.taken(conn, changed)
    return await _list_again(conn, changed)


async def _list_again(conn: Connection, guests: Sequence[lists.GuestToList] | Sequence[GuestKey]) -> int:
    await plan_by_key(conn)
    await lists.list_again(conn, guests)
    return len(guests)


async def list_customers(
    conn: Connection, cafe_id: UUID, asked: ListCustomers, now: datetime
) -> tuple[list[UUID], str | None]:
    """Ids of the guests of one page, and the word for the next one; runs as the service, like every search.

    Raises:
        NotFound: no such segment.
        Rejected: status 422 for a word that is not of this list.
    """
    segment = None
    if asked.segment_id is not None:
        segment = await segments.get(conn, cafe_id, asked.segment_id)
        if segment is None:
            raise NotFound("segment", "بخش")
    until = None if asked.not_seen_for_days is None else now - timedelta(days=asked.not_seen_for_days)
    start, end = lists.ends(asked.sort, asked.order, until)
    if asked.after is not None:
        start = bookmarks.read(asked.after, asked.sort, asked.order)
    wanted = lists.GuestListQuery(
        sort=asked.sort,
        direction=asked.order,
        start=start,
        end=end,
        limit=asked.limit,
        segment_id=asked.segment_id,
        slot=segment["slot"] if segment else None,
        in_small_segment=segment is not None and segment["customer_count"] <= lists.SMALL_SEGMENT,
        tier=asked.tier,
        reachable=asked.reachable,
        last_visit_until=until,
        birthdays=await _birthdays(conn, cafe_id, asked.birthday_within_days, now),
    )
    ids, reached = await lists.find(conn, cafe_id, wanted)
    return ids, None if reached is None else bookmarks.written(asked.sort, asked.order, reached)


async def _birthdays(conn: Connection, cafe_id: UUID, days: int | None, now: datetime) -> Sequence[date] | None:
    if days is None:
        return None
    clock = await customers.clock_of(conn, cafe_id)
    today = local_date(now, clock.time_zone)
    return [born for ahead in range(days + 1) for born in birth_dates(today + timedelta(days=ahead), clock.calendar)]
