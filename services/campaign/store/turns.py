"""Which cafes have something due, found by jumping through an index from one to the next: never by reading all that is
due, nor all cafes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from services.campaign.models import Place, Turn
from shared.database.db import Connection

# So many jumps through one index, from either end. Whoever is in neither end has been in the newer one before.
JUMPS: Final = 1000

RUN_SECOND: Final = "date_bin('1 second', greatest({0}due_at, {0}created_at), timestamptz '2000-01-01 00:00:00+00')"
DELIVERY_SECOND: Final = "date_bin('1 second', {0}due_at, timestamptz '2000-01-01 00:00:00+00')"
CHECK_SECOND: Final = "date_bin('1 second', {0}check_at, timestamptz '2000-01-01 00:00:00+00')"


def _jumping(name: str, table: str, second: str, waiting: str, *, newest_first: bool) -> str:
    second, order, beyond = second.format(""), "DESC" if newest_first else "ASC", "<" if newest_first else ">"
    ordered = f"ORDER BY {second} {order}, cafe_id {order} LIMIT 1"
    return f"""{name} AS (
    (
        SELECT {second} AS second, cafe_id, 1 AS jump FROM {table}
        WHERE {waiting} AND {second} <= $1 {ordered}
    )
    UNION ALL
    SELECT next.second, next.cafe_id, {name}.jump + 1
    FROM {name} CROSS JOIN LATERAL (
        SELECT {second} AS second, cafe_id FROM {table}
        WHERE {waiting} AND {second} <= $1 AND ({second}, cafe_id) {beyond} ({name}.second, {name}.cafe_id) {ordered}
    ) AS next
    WHERE {name}.jump < $2
)"""  # noqa: S608


def _due(*, newest_first: bool) -> str:
    runs = _jumping("runs", "journey_runs", RUN_SECOND, "state = 'waiting'", newest_first=newest_first)
    queued = _jumping(
        "queued", "campaign_deliveries", DELIVERY_SECOND, "delivery_status = 'queued'", newest_first=newest_first
    )
    return f"""
WITH RECURSIVE {runs}, {queued}
SELECT 'run' AS kind, second, cafe_id FROM runs UNION ALL SELECT 'delivery', second, cafe_id FROM queued
"""  # noqa: S608


def _unsettled(*, newest_first: bool) -> str:
    waiting = "check_at IS NOT NULL AND delivery_status = $3::delivery_status_enum"
    asked = _jumping("asked", "campaign_deliveries", CHECK_SECOND, waiting, newest_first=newest_first)
    return f"WITH RECURSIVE {asked} SELECT 'delivery' AS kind, second, cafe_id FROM asked"  # noqa: S608


DUE: Final = (_due(newest_first=True), _due(newest_first=False))
UNSETTLED: Final = (_unsettled(newest_first=True), _unsettled(newest_first=False))


async def due_places(conn: Connection, moment: datetime) -> list[Place]:
    """Where runs and queued messages are due, by cafe and second."""
    return await _places(conn, DUE, moment)


async def unsettled_places(conn: Connection, moment: datetime, status: str) -> list[Place]:
    """Where providers should be asked about messages in `status`, by cafe and second."""
    return await _places(conn, UNSETTLED, moment, status)


async def _places(conn: Connection, statements: Sequence[str], moment: datetime, *more: str) -> list[Place]:
    newer, older = statements
    found = {Place(**row) for row in await conn.fetch(newer, moment, JUMPS, *more)}
    if len(found) >= JUMPS:
        found |= {Place(**row) for row in await conn.fetch(older, moment, JUMPS, *more)}
    return sorted(found, key=lambda place: (place.second, place.cafe_id, place.kind))


def columns_of(turns: Sequence[Turn], places: Sequence[Place], kind: str) -> tuple[list[Any], ...]:
    """What a statement that takes by turns is given: cafes and shares, and where these cafes have `kind` due, the
    oldest first."""
    shares = {turn.cafe_id: turn.share for turn in turns}
    own = [place for place in places if place.kind == kind and place.cafe_id in shares]
    cafes = list(dict.fromkeys(place.cafe_id for place in own))
    return (
        cafes,
        [shares[cafe_id] for cafe_id in cafes],
        [place.cafe_id for place in own],
        [place.second for place in own],
    )
