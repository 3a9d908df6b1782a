"""Points for many guests at once: asked for, approved where the cafe's policy wants it, and given by a job."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.handlers.grants import give
from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.grant_runs import GrantRun
from services.loyalty.models.grants import Grant
from services.loyalty.models.http_grant_runs import BonusPreview
from services.loyalty.rules import tiers
from services.loyalty.rules.club import worth
from services.loyalty.store import accounts, adjustments, grant_runs, programs
from shared.clock import now
from shared.database.db import Connection, Pool
from shared.errors import NotFound, Problem, Rejected
from shared.inputs.amounts import INSIDE
from shared.jobs.by_cafe import ByCafe
from shared.persian.money import format_count
from shared.security import access
from shared.security.approval import Size, require_pass

GUESTS_AT_ONCE = 1000

_giving = ByCafe("loyalty", "loyalty.give_to_many")


async def preview(conn: Connection, cafe_id: UUID, keys: Sequence[str], points: int) -> BonusPreview:
    """How many guests would get how much now."""
    await access.ask_alone(conn, cafe_id)
    guests = len(await grant_runs.members(conn, cafe_id, keys))
    price = await programs.price_of_point(conn, cafe_id, now())
    row = {"guests": guests, "total_points": guests * points, "worth": worth(guests * points, price)}
    return BonusPreview.of(row | {"currency_unit": INSIDE}, await access.unit_of(conn, cafe_id))


async def give_bonus(
    conn: Connection,
    cafe_id: UUID,
    author: UUID,
    run_id: UUID,
    keys: Sequence[str],
    points: int,
    reason: str,
    budget_points: int,
) -> GrantRun:
    """Gives the guests who are in the segments now their points; what it comes to is fixed with it.

    Raises Rejected when it would be more than the budget, when nobody is there, or as `_ask`.
    """
    await access.take_turn(conn, cafe_id, author)
    known = await grant_runs.find(conn, cafe_id, run_id)
    if known is not None:
        return _same(known, "bonus", author)
    each = dict.fromkeys(await grant_runs.members(conn, cafe_id, keys), points)
    if not each:
        raise Rejected("nobody_there", "Nobody is in these segments.", "هیچ مهمانی در این بخش‌ها نیست.", status=409)
    total = sum(each.values())
    if total > budget_points:
        raise Rejected(
            "over_budget",
            f"For {len(each)} guests it comes to {total} points, which is more than the budget.",
            f"برای {format_count(len(each))} مهمان {format_count(total)} امتیاز می‌شود که از بودجه بیشتر است.",
            status=409,
            problems=[Problem("budget_points", "total", str(total), format_count(total))],
        )
    run = GrantRun(
        cafe_id=cafe_id, run_id=run_id, kind="bonus", segment_keys=list(keys), reason=reason, guests=len(each),
        total_points=total, budget_points=budget_points, state="pending", created_by=author, created_at=now(),
    )  # fmt: skip
    return await _ask(conn, run, each)


async def give_openings(
    conn: Connection, cafe_id: UUID, author: UUID, run_id: UUID, points: Mapping[UUID, int]
) -> GrantRun:
    """Gives guests what they had before, each guest once whatever is sent again.

    Raises Rejected as `_ask`.
    """
    await access.take_turn(conn, cafe_id, author)
    known = await grant_runs.find(conn, cafe_id, run_id)
    if known is not None:
        return _same(known, "opening", author)
    run = GrantRun(
        cafe_id=cafe_id, run_id=run_id, kind="opening", segment_keys=[], reason=None, guests=len(points),
        total_points=sum(points.values()), budget_points=None, state="pending", created_by=author, created_at=now(),
    )  # fmt: skip
    return await _ask(conn, run, points)


async def decide(conn: Connection, cafe_id: UUID, run_id: UUID, decider: UUID, *, approve: bool) -> GrantRun:
    """The second manager's answer.

    Raises Rejected: 403 to the author, 409 when it was decided otherwise before.
    """
    pending = await grant_runs.find(conn, cafe_id, run_id)
    if pending is None:
        raise NotFound("grant_run", "چنین هدیه‌ای")
    if pending.state != "pending":
        if (pending.state == "declined") != approve:
            return pending
        raise Rejected("already_decided", "It was decided before.", "پیش‌تر دربارهٔ آن تصمیم گرفته شده است.", status=409)
    oversight = await access.oversight(conn, cafe_id)
    require_pass(oversight.judge([pending.created_by], Size(), approver=decider))
    is_other = decider != pending.created_by
    decided = replace(
        pending,
        state="approved" if approve else "declined",
        decided_by=decider if is_other else None,
        decided_at=now() if is_other else None,
    )
    await grant_runs.decide(conn, decided)
    return decided


async def give_to_many(pool: Pool) -> int:
    """Gives the next `GUESTS_AT_ONCE` guests of a run what they get; how many had their turn."""
    return await _giving.run(
        pool,
        grant_runs.list_due,
        lambda conn, runs: _give_next(conn, runs[0]),
        cafe_of=attrgetter("cafe_id"),
    )


async def _ask(conn: Connection, run: GrantRun, points: Mapping[UUID, int]) -> GrantRun:
    """Keeps the run: approved when its author may give so much alone, after all that they gave on that day."""
    plan = (await plans_of(conn, [run.cafe_id]))[run.cafe_id]
    oversight = await access.oversight(conn, run.cafe_id)
    today = oversight.day_begins(run.created_at)
    size = Size(
        asked=run.total_points,
        done=await adjustments.done_alone(conn, run.cafe_id, run.created_by, today),
        limit=min(oversight.policy.points, tiers.in_force(plan, run.created_at).approval_above),
    )
    passes = oversight.judge([run.created_by], size).passes
    asked = replace(run, state="approved" if passes else "pending")
    if not await grant_runs.insert(conn, asked, points):
        raise _taken()
    return asked


async def _give_next(conn: Connection, run: GrantRun) -> int:
    moment = now()
    guests = await grant_runs.next_guests(conn, run, GUESTS_AT_ONCE)
    locked = await accounts.lock(conn, [(run.cafe_id, customer_id) for customer_id, _ in guests])
    plans = await plans_of(conn, [run.cafe_id])
    version = tiers.in_force(plans[run.cafe_id], moment).version
    wanted = [
        Grant(
            cafe_id=run.cafe_id, customer_id=customer_id,
            type="earned_bonus" if run.kind == "bonus" else "adjustment_add", occasion=run.occasion, points=points,
            program_version=version, granted_at=moment, created_by=run.decided_by or run.created_by,
        )
        for customer_id, points in guests
    ]  # fmt: skip
    given = await give(conn, plans, locked, wanted, {})
    done = [customer_id for customer_id, _ in guests]
    await grant_runs.go_on(conn, run, done, len(given), moment, is_done=len(guests) < GUESTS_AT_ONCE)
    return max(1, len(guests))


def _same(known: GrantRun, kind: str, author: UUID) -> GrantRun:
    if (known.kind, known.created_by) != (kind, author):
        raise _taken()
    return known


def _taken() -> Rejected:
    return Rejected(
        "run_id_taken",
        "That run id belongs to something else; make up a new one.",
        "این شناسه از آنِ چیز دیگری است؛ شناسهٔ تازه‌ای بسازید.",
        status=409,
    )
