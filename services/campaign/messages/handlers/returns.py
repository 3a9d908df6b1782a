"""Guests who come back after a campaign's message. A visit counts for every such message of the week before it."""

from collections.abc import Sequence

from services.campaign.messages.models.values import ComingBack, CounterChange
from services.campaign.messages.store import results, returns
from shared.clock import now
from shared.database.db import Connection
from shared.events.visit import VisitRecorded, VisitVoided


async def note_visits(conn: Connection, events: Sequence[VisitRecorded]) -> None:
    """Counts the guests of these visits as come back, for the messages they were sent."""
    visits = _known(events)
    if visits:
        rows = await returns.add(conn, visits)
        await results.count(
            conn,
            [CounterChange(row["cafe_id"], row["campaign_id"], returned=1) for row in rows if row["changes"]],
            now(),
        )


async def forget_visits(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Takes back what visits that never were had counted for."""
    visits = _known(events)
    if visits:
        rows = await returns.take_back(conn, visits)
        changed = [row for row in rows if row["changes"]]
        changes = [CounterChange(row["cafe_id"], row["campaign_id"], returned=-1) for row in changed]
        await results.count(conn, changes, now())


def _known(events: Sequence[VisitRecorded] | Sequence[VisitVoided]) -> list[ComingBack]:
    return [
        ComingBack(event.cafe_id, event.customer_id, event.visit_id, event.occurred_at)
        for event in events
        if event.customer_id is not None
    ]
