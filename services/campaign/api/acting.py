"""A transaction as the person behind the request, who has the role that the route needs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import Request

from shared.database import db
from shared.events.identity import Role
from shared.security.access import require_role
from shared.security.auth import Staff


@asynccontextmanager
async def acting(request: Request, caller: Staff, cafe_id: UUID, least: Role = "staff") -> AsyncIterator[db.Connection]:
    """Everything inside sees only the caller's cafes.

    Raises `Rejected` when the caller's role in this cafe is below `least`.
    """
    async with db.staff_transaction(
        request.app.state.pool, caller.user_id, caller.generation, caller.session_id
    ) as conn:
        await require_role(conn, cafe_id, caller.user_id, least)
        yield conn
