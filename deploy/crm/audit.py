"""Asks every database whether the system's invariants hold. It only reads."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from deploy.crm import walls
from deploy.crm.invariants import BOOKS, PAIRS, RULES, Pair, Rule
from services.loyalty.store import audit as loyalty
from shared.database.db import SERVER_SETTINGS, Connection
from shared.messaging import parked
from shared.services import WITH_DATABASE
from shared.settings import Settings

# What one service knows, another may learn a moment later; a breach that is still there after this long is one.
SECOND_LOOK_SECONDS = 10.0
# A broken system breaks everywhere: so many of one kind tell enough.
MOST_OF_A_KIND = 1000
PREFETCH = 2000

Connections = Mapping[str, Connection]


@dataclass(frozen=True)
class Breach:
    """An invariant that does not hold: whose database says so, for whom, and what was found instead. Holds nothing
    personal; a difference between two services names both."""

    invariant: str
    services: str
    cafe_id: UUID | None
    id: str
    found: str


async def audit(
    config: Settings, cafe_id: UUID | None = None, *, second_look_seconds: float = SECOND_LOOK_SECONDS
) -> list[Breach]:
    """Every breach, of one cafe or of all, that is found twice, `second_look_seconds` apart.

    Raises `OSError` or `asyncpg.PostgresError` when a database can't be asked.
    """
    async with opened(config) as connections:
        first = await look(connections, cafe_id)
    if not first:
        return []
    await asyncio.sleep(second_look_seconds)
    async with opened(config) as connections:
        still = set(await look(connections, cafe_id))
    return [breach for breach in first if breach in still]


async def look(connections: Connections, cafe_id: UUID | None = None) -> list[Breach]:
    """What each database says at one moment of its own; a difference between two may be an event under way."""
    found = [breach for rule in RULES for breach in await _ask(connections[rule.service], rule, cafe_id)]
    found += await _books(connections["loyalty"], cafe_id)
    for pair in PAIRS:
        found += [breach async for breach in _differences(connections, pair, cafe_id)]
    for service, connection in connections.items():
        found += [Breach("walls_stand", service, None, "", fault) for fault in await walls.faults(connection)]
    return found


async def count_parked(connections: Connections) -> dict[str, int]:
    """Records that wait for a person, by service: no breach, but somebody should look."""
    return {service: await parked.count_waiting(connection) for service, connection in connections.items()}


@asynccontextmanager
async def opened(config: Settings) -> AsyncIterator[Connections]:
    """A connection to each service's database, as the service, which can only read."""
    async with AsyncExitStack() as stack:
        connections: dict[str, Connection] = {}
        for service in WITH_DATABASE:
            connection = await asyncpg.connect(
                config.dsn(service), server_settings=SERVER_SETTINGS | {"application_name": "crm audit"}
            )
            stack.push_async_callback(connection.close)
            await stack.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
            connections[service] = connection
        yield connections


async def _ask(connection: Connection, rule: Rule, cafe_id: UUID | None) -> list[Breach]:
    rows = await connection.fetch(f"{rule.sql} LIMIT {MOST_OF_A_KIND}", cafe_id)
    return [Breach(rule.name, rule.service, row["cafe_id"], row["id"], row["found"]) for row in rows]


async def _books(connection: Connection, cafe_id: UUID | None) -> list[Breach]:
    return [
        Breach(
            BOOKS.get(row["breach"], row["breach"]), "loyalty", row["cafe_id"], str(row["customer_id"]),
            f"{row['actual']}, must be {row['expected']}",
        )
        for row in await loyalty.audit(connection, MOST_OF_A_KIND)
        if cafe_id in (None, row["cafe_id"])
    ]  # fmt: skip


async def _differences(connections: Connections, pair: Pair, cafe_id: UUID | None) -> AsyncIterator[Breach]:
    """Walks through both sides at once, so that neither has to fit into memory."""
    (left, left_sql), (right, right_sql) = pair.left, pair.right
    count = 0
    ours = connections[left].cursor(left_sql, cafe_id, prefetch=PREFETCH)
    theirs = connections[right].cursor(right_sql, cafe_id, prefetch=PREFETCH)
    async for mine, other in merge(ours, theirs):
        found = _compare(pair, mine, other)
        row = mine if mine is not None else other
        if found and row is not None:
            yield Breach(pair.name, f"{left}, {right}", row[0], str(row[1]), found)
            count += 1
        if count == MOST_OF_A_KIND:
            return


def _compare(pair: Pair, left: Any, right: Any) -> str:
    """What differs, or nothing."""
    if left is None or right is None:
        known = left if right is None else right
        if (left is None and pair.left_only) or (pair.unless and known[pair.unless]):
            return ""
        return f"{pair.right[0]} does not know it" if right is None else f"{pair.left[0]} does not know it"
    facts = zip(pair.facts, tuple(left)[2:], tuple(right)[2:], strict=True)
    return "; ".join(
        f"{name} is {theirs}, must be {ours}" for name, ours, theirs in facts if ours not in (None, theirs)
    )


async def merge(left: Any, right: Any) -> AsyncIterator[tuple[Any, Any]]:
    """Pairs of rows with the same first two columns, None where one side has none. Both come sorted by these two."""
    lefts, rights = aiter(left), aiter(right)
    one, two = await anext(lefts, None), await anext(rights, None)
    while one is not None or two is not None:
        order = _order(one, two)
        yield (one if order <= 0 else None), (two if order >= 0 else None)
        if order <= 0:
            one = await anext(lefts, None)
        if order >= 0:
            two = await anext(rights, None)


def _order(one: Any, two: Any) -> int:
    if one is None or two is None:
        return 1 if one is None else -1
    mine, other = (one[0], one[1]), (two[0], two[1])
    return (mine > other) - (mine < other)
