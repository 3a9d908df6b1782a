"""Who acts behind a request: each sees only their own, and after a commit the relay hears that events wait."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import Request
from starlette.datastructures import State

from shared.database import db
from shared.events.identity import Role
from shared.security.access import require_role
from shared.security.auth import Staff


@asynccontextmanager
async def acting(
    request: Request, caller: Staff, cafe_id: UUID, least_role: Role = "staff"
) -> AsyncIterator[db.Connection]:
    """A transaction as that person, who has at least that role in the cafe.

    Raises:
        Rejected: as `require_role`.
    """
    async with acting_in_role(request, caller, cafe_id, least_role) as (conn, _):
        yield conn


@asynccontextmanager
async def acting_in_role(
    request: Request, caller: Staff, cafe_id: UUID, least_role: Role = "staff"
) -> AsyncIterator[tuple[db.Connection, Role]]:
    """The same, with the role that the person has there.

    Raises:
        Rejected: as `require_role`.
    """
    async with acting_anywhere(request, caller) as conn:
        yield conn, await require_role(conn, cafe_id, caller.user_id, least_role)


@asynccontextmanager
async def acting_anywhere(request: Request, caller: Staff) -> AsyncIterator[db.Connection]:
    """A transaction as that person, in which nobody has asked for a role yet."""
    state = request.app.state
    async with db.staff_transaction(state.pool, caller.user_id, caller.generation, caller.session_id) as conn:
        yield conn
    _wake(request)


@asynccontextmanager
async def acting_as_till(state: State, cafe_id: UUID) -> AsyncIterator[db.Connection]:
    """A transaction of a till that writes; `state` is that of the application."""
    async with db.till_transaction(state.pool, cafe_id) as conn:
        yield conn
    state.waker.wake()


@asynccontextmanager
async def acting_as_service(request: Request) -> AsyncIterator[db.Connection]:
    """A transaction of the service itself, for somebody who works in no cafe."""
    async with db.transaction(request.app.state.pool) as conn:
        yield conn
    _wake(request)


@asynccontextmanager
async def acting_on_callback(request: Request) -> AsyncIterator[db.Connection]:
    """The same for another system that tells us something, which some do by GET."""
    async with db.transaction(request.app.state.pool) as conn:
        yield conn
    request.app.state.waker.wake()


def _wake(request: Request) -> None:
    # Who only reads emits nothing.
    if request.method != "GET":
        request.app.state.waker.wake()
