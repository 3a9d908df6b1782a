"""What the customer service does with what it reads, and what it does by the clock."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from itertools import islice
from uuid import UUID

from services.customer.handlers import activity, consents, judging, rebuilding, registration, segments
from services.customer.store import activity as activity_store
from services.customer.store import segments as segments_store
from shared import clock
from shared.database.db import Pool, transaction
from shared.events.campaign import ReplyReceived
from shared.events.customer import SegmentEntered, SegmentLeft
from shared.events.feedback import FeedbackReceived
from shared.events.identity import CafeChanged
from shared.events.loyalty import PointsChanged, PointsEarned, TierChanged
from shared.events.visit import (
    ConsentRefused,
    ContactLearned,
    VisitClaimed,
    VisitCorrected,
    VisitRecorded,
    VisitVoided,
)
from shared.jobs.by_cafe import ByCafe
from shared.jobs.periodic import Job
from shared.messaging.consumer import Reactions
from shared.messaging.fetching import gather
from shared.messaging.worker import run
from shared.rebuild.rebuild import Projection
from shared.security import access
from shared.settings import settings

# A chunk is one transaction: live visits of its guests wait that long. While the database works on one chunk and the
# disk confirms another, Python prepares the third.
GUESTS_OF_A_CHUNK = 1000
CHUNKS_AT_ONCE = 3

_due = ByCafe("customer", "reassess_due")
_recalculating = ByCafe("customer", "recalculate_segments")
_telling = ByCafe("customer", "tell_segments")

REACTIONS = Reactions(
    events={
        **access.REACTIONS,
        CafeChanged: segments.on_cafe_changed,
        ContactLearned: partial(registration.on_contact_learned, keys=settings().keys),
        VisitRecorded: activity.on_visit_recorded,
        VisitClaimed: activity.on_visit_claimed,
        VisitCorrected: activity.on_visit_corrected,
        VisitVoided: activity.on_visit_voided,
        PointsEarned: activity.on_points_changed,
        PointsChanged: activity.on_points_changed,
        TierChanged: activity.on_tier_changed,
        FeedbackReceived: activity.on_feedback_received,
        ReplyReceived: consents.on_reply_received,
        ConsentRefused: consents.on_consent_refused,
    }
)

PROJECTION = Projection(
    tables=rebuilding.TABLES,
    reactions={
        VisitRecorded: activity.keep_recorded,
        VisitClaimed: activity.keep_claimed,
        VisitCorrected: activity.keep_corrected,
        VisitVoided: activity.keep_voided,
        PointsEarned: activity.keep_points,
        PointsChanged: activity.keep_points,
        TierChanged: activity.keep_tiers,
        FeedbackReceived: activity.keep_ratings,
        ReplyReceived: rebuilding.keep_replied,
        SegmentEntered: rebuilding.keep_moves,
        SegmentLeft: rebuilding.keep_moves,
    },
    begin=rebuilding.begin,
    finish=rebuilding.finish,
    after=rebuilding.judge_again,
)


async def reassess_due(pool: Pool) -> int:
    """Judges guests whose segments may have changed by time alone; returns how many."""
    now = clock.now()

    async def one_chunk() -> int:
        return await _due.run(
            pool,
            lambda conn, aside: activity_store.take_due(conn, now, aside, GUESTS_OF_A_CHUNK),
            partial(judging.reassess_due, now=now),
            again=partial(judging.lock_and_reassess, reason="time", now=now),
        )

    async with transaction(pool) as conn:
        due = await activity_store.count_due(conn, now, _due.aside(), CHUNKS_AT_ONCE * GUESTS_OF_A_CHUNK)
    return await _side_by_side(one_chunk, math.ceil(due / GUESTS_OF_A_CHUNK))


async def recalculate(pool: Pool) -> int:
    """Judges the guests of one cafe whose definitions changed; returns 0 when no cafe waits.

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
        guests = await judging.find_misjudged(conn, cafe_id, now=now)
    rest = iter(guests)

    async def one_chunk() -> int:
        if not (chunk := list(islice(rest, GUESTS_OF_A_CHUNK))):
            return 0
        async with transaction(pool) as conn:
            return await judging.lock_and_reassess(conn, chunk, reason="definition", now=now)

    await _side_by_side(one_chunk, CHUNKS_AT_ONCE)
    if len(guests) < judging.MISJUDGED_AT_ONCE:
        async with transaction(pool) as conn:
            await segments_store.end_recalculation(conn, cafe_id, requested_at, clock.now())


async def tell_segments(pool: Pool) -> int:
    """Tells which segments cafes have, after each change of that."""
    return await _telling.run(
        pool, lambda conn, aside: segments_store.untold(conn, aside, segments.CAFES_TOLD_AT_ONCE), segments.tell
    )


async def _side_by_side(one_chunk: Callable[[], Awaitable[int]], tasks: int) -> int:
    """So many tasks judge chunk after chunk until there is none; returns the sum of guests."""
    done = list[int]()

    async def one_after_another() -> None:
        while judged := await one_chunk():
            done.append(judged)

    ended = await asyncio.gather(*(one_after_another() for _ in range(tasks)), return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error
    return sum(done)


JOBS = [
    Job("reassess_due", 1.0, reassess_due),
    Job("recalculate_segments", 1.0, recalculate),
    Job("tell_segments", 1.0, tell_segments),
]

if __name__ == "__main__":
    run("customer", REACTIONS, JOBS, fetch=gather())
