"""Guests whom a campaign addresses become messages, and campaigns end."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from services.campaign.audience.store import segments as segments_store
from services.campaign.campaigns.rules.campaigns import CAMPAIGN_LIVES, GONE, missing_segments, segments_of
from services.campaign.campaigns.store import expanding
from services.campaign.channels.rules import local_id_of
from services.campaign.messages.models.values import CounterChange, NewDelivery
from services.campaign.messages.store import deliveries, results
from shared.clock import new_id, now
from shared.database.db import Connection, Pool
from shared.jobs.by_cafe import ByCafe

BATCH: Final = 1000
START_CAMPAIGNS: Final = "campaign.start_campaigns"
COUNT_RESULTS: Final = "campaign.count_results"
_FIRST: Final = UUID(int=0)

_starting = ByCafe("campaign", START_CAMPAIGNS)
_counting = ByCafe("campaign", COUNT_RESULTS)


async def start_campaigns(pool: Pool) -> int:
    """Job: the next 1,000 guests of an approved campaign whose date has come become messages, and the next 1,000
    messages of one that rested are due again; then it is the next campaign's turn. Returns how many.

    It goes on after the last guest queued, so a crash in the middle neither forgets nor repeats anybody.
    """
    moment = now()

    async def look(conn: Connection, aside: Sequence[UUID]) -> Sequence[asyncpg.Record]:
        return await expanding.take_unfinished(conn, moment, aside)

    async def finish(conn: Connection, rows: Sequence[asyncpg.Record]) -> int:
        await expanding.finish(conn, [(row["cafe_id"], row["id"]) for row in rows], moment)
        return 0

    async def pick(conn: Connection, aside: Sequence[UUID]) -> Sequence[asyncpg.Record]:
        return await expanding.take_due(conn, moment, aside)

    async def expand(conn: Connection, rows: Sequence[asyncpg.Record]) -> int:
        return await _expand(conn, rows[0], moment)

    async def find_resumed(conn: Connection, aside: Sequence[UUID]) -> Sequence[asyncpg.Record]:
        return await expanding.take_to_wake(conn, moment, aside)

    async def wake(conn: Connection, rows: Sequence[asyncpg.Record]) -> int:
        return await expanding.wake(conn, rows[0]["cafe_id"], rows[0]["id"], moment, BATCH)

    await _starting.run(pool, look, finish)
    woken = await _starting.run(pool, find_resumed, wake)
    return woken + await _starting.run(pool, pick, expand)


async def count_results(pool: Pool) -> int:
    """Job: the next campaign from before results were counted is counted as a whole. Returns how many."""
    moment = now()
    return await _counting.run(pool, lambda conn, aside: results.to_recount(conn, moment, aside), results.recount)


async def _expand(conn: Connection, row: asyncpg.Record, moment: datetime) -> int:
    segments = segments_of(row["target_segment"])
    if row["status"] == "scheduled" and segments:
        known = await segments_store.known_segments(conn, row["cafe_id"], segments)
        if missing_segments(segments, known):
            await expanding.fail(conn, row["cafe_id"], row["id"], GONE, moment)
            return 1
    after = row["expanded_to"] or _FIRST
    guests = await expanding.next_recipients(conn, row["cafe_id"], after, segments, BATCH)
    correlation_id = new_id()
    added = await deliveries.insert(conn, [_from_campaign(row, guest, correlation_id) for guest in guests], moment)
    await results.count(conn, [CounterChange(row["cafe_id"], row["id"], recipients=len(added))], moment)
    finished_at = moment if len(guests) < BATCH else None
    last = guests[-1] if guests else None
    await expanding.note_expanded(conn, row["cafe_id"], row["id"], last, finished_at, moment)
    return max(1, len(guests))


def _from_campaign(row: asyncpg.Record, customer_id: UUID, correlation_id: UUID) -> NewDelivery:
    delivery_id = new_id()
    return NewDelivery(
        id=delivery_id,
        cafe_id=row["cafe_id"],
        campaign_id=row["id"],
        customer_id=customer_id,
        trigger_id=row["id"],
        visit_id=None,
        local_id=local_id_of(delivery_id),
        content=row["template_content"],
        expires_at=row["scheduled_date"] + CAMPAIGN_LIVES,
        correlation_id=correlation_id,
        causation_id=None,
        channel=row["channel"],
    )
