"""Cafes and their branches."""

from uuid import UUID

from services.identity.handlers.people import admit, role_too_low
from services.identity.models.http import Branch, Cafe, ChangeBranch, ChangeCafe, CreateBranch, CreateCafe, OwnCafe
from services.identity.store import cafes as store
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.events.identity import BranchChanged, CafeChanged, Role
from shared.messaging import outbox


async def create_cafe(conn: Connection, command: CreateCafe) -> Cafe:
    """A new cafe, which nobody has access to yet."""
    cafe = Cafe(cafe_id=new_id(), version=1, is_active=True, **command.model_dump())
    await store.insert_cafe(conn, cafe)
    await outbox.emit(conn, [cafe_changed(cafe)])
    return cafe


async def open_cafe(conn: Connection, command: CreateCafe, by: UUID) -> OwnCafe:
    """One more cafe of somebody who owns one already; they own it too. The first cafe is made by an operator.

    Raises:
        Rejected: status 403 when the person owns no cafe.
    """
    owned = [cafe for cafe in await store.list_own_cafes(conn, by) if cafe.role == "owner"]
    if not owned:
        raise role_too_low()
    cafe = await create_cafe(conn, command)
    names = {member.user_id: member.display_name for member in await store.list_members(conn, owned[0].cafe_id)}
    await admit(conn, cafe.cafe_id, by, "owner", by=by, display_name=names[by])
    return OwnCafe(role="owner", **cafe.model_dump())


async def hold_cafe(conn: Connection, cafe_id: UUID) -> Cafe:
    """The cafe, locked until the end of the transaction: changes of one cafe queue here.

    Raises:
        NotFound: there is no such cafe.
    """
    cafe = await store.lock_cafe(conn, cafe_id)
    if cafe is None:
        raise NotFound("cafe", "کافه")
    return cafe


async def change_cafe(conn: Connection, cafe_id: UUID, command: ChangeCafe, role: Role) -> Cafe:
    """The cafe with the given settings changed by somebody of that role.

    Raises:
        NotFound: there is no such cafe.
        Rejected: status 403 for another time zone by somebody else than an owner: what a person may give in a day hangs
            on when the day ends.
    """
    cafe = await hold_cafe(conn, cafe_id)
    if role != "owner" and command.time_zone not in (None, cafe.time_zone):
        en, fa = "Only an owner changes the time zone.", "تنها مالک منطقهٔ زمانی را تغییر می‌دهد."
        raise Rejected("role_too_low", en, fa, status=403, problems=[Problem("time_zone", "role_too_low", en, fa)])
    changes = command.model_dump(exclude_none=True)
    changed = cafe.model_copy(update={**changes, "version": cafe.version + 1})
    await store.update_cafe(conn, changed)
    await outbox.emit(conn, [cafe_changed(changed)])
    return changed


async def create_branch(conn: Connection, cafe_id: UUID, command: CreateBranch) -> Branch:
    """A new branch.

    Raises:
        Rejected: status 409 when the cafe has a branch with that code.
    """
    await hold_cafe(conn, cafe_id)
    branch = Branch(branch_id=new_id(), version=1, code=command.code, name=command.name, is_active=True)
    if not await store.insert_branch(conn, cafe_id, branch):
        raise Rejected(
            "branch_exists",
            "The cafe has a branch with this code.",
            "این کافه شعبه‌ای با این کد دارد.",
            status=409,
        )
    await outbox.emit(conn, [_branch_changed(cafe_id, branch)])
    return branch


async def change_branch(conn: Connection, cafe_id: UUID, branch_id: UUID, command: ChangeBranch) -> Branch:
    """The branch with another name, or closed.

    Raises:
        NotFound: the cafe has no such branch.
    """
    branch = await store.change_branch(conn, cafe_id, branch_id, command.name, command.is_active)
    if branch is None:
        raise NotFound("branch", "شعبه")
    await outbox.emit(conn, [_branch_changed(cafe_id, branch)])
    return branch


def cafe_changed(cafe: Cafe) -> CafeChanged:
    """What the other services are told of a cafe."""
    return CafeChanged(occurred_at=now(), **cafe.model_dump(exclude={"language"}))


def _branch_changed(cafe_id: UUID, branch: Branch) -> BranchChanged:
    return BranchChanged(cafe_id=cafe_id, occurred_at=now(), **branch.model_dump())
