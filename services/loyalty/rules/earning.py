"""How a bill earns. Nothing else knows.

The published order of evaluation:

1. Each rule whose conditions hold gives a part: `base` for the amount, then the program's own in their order.
2. Multipliers that hold multiply the parts they name: the best of them, or all of them (`stacking`).
3. The multiplier of the guest's tier just before the bill multiplies the parts that go `by_tier`.
4. Each part is rounded down, once, and is at most `MOST_POINTS`.
5. Caps: what the bill may earn, then what is left of the day, then of the month. A cap takes from the last parts first,
   and the part that meets it is cut.

A rule reads the bill, the program in force at its moment, the guest's earlier bills, and in which segments the guest
was before it: never the clock, the balance, or another guest. So the order of arrival decides nothing. Caps and limits
a day count the bills that earned under a scheme: those of a program without rules of its own are not among them.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from services.loyalty.models.accounts import Earning, Plan, Program, Standing, TierStep, Visit
from services.loyalty.models.earning import (
    WEEK,
    BillFacts,
    BillLine,
    CapMet,
    CapOf,
    Counts,
    EarnRule,
    Menu,
    Multiplier,
    RuleCheck,
    Scheme,
    Trace,
    WeighedRule,
)
from services.loyalty.rules.bill_facts import unpack
from shared.inputs.bounds import MOST_POINTS
from shared.persian.calendar import month_of


class SeenBill(msgspec.Struct, frozen=True):
    """A bill as rules see it. `number`: which of the guest's visits it is; `counts` are as of its own day and month."""

    amount: int
    number: int
    at: datetime
    facts: BillFacts
    counts: Counts
    segments: tuple[str, ...]

    @property
    def branch(self) -> UUID | None:
        """Where it was, if the till said so."""
        return UUID(bytes=self.facts.branch) if self.facts.branch else None


