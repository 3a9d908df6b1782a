"""Points, tiers and counters of a guest, folded from the guest's visits.

The published rule: a visit earns floor(final amount in Toman / earn_per_toman * multiplier), at most `MOST_POINTS`,
where the multiplier is of the tier just before the visit, and more where the program has rules of its own (`earning`).
That tier is the highest of three: the one reached by the points earned so far in the tier period of the visit, the one
reached by all points earned in the period before it, and one that the program lets the guest keep after a period's end
(`falling`). A tier period is a year of the program's calendar in the cafe's time zone. Visits count in the order of
(occurred_at, device_id, receipt_number), by the program in force at their own moment.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.models.accounts import Earning, Plan, Program, Rank, Standing, TierStep, Visit
from services.loyalty.rules.earning import earn
from services.loyalty.rules.falling import after_grace, after_period, softens, step_for, step_of
from shared.persian.calendar import local_date, month_of, year_of

NOBODY = Standing()
_DAY = timedelta(days=1)
# What the columns of sums hold, in hundredths of a Toman: ten thousand of the largest bills of one guest.
MOST_SPENT = 10**18 - 1


def order_of(visit: Visit) -> tuple[datetime, str, str, UUID]:
    """Visits of a guest count in this order."""
    return visit.occurred_at, visit.device_id, visit.receipt_number, visit.visit_id


def in_force(plan: Plan, moment: datetime) -> Program:
    """The program by which a visit of that moment earns."""
    for program in reversed(plan.programs):
        if program.valid_from <= moment:
            return program
    return plan.programs[0]


def fold(plan: Plan, standing: Standing, visits: Iterable[Visit]) -> tuple[Standing, dict[UUID, Earning]]:
    """The standing after `visits`, which come in `order_of` and after all that `standing` already counts, and what
    each of them earned."""
    earnings: dict[UUID, Earning] = {}
    for visit in visits:
        day = local_date(visit.occurred_at, plan.time_zone)
        program = in_force(plan, visit.occurred_at)
        is_first = standing.total_visits == 0
        standing = _first_seen(program, day) if is_first else _carried(plan, standing, program, day)
        step = step_of(program, standing)
        earning, counts = earn(plan, program, step, standing, visit)
        earnings[visit.visit_id] = earning
        standing = _counted(plan, standing, visit, day, earning.points)
        if standing.tier_since is not None and step_of(program, standing).tier != step.tier:
            standing = replace(standing, tier_since=day)
        if counts is not None:
            standing = replace(standing, counts=counts)
    return standing, earnings


def lost(plan: Plan, visits: Iterable[Visit], earnings: Mapping[UUID, Earning]) -> dict[UUID, int]:
    """What each voided one of `visits` would have earned: at the tier that the guest had for the earning before it, and
    under a scheme as the guest stood just then. `visits` come in `order_of`."""
    points: dict[UUID, int] = {}
    multiplier, standing, counted = None, NOBODY, list[Visit]()
    for visit in visits:
        if visit.state != "voided":
            multiplier = earnings[visit.visit_id].multiplier
            counted.append(visit)
            continue
        program = in_force(plan, visit.occurred_at)
        step = program.steps[0] if multiplier is None else replace(program.steps[0], multiplier=multiplier)
        if program.scheme is not None:
            standing, counted = fold(plan, standing, counted)[0], []
        points[visit.visit_id] = earn(plan, program, step, standing, visit)[0].points
    return points


def goes_on(standing: Standing, visit: Visit) -> bool:
    """Whether `fold` may go on from `standing` with this visit; otherwise the guest is to be folded from the start."""
    return standing.last_visit_at is None or visit.occurred_at > standing.last_visit_at


def rank(plan: Plan, standing: Standing, moment: datetime) -> Rank:
    """The guest's tier at `moment`, if nothing is bought after what `standing` counts: periods end, rules change."""
    program, today = in_force(plan, moment), local_date(moment, plan.time_zone)
    carried = _carried(plan, standing, program, today)
    step = step_of(program, carried)
    following = program.steps.index(step) + 1
    next_at = program.steps[following].threshold if following < len(program.steps) else None
    to_next = next_at - carried.period_points if next_at else 0
    return Rank(step.tier, carried.tier_since, _until(program, carried, step), next_at, to_next)


