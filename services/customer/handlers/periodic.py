"""What the customer service does by the clock."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from itertools import islice
from uuid import UUID

from services.customer.handlers import evaluating, segments
from services.customer.store import activity as activity_store
from services.customer.store import segments as segments_store
from shared import clock
from shared.database.db import Pool, transaction
from shared.jobs.by_cafe import ByCafe

# A chunk is one transaction: live visits of its guests wait that long. While the database works on one chunk and the
# disk confirms another, Python prepares the third.
GUESTS_OF_A_CHUNK = 1000
CHUNKS_AT_ONCE = 3
_due = ByCafe("customer", "customer.reevaluate_guests")
_recalculating = ByCafe("customer", "customer.recalculate_segments")
_telling = ByCafe("customer", "customer.announce_segments")


async def reevaluate_due(pool: Pool) -> int:
    """Evaluates guests whose segments may have changed by time alone; returns how many."""
    now = clock.now()

    async def one_chunk() -> int:
        return await _due.run(
            pool,
            lambda conn, aside: activity_store.take_due(conn, now, aside, GUESTS_OF_A_CHUNK),
            partial(evaluating.reevaluate_due, now=now),
            again=partial(evaluating.lock_and_reevaluate, reason="time", now=now),
        )

    async with transaction(pool) as conn:
        due = await activity_store.count_due(conn, now, _due.aside(), CHUNKS_AT_ONCE * GUESTS_OF_A_CHUNK)
    return await _side_by_side(one_chunk, math.ceil(due / GUESTS_OF_A_CHUNK))


async def recalculate(pool: Pool) -> int:
    """Evaluates the guests of one cafe whose definitions changed; returns 0 when no cafe waits.

    Only guests whose segments are not right any more are written; when a round finds a full batch of them, another
    round follows, after those of the other cafes. A cafe whose round fails is put aside for a while.
    """
    now = clock.now()
    async with transaction(pool) as conn:
        waiting = await segments_store.next_recalculation(conn, now, _recalculating.aside())
    if waiting is None:
        return 0
    async with _recalculating.alone(waiting[0]):
        await _recalculate(pool, *waiting, now)
    return 1


async def _recalculate(pool: Pool, cafe_id: UUID, requested_at: datetime, now: datetime) -> None:
    async with transaction(pool) as conn:
        guests = await evaluating.find_stale_memberships(conn, cafe_id, now=now)
    rest = iter(guests)

    async def one_chunk() -> int:
        if not (chunk := list(islice(rest, GUESTS_OF_A_CHUNK))):
            return 0
        async with transaction(pool) as conn:
            return await evaluating.lock_and_reevaluate(conn, chunk, reason="definition", now=now)

    await _side_by_side(one_chunk, CHUNKS_AT_ONCE)
    if len(guests) < evaluating.STALE_AT_ONCE:
        async with transaction(pool) as conn:
            await segments_store.end_recalculation(conn, cafe_id, requested_at, clock.now())


async def announce_segments(pool: Pool) -> int:
    """Tells which segments cafes have, after each change of that."""
    return await _telling.run(
        pool, lambda conn, aside: segments_store.untold(conn, aside, segments.CAFES_TOLD_AT_ONCE), segments.tell
    )


async def _side_by_side(one_chunk: Callable[[], Awaitable[int]], tasks: int) -> int:
    """So many tasks evaluate chunk after chunk until there is none; returns the sum of guests."""
    done = list[int]()

    async def one_after_another() -> None:
        while evaluated := await one_chunk():
            done.append(evaluated)

    ended = await asyncio.gather(*(one_after_another() for _ in range(tasks)), return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error
    return sum(done)