def earn(plan: Plan, program: Program, step: TierStep, before: Standing, visit: Visit) -> tuple[Earning, Counts | None]:
    """What a visit earns a guest who had the standing `before` and stood on `step`, and what caps count after it: None
    when the program has no scheme, and nothing changes there."""
    scheme = program.scheme
    if scheme is None:
        points = min(MOST_POINTS, visit.amount * step.multiplier // (program.earn_per_toman * 100_000))
        return Earning(points, step.multiplier, program.version), None
    traced = trace(plan, scheme, step, before, visit)
    parts = traced.parts
    return Earning(sum(parts.values()), step.multiplier, program.version, parts), traced.counts


def trace(plan: Plan, scheme: Scheme, step: TierStep, before: Standing, visit: Visit) -> Trace:
    """The same with every rule, multiplier and cap, and what each saw."""
    seen = see(plan, before, visit)
    multipliers = [(each, list(_holds(each, seen))) for each in scheme.multipliers]
    active = [each for each, checks in multipliers if all(check.held for check in checks)]
    weighed = [_weigh(rule, seen, active, scheme, step) for rule in scheme.rules]
    cuts: list[CapMet] = []
    given = [each.points for each in weighed]
    for of, most, taken in _caps(scheme, seen.counts):
        room = max(0, most - taken)
        cuts.append(CapMet(of, most, room, sum(given)))
        given = _cut(given, room)
    weighed = [
        msgspec.structs.replace(each, given=points) if points else each
        for each, points in zip(weighed, given, strict=True)
    ]
    return Trace(weighed, multipliers, cuts, _counted(seen.counts, weighed, sum(given)))


def see(plan: Plan, before: Standing, visit: Visit) -> SeenBill:
    """The bill as rules see it."""
    at = visit.occurred_at.astimezone(ZoneInfo(plan.time_zone))
    counts = _as_of(before.counts, at.date(), month_of(at.date(), plan.calendar)[1])
    return SeenBill(visit.amount, before.total_visits + 1, at, unpack(visit.facts), counts, visit.segments)


def _as_of(counts: Counts | None, day: date, month_ends: date) -> Counts:
    if counts is None:
        return Counts(day, 0, month_ends, 0)
    same_day, same_month = counts.day == day, counts.month_ends == month_ends
    return Counts(
        day,
        counts.day_points if same_day else 0,
        month_ends,
        counts.month_points if same_month else 0,
        counts.hits if same_day else (),
    )


def _weigh(rule: EarnRule, seen: SeenBill, active: Sequence[Multiplier], scheme: Scheme, step: TierStep) -> WeighedRule:
    checks = list(_asks(rule, seen))
    if not all(check.held for check in checks):
        return WeighedRule(rule, checks)
    own = [each for each in active if not each.on or rule.key in each.on]
    if scheme.stacking == "best":
        own = sorted(own, key=lambda each: -each.factor)[:1]
    over, under = _fraction(rule, seen)
    for each in own:
        over, under = over * each.factor, under * 100
    if rule.by_tier:
        over, under = over * step.multiplier, under * 100
    return WeighedRule(rule, checks, min(MOST_POINTS, over // under), times=[each.key for each in own])


def _fraction(rule: EarnRule, seen: SeenBill) -> tuple[int, int]:
    """The part as a fraction, before anything multiplies it."""
    match rule.kind:
        case "amount":
            return counting_amount(rule, seen), rule.per
        case "item_amount":
            return max(0, min(seen.amount, sum(line.amount or 0 for line in _matching(rule, seen)))), rule.per
        case "item_quantity":
            return rule.points * sum(line.quantity for line in _bought(rule, seen)), 1000
        case _:
            return rule.points, 1


def counting_amount(rule: EarnRule, seen: SeenBill) -> int:
    """The bill without the lines that don't count."""
    if rule.exclude is None:
        return seen.amount
    excluded = sum(line.amount or 0 for line in seen.facts.lines if is_of(rule.exclude, line))
    return max(0, min(seen.amount, seen.amount - excluded))


def _asks(rule: EarnRule, seen: SeenBill) -> Iterator[RuleCheck]:
    """The conditions of a rule."""
    if rule.minimum:
        amounts = {"bill": seen.amount, "minimum": rule.minimum}
        yield RuleCheck("minimum_bill", seen.amount >= rule.minimum, amounts=amounts)
    values: dict[str, int | str | None]
    match rule.kind:
        case "amount":
            counts = counting_amount(rule, seen)
            yield RuleCheck("amount_earns", counts > 0, amounts={"bill": counts, "earn_per": rule.per})
        case "item_quantity" | "item_amount":
            lines = list(_bought(rule, seen))
            values = {
                "lines": len(lines),
                "quantity": number_text(sum(line.quantity for line in lines)),
            }
            yield RuleCheck("item_bought", bool(lines), values)
        case "nth_visit":
            wanted = ", ".join(map(str, rule.numbers))
            yield RuleCheck(
                "visit_is_nth", seen.number in rule.numbers, {"visit_number": seen.number, "wanted": wanted}
            )
        case "every_nth_visit":
            every = rule.numbers[0]
            yield RuleCheck(
                "visit_is_every_nth", seen.number % every == 0, {"visit_number": seen.number, "every": every}
            )
    if rule.per_day is not None:
        had = dict(seen.counts.hits).get(rule.key, 0)
        yield RuleCheck("times_a_day", had < rule.per_day, {"today": had, "most": rule.per_day})


def _holds(multiplier: Multiplier, seen: SeenBill) -> Iterator[RuleCheck]:
    """The conditions of a multiplier."""
    if multiplier.weekdays:
        today = seen.at.weekday()
        yield RuleCheck("on_weekday", today in multiplier.weekdays, {"weekday": WEEK[today]})
    if (multiplier.since, multiplier.until) != (0, 24 * 60):
        minute = seen.at.hour * 60 + seen.at.minute
        values = {"hour": f"{seen.at:%H:%M}", "from": _clock(multiplier.since), "to": _clock(multiplier.until)}
        yield RuleCheck("at_hour", _within(minute, multiplier.since, multiplier.until), values)
    if multiplier.dates:
        day = seen.at.date()
        held = any(first <= day <= last for first, last in multiplier.dates)
        yield RuleCheck("on_date", held, {"day": day.isoformat()})
    if multiplier.branches:
        yield RuleCheck("in_branch", seen.branch in multiplier.branches)
    if multiplier.segments:
        wanted = ", ".join(sorted(multiplier.segments))
        yield RuleCheck("in_segment", not multiplier.segments.isdisjoint(seen.segments), {"wanted": wanted})


def _within(minute: int, since: int, until: int) -> bool:
    return since <= minute < until if since < until else minute >= since or minute < until


def _matching(rule: EarnRule, seen: SeenBill) -> Iterable[BillLine]:
    return (
        line
        for line in seen.facts.lines
        if rule.match is not None
        and is_of(rule.match, line)
        and not (rule.exclude is not None and is_of(rule.exclude, line))
    )


def _bought(rule: EarnRule, seen: SeenBill) -> Iterable[BillLine]:
    """A line below zero takes off the price of another, and nothing was bought by it."""
    return (line for line in _matching(rule, seen) if line.amount is None or line.amount >= 0)


def is_of(menu: Menu, line: BillLine) -> bool:
    """Whether the line has one of the words."""
    return line.category in menu.categories or line.sku in menu.skus or line.name in menu.names


def _caps(scheme: Scheme, counts: Counts) -> Iterator[tuple[CapOf, int, int]]:
    """The caps, and what was taken of each before this bill."""
    caps = scheme.caps
    yield "visit", MOST_POINTS if caps.visit is None else caps.visit, 0
    if caps.day is not None:
        yield "day", caps.day, counts.day_points
    if caps.month is not None:
        yield "month", caps.month, counts.month_points


def _cut(parts: Sequence[int], room: int) -> list[int]:
    left, kept = room, []
    for points in parts:
        kept.append(min(points, left))
        left -= kept[-1]
    return kept


def _counted(counts: Counts, weighed: Sequence[WeighedRule], points: int) -> Counts:
    hits = dict(counts.hits)
    for each in weighed:
        if each.rule.per_day is not None and all(check.held for check in each.checks):
            hits[each.rule.key] = hits.get(each.rule.key, 0) + 1
    return msgspec.structs.replace(
        counts,
        day_points=counts.day_points + points,
        month_points=counts.month_points + points,
        hits=tuple(sorted(hits.items())),
    )


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def number_text(thousandths: int) -> str:
    """1, 0.5: a quantity for people."""
    return f"{thousandths // 1000}.{thousandths % 1000:03}".rstrip("0").rstrip(".")