def as_of(plan: Plan, standing: Standing, moment: datetime) -> Standing:
    """The standing at `moment` before anything is bought on it: periods that ended and rules that changed are in it."""
    return _carried(plan, standing, in_force(plan, moment), local_date(moment, plan.time_zone))


def _first_seen(program: Program, day: date) -> Standing:
    ends = year_of(day, program.tier_period)[1]
    return Standing(tier_since=day, period_ends=ends, program_version=program.version, first_day=day)


def _counted(plan: Plan, standing: Standing, visit: Visit, day: date, points: int) -> Standing:
    spent = (visit.amount + 5) // 10
    month_ends = month_of(day, plan.calendar)[1]
    year_ends = year_of(day, plan.calendar)[1]
    same_month, same_year = standing.month_ends == month_ends, standing.year_ends == year_ends
    return replace(
        standing,
        period_points=standing.period_points + points,
        year_ends=year_ends,
        year_spent=_sum(standing.year_spent if same_year else 0, spent),
        month_ends=month_ends,
        month_spent=_sum(standing.month_spent if same_month else 0, spent),
        month_visits=standing.month_visits + 1 if same_month else 1,
        lifetime_spent=_sum(standing.lifetime_spent, spent),
        total_visits=standing.total_visits + 1,
        last_day=day,
        last_visit_at=visit.occurred_at,
    )


def _sum(spent_before: int, spent: int) -> int:
    return min(MOST_SPENT, spent_before + spent)


def _carried(plan: Plan, standing: Standing, program: Program, day: date) -> Standing:
    """The standing as of `day`, on which `program` is in force."""
    if standing.program_version < program.version:
        for newer in plan.programs:
            if standing.program_version < newer.version <= program.version:
                first_day = local_date(newer.valid_from, plan.time_zone)
                older = _version(plan, standing.program_version, newer)
                standing = _in_period_of(first_day, standing, older)
                renewed = replace(standing, program_version=newer.version)
                standing = _moved(standing, older, renewed, newer, first_day)
    return _in_period_of(day, standing, program)


def _in_period_of(day: date, standing: Standing, program: Program) -> Standing:
    ended = 0
    while standing.period_ends is not None:
        if standing.kept_until is not None and standing.kept_until < min(day, standing.period_ends):
            following, first_day = after_grace(program, standing), standing.kept_until + _DAY
        elif day > standing.period_ends:
            ended += 1
            # Two periods without earning leave no points that count: go straight to the period of `day`, unless the
            # guest is still on the way down.
            is_far = ended > 2 and standing.kept is None
            first_day, last_day = year_of(day if is_far else standing.period_ends + _DAY, program.tier_period)
            following = replace(standing, period_ends=last_day, period_points=0, previous_points=standing.period_points)
            following = after_period(program, standing, following, first_day)
        else:
            break
        standing = _moved(standing, program, following, program, first_day)
    return standing


def _moved(before: Standing, by: Program, after: Standing, now_by: Program, day: date) -> Standing:
    """`after`; if its tier is not that of `before`, its tier begins on `day`."""
    if before.tier_since is None or step_of(by, before).tier == step_of(now_by, after).tier:
        return after
    return replace(after, tier_since=day)


def _until(program: Program, standing: Standing, step: TierStep) -> date | None:
    if standing.period_ends is None or step is program.steps[0]:
        return None
    if standing.kept is None and not softens(program):
        is_own = step_for(program, standing.period_points) is step
        return year_of(standing.period_ends + _DAY, program.tier_period)[1] if is_own else standing.period_ends
    while True:
        last_day = standing.kept_until or standing.period_ends
        assert last_day is not None
        standing = _in_period_of(last_day + _DAY, standing, program)
        if step_of(program, standing) is not step:
            return last_day


def _version(plan: Plan, version: int, otherwise: Program) -> Program:
    return next((program for program in plan.programs if program.version == version), otherwise)
