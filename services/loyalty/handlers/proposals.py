"""Rules of programs, which earn without bound: asked for by one person and, by the cafe's policy, approved by another.
And the list of everything that waits in loyalty."""

from uuid import UUID

from msgspec.structs import asdict, replace

from services.loyalty.handlers.cafes import check_program, program_changed, publish_program
from services.loyalty.handlers.guests import plans_of
from services.loyalty.handlers.rehearsed import require_rehearsed
from services.loyalty.models.accounts import Proposal
from services.loyalty.models.http import PublishProgram, ShownProgram, ShownProposal
from services.loyalty.models.programs import ProgramRules
from services.loyalty.rules.programs import in_toman, priced
from services.loyalty.rules.schemes import as_before
from services.loyalty.store import adjustments, grant_runs, programs, proposals
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.events.identity import Role
from shared.persian.money import Unit
from shared.security import access
from shared.security.approval import Size, Waiting, may_decide, require_pass
from shared.security.crypto import Keys


async def propose(
    conn: Connection, cafe_id: UUID, author: UUID, role: Role, wanted: PublishProgram, keys: Keys
) -> ShownProgram | ShownProposal:
    """The cafe's next rules: published at once, or kept until somebody else has approved them. What they don't
    say of earning and terms stays as it is.

    Raises Rejected for another `approval_above` by somebody who is no owner, and as `in_toman` and `publish_program`.
    """
    last, unit = (await plans_of(conn, [cafe_id]))[cafe_id].programs[-1], await access.unit_of(conn, cafe_id)
    rules = await whole_rules(conn, cafe_id, role, wanted)
    await require_rehearsed(conn, cafe_id, rules, wanted.rehearsal_id)
    wanted = PublishProgram(rules=rules, valid_from=wanted.valid_from, rehearsal_id=wanted.rehearsal_id)
    oversight = await access.oversight(conn, cafe_id)
    if oversight.judge([author], Size()).passes:
        return await publish_program(conn, cafe_id, author, wanted, keys)
    await check_program(conn, cafe_id, wanted, keys)
    proposal = Proposal(
        proposal_id=new_id(),
        rules=rules.model_dump(mode="json"),
        valid_from=wanted.valid_from,
        after_version=last.version,
        created_by=author,
        created_at=now(),
        rehearsal_id=wanted.rehearsal_id,
    )
    await proposals.insert(conn, cafe_id, proposal)
    return _shown(proposal, unit)


async def whole_rules(conn: Connection, cafe_id: UUID, role: Role, wanted: PublishProgram) -> ProgramRules:
    """The rules as they would be kept, with what they don't say of earning and terms as it is.

    Raises Rejected for another `approval_above` by somebody who is no owner, and as `in_toman`.
    """
    last, unit = (await plans_of(conn, [cafe_id]))[cafe_id].programs[-1], await access.unit_of(conn, cafe_id)
    rules = in_toman(wanted.rules, wanted.earn_per, wanted.point_worth, wanted.currency_unit or unit)
    rules = _with_limit(rules, last.approval_above, role)
    return as_before(await programs.latest_rules(conn, cafe_id), rules)


async def decide(
    conn: Connection, cafe_id: UUID, proposal_id: UUID, decider: UUID, keys: Keys, *, approve: bool
) -> ShownProposal:
    """The second person's answer. Rules without a date come into force with it.

    Raises Rejected: 403 to their author, 409 when they were decided before, when other rules were published since, or
    as `publish_program`.
    """
    pending = await proposals.find(conn, cafe_id, proposal_id)
    if pending is None:
        raise NotFound("proposal", "چنین پیشنهادی")
    unit = await access.unit_of(conn, cafe_id)
    if pending.state != "pending":
        if pending.state == ("published" if approve else "declined"):
            return _shown(pending, unit)
        raise Rejected("already_decided", "It was decided before.", "پیش‌تر دربارهٔ آن تصمیم گرفته شده است.", status=409)
    oversight = await access.oversight(conn, cafe_id)
    require_pass(oversight.judge([pending.created_by], Size(), approver=decider))
    is_other = decider != pending.created_by
    decided = replace(
        pending,
        state="published" if approve else "declined",
        decided_by=decider if is_other else None,
        decided_at=now() if is_other else None,
    )
    if approve:
        if (await plans_of(conn, [cafe_id]))[cafe_id].programs[-1].version != pending.after_version:
            raise program_changed()
        wanted = PublishProgram(
            rules=ProgramRules.model_validate(pending.rules),
            valid_from=pending.valid_from,
            rehearsal_id=pending.rehearsal_id,
        )
        published = await publish_program(conn, cafe_id, pending.created_by, wanted, keys)
        decided = replace(decided, version=published.version)
    await proposals.decide(conn, cafe_id, decided)
    return _shown(decided, unit)


async def list_waiting(conn: Connection, cafe_id: UUID, caller: UUID, limit: int) -> list[Waiting]:
    """Everything here that waits for a second person, the oldest first, and whether the caller may decide about it."""
    oversight, unit = await access.oversight(conn, cafe_id), await access.unit_of(conn, cafe_id)
    given = await adjustments.list_pending(conn, cafe_id, limit)
    rules = await proposals.list_pending(conn, cafe_id, limit)
    waiting = [
        Waiting(
            kind="reversal" if each.redemption_id else "adjustment",
            id=each.adjustment_id,
            what={"customer_id": each.customer_id, "type": each.type, "reason": each.reason},
            points=each.points,
            asked_by=each.created_by,
            asked_at=each.created_at,
            decide_at=f"/cafes/{cafe_id}/adjustments/{each.adjustment_id}/decision",
            **may_decide(oversight.judge([each.created_by], Size(), approver=caller)),
        )
        for each in given
    ]
    waiting += [
        Waiting(
            kind="program",
            id=each.proposal_id,
            what=_shown(each, unit).model_dump(
                include={"rules", "valid_from", "earn_per", "point_worth", "currency_unit", "rehearsal_id"}
            ),
            asked_by=each.created_by,
            asked_at=each.created_at,
            decide_at=f"/cafes/{cafe_id}/programs/proposals/{each.proposal_id}/decision",
            **may_decide(oversight.judge([each.created_by], Size(), approver=caller)),
        )
        for each in rules
    ]
    waiting += [
        Waiting(
            kind="bonus",
            id=each.run_id,
            what={"type": each.kind, "reason": each.reason, "guests": each.guests, "segment_keys": each.segment_keys},
            points=each.total_points,
            asked_by=each.created_by,
            asked_at=each.created_at,
            decide_at=f"/cafes/{cafe_id}/grant-runs/{each.run_id}/decision",
            **may_decide(oversight.judge([each.created_by], Size(), approver=caller)),
        )
        for each in await grant_runs.list_newest(conn, cafe_id, limit, "pending")
    ]
    return sorted(waiting, key=lambda each: each.asked_at)[:limit]


def _with_limit(rules: ProgramRules, present: int, role: Role) -> ProgramRules:
    if "approval_above" not in rules.model_fields_set:
        rules = rules.model_copy(update={"approval_above": present})
    if rules.approval_above != present and role != "owner":
        problem = Problem(
            "rules.approval_above",
            "owner_needed",
            f"Only an owner changes this; leave it out or send {present}.",
            f"تنها مالک این را تغییر می‌دهد؛ آن را نفرستید یا {present} بفرستید.",
        )
        raise Rejected("role_too_low", problem.en, problem.fa, status=403, problems=[problem])
    return rules


def _shown(proposal: Proposal, unit: Unit) -> ShownProposal:
    return ShownProposal.of({**asdict(proposal), **priced(proposal.rules)}, unit)
