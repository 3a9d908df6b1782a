"""The pool, and the three ways to open a transaction: as the service, as a person, as a till."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import msgspec

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:  # asyncpg's classes take no parameters when the program runs
    Connection, Pool = asyncpg.Connection, asyncpg.Pool

# Plans settled for an average value go wrong on skewed data, and JIT never pays for statements of milliseconds.
SERVER_SETTINGS = {"jit": "off", "timezone": "UTC"}


async def open_pool(dsn: str, *, min_size: int = 1, max_size: int = 4, name: str = "crm") -> Pool:
    """A pool whose json/jsonb columns are plain Python values.

    Raises `OSError` or `asyncpg.PostgresError` when the server can't be reached or refuses the login.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        init=_prepare,
        server_settings=SERVER_SETTINGS | {"application_name": name},
        command_timeout=60,
    )


async def connect(dsn: str, *, name: str) -> "asyncpg.Connection[asyncpg.Record]":
    """One connection of its own, like those of a pool but without a limit on how long a statement takes."""
    conn = await asyncpg.connect(dsn, server_settings=SERVER_SETTINGS | {"application_name": name})
    await _prepare(conn)
    return conn


async def _prepare(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    for kind in ("json", "jsonb"):
        await conn.set_type_codec(kind, encoder=_to_json, decoder=msgspec.json.decode, schema="pg_catalog")


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """As the service itself: sees every cafe. For workers and jobs."""
    async with pool.acquire() as conn, conn.transaction():
        yield conn


@asynccontextmanager
async def staff_transaction(pool: Pool, user_id: UUID) -> AsyncIterator[Connection]:
    """As a person: row level security shows only the cafes that `user_cafe_access` gives this user."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL ROLE staff_role")
        await conn.execute("SELECT set_config('app.user_id', $1, true)", str(user_id))
        yield conn


@asynccontextmanager
async def till_transaction(pool: Pool, cafe_id: UUID) -> AsyncIterator[Connection]:
    """As a till: row level security shows only its own cafe, and only the tables opened to tills."""
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("SET LOCAL ROLE till_role")
        await conn.execute("SELECT set_config('app.cafe_id', $1, true)", str(cafe_id))
        yield conn
