"""Who works where, and as what. Management starts with `enter`, which checks the caller's role in the cafe."""

from uuid import UUID

from services.identity import rules, store
from services.identity.models import AddMember, Member
from shared import outbox
from shared.access import require_role
from shared.clock import new_id, now
from shared.crypto import Keys, keyed_digest, seal
from shared.db import Connection
from shared.errors import NotFound, Rejected
from shared.events.identity import AccessGranted, AccessRevoked, Role

_NO_CAFE = UUID(int=0)


async def enter(conn: Connection, cafe_id: UUID, user_id: UUID, least: Role) -> Role:
    """Open one cafe's people to this transaction, for a person with the role `least` or higher there.

    Raises:
        Rejected: status 404 without access to the cafe, 403 with too low a role.
    """
    role = await require_role(conn, cafe_id, user_id, least)
    await store.enter_cafe(conn, cafe_id, user_id)
    return role


async def add_user(conn: Connection, keys: Keys, login: str, password_hash: str) -> UUID:
    """The person with that (canonical) login: new with that password, or the one who has it already, unchanged."""
    user_id = new_id()
    digest = login_hash(keys, login)
    sealed = seal(keys, login, table="user_logins", column="login_sealed", row=digest.hex())
    kind = "email" if "@" in login else "phone"
    return await store.insert_user(conn, user_id, password_hash, digest, kind, sealed)


async def add_member(
    conn: Connection, keys: Keys, cafe_id: UUID, command: AddMember, password_hash: str, *, by: UUID
) -> Member:
    """Access for a person, whose account is made when the login has none.

    Raises:
        Rejected: status 403 or 404 when `by` may not give that role.
    """
    actor = await enter(conn, cafe_id, by, "manager")
    members = await _members(conn, cafe_id)
    user_id = await add_user(conn, keys, command.login, password_hash)
    _check_change(actor, members, user_id, command.role)
    await grant_access(conn, cafe_id, user_id, command.role, by=by, display_name=command.display_name)
    return (await _members(conn, cafe_id))[user_id]


async def change_role(conn: Connection, cafe_id: UUID, user_id: UUID, role: Role, *, by: UUID) -> Member:
    """Another role for a member.

    Raises:
        Rejected: status 404 for a stranger, 403 when `by` may not do that, 409 when no owner would be left.
    """
    actor = await enter(conn, cafe_id, by, "manager")
    members = await _members(conn, cafe_id)
    if user_id not in members:
        raise NotFound("member", "همکار")
    _check_change(actor, members, user_id, role)
    await grant_access(conn, cafe_id, user_id, role, by=by)
    return (await _members(conn, cafe_id))[user_id]


async def remove_member(conn: Connection, cafe_id: UUID, user_id: UUID, *, by: UUID) -> None:
    """No more access for a member. Everybody may leave by themselves.

    Raises:
        Rejected: status 404 for a stranger, 403 when `by` may not do that, 409 when no owner would be left.
    """
    leaves = user_id == by
    actor = await enter(conn, cafe_id, by, "staff" if leaves else "manager")
    members = await _members(conn, cafe_id)
    if user_id not in members:
        raise NotFound("member", "همکار")
    _check_change("owner" if leaves else actor, members, user_id, None)
    await revoke_access(conn, cafe_id, user_id, by=by)


async def grant_access(
    conn: Connection,
    cafe_id: UUID,
    user_id: UUID,
    role: Role,
    *,
    by: UUID | None = None,
    display_name: str | None = None,
) -> None:
    """Give the person that role; who may do so has been decided before."""
    moment = now()
    version = await store.set_access(
        conn, cafe_id, user_id, role, changed_at=moment, changed_by=by, display_name=display_name
    )
    await outbox.emit(
        conn, [AccessGranted(cafe_id=cafe_id, occurred_at=moment, version=version, user_id=user_id, role=role)]
    )


async def revoke_access(conn: Connection, cafe_id: UUID, user_id: UUID, *, by: UUID | None = None) -> None:
    """Take the person's role away; who may do so has been decided before."""
    moment = now()
    version = await store.set_access(conn, cafe_id, user_id, None, changed_at=moment, changed_by=by)
    await outbox.emit(conn, [AccessRevoked(cafe_id=cafe_id, occurred_at=moment, version=version, user_id=user_id)])


def login_hash(keys: Keys, login: str) -> bytes:
    """32 bytes by which a canonical login is found."""
    return keyed_digest(keys, "login", _NO_CAFE, login.encode())


def role_too_low() -> Rejected:
    return Rejected(
        "role_too_low",
        "Your role does not allow this.",
        "نقش شما اجازهٔ این کار را نمی‌دهد.",
        status=403,
    )


async def _members(conn: Connection, cafe_id: UUID) -> dict[UUID, Member]:
    # Changes of one cafe's people queue behind its row: two owners who remove each other can't both succeed.
    await store.lock_cafe(conn, cafe_id)
    return {member.user_id: member for member in await store.list_members(conn, cafe_id)}


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
