"""A cafe's approval policy: set by its owner, and no change of it without a trace."""

from dataclasses import asdict
from uuid import UUID

from services.identity.handlers.cafes import cafe_changed, hold_cafe
from services.identity.handlers.people import enter
from services.identity.models.http import Cafe, PolicyStep, PolicyStepKind, SetPolicy, ShownPolicy
from services.identity.rules import policies as rules
from services.identity.store import cafes
from services.identity.store import policies as store
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound, Rejected
from shared.messaging import outbox
from shared.security import access
from shared.security.approval import Oversight, Policy, Size, Verdict, Waiting, may_decide, require_pass


async def show(conn: Connection, cafe_id: UUID, by: UUID) -> ShownPolicy:
    """The policy in force (managers), and the change that waits.

    Raises:
        Rejected: status 404 without access to the cafe, 403 to staff.
    """
    await enter(conn, cafe_id, by, "manager")
    cafe = await cafes.find_cafe(conn, cafe_id)
    if cafe is None:
        raise NotFound("cafe", "کافه")
    return await _shown(conn, cafe)


async def list_steps(conn: Connection, cafe_id: UUID, by: UUID, limit: int) -> list[PolicyStep]:
    """Who changed the policy when, from what to what (owners), newest first.

    Raises:
        Rejected: status 404 without access to the cafe, 403 to others.
    """
    await enter(conn, cafe_id, by, "owner")
    unit = await access.unit_of(conn, cafe_id)
    return [rules.shown_step(step, unit) for step in await store.list_policy_steps(conn, cafe_id, limit)]


async def set_policy(conn: Connection, cafe_id: UUID, wanted: SetPolicy, *, by: UUID) -> ShownPolicy:
    """Another policy, by an owner. One that lets more pass than before waits for another owner, if there is one.

    A change that was waiting is replaced.
    Raises:
        Rejected: status 404 without access to the cafe, 403 to others than owners, 422 for amounts as `rules.kept`.
    """
    await enter(conn, cafe_id, by, "owner")
    cafe = await hold_cafe(conn, cafe_id)
    policy = rules.kept(wanted, cafe.currency_unit)
    waiting = await store.waiting_policy(conn, cafe_id)
    if waiting:
        await _note(conn, cafe_id, waiting, "replaced", by)
    if policy == cafe.policy:
        return await _shown(conn, cafe)
    asked = PolicyStep(
        change_id=new_id(), step="asked", by_user=by, at=now(), before=asdict(cafe.policy), after=asdict(policy)
    )
    await store.note_policy_step(conn, cafe_id, asked)
    if policy.is_weaker_than(cafe.policy) and not (await _verdict(conn, cafe_id, by)).passes:
        return await _shown(conn, cafe)
    return await _apply(conn, cafe, asked, by)


async def decide(conn: Connection, cafe_id: UUID, change_id: UUID, *, approve: bool, by: UUID) -> ShownPolicy:
    """The other owner's answer to a change that waits.

    Raises:
        Rejected: status 404 when no such change waits, 403 to its author while there is another owner and to others
            than owners, 409 when it was decided or replaced.
    """
    await enter(conn, cafe_id, by, "owner")
    cafe = await hold_cafe(conn, cafe_id)
    waiting = await store.waiting_policy(conn, cafe_id)
    if waiting is None or waiting.change_id != change_id:
        if any(step.change_id == change_id for step in await store.list_policy_steps(conn, cafe_id, 1000)):
            raise Rejected(
                "already_decided", "It was decided before.", "پیش‌تر دربارهٔ آن تصمیم گرفته شده است.", status=409
            )
        raise NotFound("change", "چنین تغییری")
    require_pass(await _verdict(conn, cafe_id, waiting.by_user, approver=by))
    if approve:
        return await _apply(conn, cafe, waiting, by)
    await _note(conn, cafe_id, waiting, "declined", by)
    return await _shown(conn, cafe)


async def list_waiting(conn: Connection, cafe_id: UUID, by: UUID) -> list[Waiting]:
    """The change of the policy that waits, if any (managers see it, owners decide).

    Raises:
        Rejected: status 404 without access to the cafe, 403 to staff.
    """
    role = await enter(conn, cafe_id, by, "manager")
    change = await store.waiting_policy(conn, cafe_id)
    if change is None:
        return []
    verdict = await _verdict(conn, cafe_id, change.by_user, approver=by) if role == "owner" else _OWNERS_ONLY
    shown = rules.shown_step(change, await access.unit_of(conn, cafe_id))
    return [
        Waiting(
            kind="policy",
            id=change.change_id,
            what=shown.model_dump(include={"before", "after", "currency_unit"}),
            asked_by=change.by_user,
            asked_at=change.at,
            decide_at=f"/cafes/{cafe_id}/approval-policy/changes/{change.change_id}/decision",
            **may_decide(verdict),
        )
    ]


_OWNERS_ONLY = Verdict("refused", "Only another owner decides this.", "تنها مالک دیگر دربارهٔ این تصمیم می‌گیرد.")


async def _verdict(conn: Connection, cafe_id: UUID, author: UUID, *, approver: UUID | None = None) -> Verdict:
    owners = frozenset(each.user_id for each in await cafes.list_members(conn, cafe_id) if each.role == "owner")
    # Always by this rule: a policy can't say that it may be weakened unseen.
    return Oversight(Policy("when_two"), owners).judge([author], Size(), approver=approver)


async def _apply(conn: Connection, cafe: Cafe, change: PolicyStep, by: UUID) -> ShownPolicy:
    changed = cafe.with_policy(Policy(**change.after))
    await cafes.update_cafe(conn, changed)
    await _note(conn, cafe.cafe_id, change, "applied", by)
    await outbox.emit(conn, [cafe_changed(changed)])
    return await _shown(conn, changed)


async def _note(conn: Connection, cafe_id: UUID, change: PolicyStep, step: PolicyStepKind, by: UUID) -> None:
    await store.note_policy_step(conn, cafe_id, change.model_copy(update={"step": step, "by_user": by, "at": now()}))


async def _shown(conn: Connection, cafe: Cafe) -> ShownPolicy:
    waiting = await store.waiting_policy(conn, cafe.cafe_id)
    amounts = rules.shown(asdict(cafe.policy), cafe.currency_unit)
    return ShownPolicy(**amounts, currency_unit=cafe.currency_unit, waiting=waiting.change_id if waiting else None)
