"""Who works where, and as what. Management starts with `enter`, which checks the caller's role in the cafe."""

from uuid import UUID

from services.identity.handlers import sessions
from services.identity.models.http import Member
from services.identity.rules import access as rules
from services.identity.rules.sessions import ENDED_REMEMBERED_FOR
from services.identity.store import accounts
from services.identity.store import cafes as store
from services.identity.store import sessions as session_store
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound, Rejected
from shared.events.identity import AccessGranted, AccessRevoked, Role
from shared.messaging import outbox
from shared.security.access import require_role


async def enter(conn: Connection, cafe_id: UUID, user_id: UUID, least: Role) -> Role:
    """Open one cafe's people to this transaction, for a person with the role `least` or higher there.

    Raises:
        Rejected: status 404 without access to the cafe, 403 with too low a role.
    """
    role = await require_role(conn, cafe_id, user_id, least)
    await store.enter_cafe(conn, cafe_id, user_id)
    return role


async def change_role(conn: Connection, cafe_id: UUID, user_id: UUID, role: Role, *, by: UUID) -> Member:
    """Gives a member another role.

    Raises:
        Rejected: status 404 for a stranger, 403 when `by` may not do that, 409 when no owner would be left.
    """
    actor = await enter(conn, cafe_id, by, "manager")
    members = await members_of(conn, cafe_id)
    if user_id not in members:
        raise NotFound("member", "همکار")
    _check_change(actor, members, user_id, role)
    await _grant(conn, cafe_id, user_id, role, by=by)
    return (await members_of(conn, cafe_id))[user_id]


async def remove_member(conn: Connection, cafe_id: UUID, user_id: UUID, *, by: UUID) -> None:
    """Takes a member's access away; who has none left at all is signed out. Everybody may leave by themselves.

    Raises:
        Rejected: status 404 for a stranger, 403 when `by` may not do that, 409 when no owner would be left.
    """
    leaves = user_id == by
    actor = await enter(conn, cafe_id, by, "staff" if leaves else "manager")
    members = await members_of(conn, cafe_id)
    if user_id not in members:
        raise NotFound("member", "همکار")
    _check_change("owner" if leaves else actor, members, user_id, None)
    await store.as_service(conn)
    await accounts.lock_user(conn, user_id)
    moment = now()
    access = await store.set_access(conn, cafe_id, user_id, None, changed_at=moment, changed_by=by)
    revoked = AccessRevoked(cafe_id=cafe_id, occurred_at=moment, version=access["version"], user_id=user_id)
    await outbox.emit(conn, [revoked])
    if not await accounts.find_roles(conn, user_id):
        await sessions.end_all_sessions(conn, user_id)


async def admit(
    conn: Connection, cafe_id: UUID, user_id: UUID, role: Role, *, display_name: str, by: UUID | None = None
) -> None:
    """Give a person who is new in the cafe that role; who may do so has been decided before. As the service."""
    generation = await accounts.lock_user(conn, user_id)
    assert generation is not None
    ended = await session_store.lately_ended(conn, user_id, now() - ENDED_REMEMBERED_FOR)
    await _grant(
        conn, cafe_id, user_id, role, by=by, display_name=display_name, sessions_from=generation, ended_sessions=ended
    )


def role_too_low() -> Rejected:
    """The answer to who may not do that with their role."""
    return Rejected(
        "role_too_low",
        "Your role does not allow this.",
        "نقش شما اجازهٔ این کار را نمی‌دهد.",
        status=403,
    )


async def members_of(conn: Connection, cafe_id: UUID) -> dict[UUID, Member]:
    """The cafe's people. Changes of one cafe's people queue here, behind its row."""
    # Otherwise two owners who remove each other could both succeed.
    await store.lock_cafe(conn, cafe_id)
    return {member.user_id: member for member in await store.list_members(conn, cafe_id)}


async def _grant(
    conn: Connection,
    cafe_id: UUID,
    user_id: UUID,
    role: Role,
    *,
    by: UUID | None,
    display_name: str | None = None,
    sessions_from: int = 0,
    ended_sessions: list[UUID] | None = None,
) -> None:
    moment = now()
    access = await store.set_access(
        conn,
        cafe_id,
        user_id,
        role,
        changed_at=moment,
        changed_by=by,
        display_name=display_name,
        sessions_from=sessions_from,
        ended_sessions=ended_sessions or (),
    )
    granted = AccessGranted(cafe_id=cafe_id, occurred_at=moment, user_id=user_id, role=role, **access)
    await outbox.emit(conn, [granted])


def _check_change(actor: Role, members: dict[UUID, Member], user_id: UUID, role: Role | None) -> None:
    present = members[user_id].role if user_id in members else None
    if not rules.may_change_access(actor, present, role):
        raise role_too_low()
    owners = {member.user_id for member in members.values() if member.role == "owner"}
    if owners == {user_id} and role != "owner":
        raise Rejected(
            "last_owner",
            "A cafe keeps at least one owner; make somebody else owner first.",
            "کافه دست‌کم یک مالک دارد؛ نخست مالک دیگری تعیین کنید.",
            status=409,
        )
