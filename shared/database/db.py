"""The pool, and the three ways to open a transaction: as the service, as a person, as a till."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import msgspec

from shared.clock import moved_by
from shared.crashpoints import crashpoint

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:  # asyncpg's classes take no parameters when the program runs
    Connection, Pool = asyncpg.Connection, asyncpg.Pool

# JIT costs more than it saves in statements that last milliseconds.
SERVER_SETTINGS = {"jit": "off", "timezone": "UTC"}
# A process that froze inside a transaction would hold up everybody who waits for its rows.
POOL_SETTINGS = SERVER_SETTINGS | {"idle_in_transaction_session_timeout": "15s"}
# A process that froze, or whose machine is gone, would otherwise hold the lock of its service for hours. This is longer
# than the relay waits for an answer of the broker.
LOCK_SETTINGS = SERVER_SETTINGS | {"idle_session_timeout": "15s"}

# Statements that find their rows by keys use indexes, with one plan for all batches. Planning each time costs more than
# a single visit's work, and tables that were small when last analyzed would be read whole.
BY_KEY = """
set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
"""
# Filled with hexadecimal digits of UUIDs and with a number, which can't leave their quotes.
AS_STAFF = """
set_config('role', 'staff_role', true), set_config('app.user_id', '{}', true),
set_config('app.generation', '{}', true), set_config('app.session_id', '{}', true)
"""
AS_TILL = f"set_config('role', 'till_role', true), set_config('app.cafe_id', '{{}}', true), {BY_KEY}"

# The database or the way to it is at fault, never what was asked: wait and try the same again.
OUTAGES = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.TransactionRollbackError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,
    asyncpg.PostgresSystemError,
    # A migration changed the type of a column: the driver has forgotten its statements, and plans them anew.
    asyncpg.InvalidCachedStatementError,
)


def is_outage(error: BaseException) -> bool:
    """Whether to wait and try again.

    asyncpg also raises InterfaceError for arguments that it cannot encode, and for too many of them: those are ours.
    """
    return isinstance(error, OUTAGES) and not isinstance(error, ValueError) and "query arguments" not in str(error)


async def open_pool(
    dsn: str,
    *,
    min_size: int = 1,
    max_size: int = 4,
    name: str = "crm",
    connection_class: "type[asyncpg.Connection[asyncpg.Record]] | None" = None,
) -> Pool:
    """A pool whose json/jsonb columns are plain Python values. `connection_class` is for those who watch statements.

    Raises `OSError` or `asyncpg.PostgresError` when the server can't be reached or refuses the login.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=min_size,
        max_size=max_size,
        init=_prepare,
        reset=_nothing_to_reset,
        server_settings=POOL_SETTINGS | _clock() | {"application_name": name},
        command_timeout=60,
        connection_class=connection_class or asyncpg.Connection,
    )


async def _nothing_to_reset(_: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Replaces the reset of a connection that is given back. No transaction of ours leaves a role, a setting or a lock
    behind, so the round trip is saved."""


async def connect(dsn: str, *, name: str) -> "asyncpg.Connection[asyncpg.Record]":
    """One connection of its own, like those of a pool but without a limit on how long a statement takes."""
    conn = await asyncpg.connect(dsn, server_settings=SERVER_SETTINGS | _clock() | {"application_name": name})
    await _prepare(conn)
    return conn


def _clock() -> dict[str, str]:
    # What SQL asks of the day follows the clock of the process (`crm.present` in sql/loyalty).
    ahead = moved_by()
    return {"crm.clock_offset": f"{ahead.total_seconds():.0f} seconds"} if ahead else {}


async def _prepare(conn: "asyncpg.Connection[asyncpg.Record]") -> None:
    for kind in ("json", "jsonb"):
        await conn.set_type_codec(kind, encoder=_to_json, decoder=msgspec.json.decode, schema="pg_catalog")


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def heed_cancellation() -> None:
    """Call this after catching an outage and before going on: raises CancelledError when the task was cancelled
    meanwhile.

    Rolling back on a connection that is gone fails, and that error takes the place of the cancellation.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """As the service itself: sees every cafe. For workers and jobs."""
    async with pool.acquire() as conn, conn.transaction():
        yield conn


@asynccontextmanager
async def keyed_transaction(pool: Pool) -> AsyncIterator[Connection]:
    """As the service itself, with generic plans (see `plan_by_key`). For work that finds all its rows by keys."""
    async with _transaction_with(pool, BY_KEY) as conn:
        yield conn


@asynccontextmanager
async def noting_transaction(pool: Pool, note: str, *, by_key: bool) -> AsyncIterator[Connection]:
    """As the service itself, beginning with the expression `note`, which writes something. `by_key`: see
    `keyed_transaction`."""
    async with _transaction_with(pool, f"{BY_KEY}, {note}" if by_key else note) as conn:
        yield conn


async def plan_by_key(conn: Connection) -> None:
    """For the rest of the transaction PostgreSQL plans each statement once, for batches of any size, and uses
    indexes."""
    await conn.execute(f"SELECT {BY_KEY}")


@asynccontextmanager
async def staff_transaction(
    pool: Pool, user_id: UUID, generation: int = 0, session_id: UUID | None = None
) -> AsyncIterator[Connection]:
    """As a person: row level security shows only the cafes that `user_cafe_access` gives this user.

    `generation` and `session_id` are those of the person's token; `require_role` refuses one that has been ended.
    """
    session = session_id.hex if session_id else ""
    async with _transaction_with(pool, AS_STAFF.format(user_id.hex, int(generation), session)) as conn:
        yield conn
        crashpoint("api.before_commit")


@asynccontextmanager
async def till_transaction(pool: Pool, cafe_id: UUID) -> AsyncIterator[Connection]:
    """As a till: row level security shows only its own cafe, and only the tables opened to tills. Planned by key."""
    async with _transaction_with(pool, AS_TILL.format(cafe_id.hex)) as conn:
        yield conn
        crashpoint("api.before_commit")


@asynccontextmanager
async def _transaction_with(pool: Pool, settings: str) -> AsyncIterator[Connection]:
    """A transaction that begins with its settings, in one round trip: on a busy machine each costs milliseconds."""
    async with pool.acquire() as conn:
        try:
            await conn.execute(f"BEGIN; SELECT {settings}")
            yield conn
        except BaseException:
            await conn.execute("ROLLBACK")
            raise
        await conn.execute("COMMIT")
