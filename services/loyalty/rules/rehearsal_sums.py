"""What a rehearsal adds up over the guests of a cafe: in several processes at once, each with sums of its own."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from heapq import nlargest
from struct import Struct
from typing import Final, TypeVar, get_args
from uuid import UUID

from services.loyalty.models.accounts import Counted, Plan
from services.loyalty.models.earning import BASE
from services.loyalty.models.rehearsals import (
    GROUPS,
    MOST_EXAMPLES,
    MOST_SHOWN,
    ChangeGroup,
    DifferingRedemption,
    DifferingVisit,
    GuestOutcome,
    MonthOfLapse,
    MonthOfRule,
    RehearsalReport,
    SelfCheck,
    TierMove,
    TierOfLadder,
    Uncovered,
)
from services.loyalty.rules import lapsing
from services.loyalty.rules.rehearsing import Trial, TriedGuest
from shared.events.base import Tier
from shared.persian.calendar import day_bounds, local_date, month_of

TIERS: Final[tuple[Tier, ...]] = get_args(Tier)
_NEVER: Final = -1
_SAME: Final = GROUPS.index(0)
# Older bills count with the first of these months, and what lapses later with the last.
_YEARS_BACK, _YEARS_AHEAD = 30, 12
_ROW = Struct("<16sqqqqBB")
_DAY = timedelta(days=1)
_FAR = datetime.max.replace(tzinfo=UTC)
Example = TypeVar("Example")


class CafeMonths:
    """The months of a cafe, each by a number and by its first day."""

    def __init__(self, plan: Plan, moment: datetime) -> None:
        today = local_date(moment, plan.time_zone)
        day, last = today - _YEARS_BACK * 366 * _DAY, today + _YEARS_AHEAD * 366 * _DAY
        self.first_days: list[date] = []
        while day <= last:
            first, end = month_of(day, plan.calendar)
            self.first_days.append(first)
            day = end + _DAY
        # In UTC, as bills are: across time zones a comparison asks both for their offset.
        self._starts = [day_bounds(first, plan.time_zone)[0].astimezone(UTC) for first in self.first_days]

    def number(self, moment: datetime) -> int:
        """The number of the month of a moment."""
        return max(0, bisect_right(self._starts, moment) - 1)

    def place(self, moment: datetime) -> tuple[int, datetime]:
        """The same, and when the month is over."""
        number = self.number(moment)
        return number, self._starts[number + 1] if number + 1 < len(self._starts) else _FAR


@dataclass
class GuestSums:
    """The sums of some guests. They can be added to those of others, in any order."""

    guests: int = 0
    visits: int = 0
    visits_differing: int = 0
    redemptions: int = 0
    redemptions_differing: int = 0
    differing_visits: list[DifferingVisit] = field(default_factory=list)
    differing_redemptions: list[DifferingRedemption] = field(default_factory=list)
    books: int = 0
    points_before: int = 0
    points_after: int = 0
    issued_before: Counter[tuple[int, str]] = field(default_factory=Counter)
    issued_after: Counter[tuple[int, str]] = field(default_factory=Counter)
    left_before: Counter[int] = field(default_factory=Counter)
    left_after: Counter[int] = field(default_factory=Counter)
    lapsed_before: int = 0
    lapsed_after: int = 0
    cards_before: int = 0
    cards_after: int = 0
    uncovered: int = 0
    uncovered_points: int = 0
    uncovered_guests: int = 0
    uncovered_first: list[Uncovered] = field(default_factory=list)
    moves: Counter[tuple[Tier, Tier]] = field(default_factory=Counter)
    groups: Counter[int] = field(default_factory=Counter)
    winners: list[GuestOutcome] = field(default_factory=list)
    losers: list[GuestOutcome] = field(default_factory=list)

    def take(self, tried: TriedGuest, balance: int, months: CafeMonths) -> None:
        """Adds a guest, who has that balance in the books."""
        outcome = tried.outcome
        self.guests += 1
        self.visits += len(tried.bills)
        self.visits_differing += len(tried.differing_visits)
        self.redemptions += tried.redemptions
        self.redemptions_differing += len(tried.differing_redemptions)
        _keep(self.differing_visits, tried.differing_visits)
        _keep(self.differing_redemptions, tried.differing_redemptions)
        self.books += max(0, balance)
        self.points_before += outcome.points_before
        self.points_after += outcome.points_after
        _issue(self.issued_before, tried.bills, months)
        _issue(self.issued_after, tried.under_draft, months)
        _leave(self.left_before, tried.left_before.points, months)
        _leave(self.left_after, tried.left_after.points, months)
        self.lapsed_before += tried.left_before.lapsed
        self.lapsed_after += tried.left_after.lapsed
        self.cards_before += tried.cards_before
        self.cards_after += tried.cards_after
        if tried.uncovered:
            self.uncovered += len(tried.uncovered)
            self.uncovered_points += sum(each.points for each in tried.uncovered)
            self.uncovered_guests += 1
            self.uncovered_first = _first(self.uncovered_first, tried.uncovered)
        self.moves[outcome.tier_before, outcome.tier_after] += 1
        self.groups[_group(outcome.change)] += 1
        if outcome.change:
            (self.winners if outcome.change > 0 else self.losers).append(outcome)
            if len(self.winners) + len(self.losers) > 20 * MOST_SHOWN:
                self._forget_all_but_the_largest()

    def add(self, other: "GuestSums") -> None:
        """Adds the sums of other guests."""
        for name in ("guests", "visits", "visits_differing", "redemptions", "redemptions_differing", "books",
                     "points_before", "points_after", "lapsed_before", "lapsed_after", "uncovered", "uncovered_points",
                     "uncovered_guests", "cards_before", "cards_after"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("issued_before", "issued_after", "left_before", "left_after", "moves", "groups"):
            getattr(self, name).update(getattr(other, name))
        _keep(self.differing_visits, other.differing_visits)
        _keep(self.differing_redemptions, other.differing_redemptions)
        self.uncovered_first = _first(self.uncovered_first, other.uncovered_first)
        self.winners += other.winners
        self.losers += other.losers
        self._forget_all_but_the_largest()

    def _forget_all_but_the_largest(self) -> None:
        self.winners = nlargest(MOST_SHOWN, self.winners, key=lambda each: (each.change, each.customer_id))
        self.losers = nlargest(MOST_SHOWN, self.losers, key=lambda each: (-each.change, each.customer_id))


def report(
    trial: Trial,
    sums: GuestSums,
    months: CafeMonths,
    *,
    recount_waits: bool,
    prices: tuple[int | None, int | None],
    seconds: float,
) -> RehearsalReport:
    """The report of all guests. `prices`: what a point is worth by the rules in force and by the draft."""
    sums.add(GuestSums())
    ladder = {step.tier for plan in (trial.present, trial.draft) for step in plan.programs[-1].steps}
    ladder |= {tier for move in sums.moves for tier in move}
    return RehearsalReport(
        at=trial.moment,
        ladder_at=trial.ladder_at,
        seconds=round(seconds, 3),
        check=_check(sums, recount_waits),
        guests=sums.guests,
        points_before=sums.points_before,
        points_after=sums.points_after,
        months=tuple(_months(sums, months)),
        liability_books=sums.books,
        liability_before=sums.left_before.total(),
        liability_after=sums.left_after.total(),
        lapses=tuple(_lapses(sums, months)),
        lapsed_before=sums.lapsed_before,
        lapsed_after=sums.lapsed_after,
        cards_before=sums.cards_before,
        cards_after=sums.cards_after,
        redemptions=sums.redemptions,
        uncovered=sums.uncovered,
        uncovered_points=sums.uncovered_points,
        uncovered_guests=sums.uncovered_guests,
        uncovered_first=tuple(sums.uncovered_first),
        ladder=tuple(_ladder(sums, [tier for tier in TIERS if tier in ladder])),
        moves=tuple(
            TierMove(origin, target, guests)
            for (origin, target), guests in sorted(sums.moves.items(), key=lambda each: (-each[1], each[0]))
            if origin != target
        ),
        winning=sum(guests for group, guests in sums.groups.items() if group > _SAME),
        losing=sum(guests for group, guests in sums.groups.items() if group < _SAME),
        winners=tuple(sums.winners),
        losers=tuple(sums.losers),
        groups=tuple(_groups(sums)),
        toman_per_point_before=prices[0],
        toman_per_point_after=prices[1],
    )


def packed(outcomes: Iterable[GuestOutcome]) -> bytes:
    """Guests' rows in few bytes."""
    return b"".join(
        _ROW.pack(
            each.customer_id.bytes, each.points_before, each.points_after, each.balance_before, each.balance_after,
            TIERS.index(each.tier_before), TIERS.index(each.tier_after),
        )
        for each in outcomes
    )  # fmt: skip


def unpacked(rows: bytes) -> Iterator[GuestOutcome]:
    """The same rows again."""
    for row in _ROW.iter_unpack(rows):
        yield GuestOutcome(UUID(bytes=row[0]), row[1], row[2], row[3], row[4], TIERS[row[5]], TIERS[row[6]])


def _keep(kept: list[Example], found: Sequence[Example]) -> None:
    if found:
        kept.extend(found[: MOST_EXAMPLES - len(kept)])


def _first(kept: Sequence[Uncovered], found: Sequence[Uncovered]) -> list[Uncovered]:
    return sorted([*kept, *found], key=lambda each: (each.at, each.redemption_id))[:MOST_SHOWN]


def _issue(issued: Counter[tuple[int, str]], bills: Iterable[Counted], months: CafeMonths) -> None:
    # A guest's bills come in their order, so that one month follows the other.
    month, until, plain = -1, None, 0
    for counted in bills:
        earning = counted.earning
        if earning is None:
            continue
        at = counted.visit.occurred_at
        if until is None or at >= until:
            if plain:
                issued[month, BASE] += plain
            month, until = months.place(at)
            plain = 0
        if earning.parts is None:
            plain += earning.points
        else:
            for rule, points in earning.parts.items():
                issued[month, rule] += points
    if plain:
        issued[month, BASE] += plain


def _leave(left: Counter[int], points: Mapping[datetime | None, int], months: CafeMonths) -> None:
    for expires_at, some in points.items():
        left[_NEVER if expires_at is None else months.number(lapsing.last_moment(expires_at))] += some


def _group(change: int) -> int:
    return max(place for place, least in enumerate(GROUPS) if least is None or change >= least)


def _check(sums: GuestSums, recount_waits: bool) -> SelfCheck:
    return SelfCheck(
        holds=not sums.visits_differing and not sums.redemptions_differing,
        visits=sums.visits,
        visits_differing=sums.visits_differing,
        redemptions=sums.redemptions,
        redemptions_differing=sums.redemptions_differing,
        recount_waits=recount_waits,
        differing_visits=tuple(sums.differing_visits),
        differing_redemptions=tuple(sums.differing_redemptions),
    )


def _months(sums: GuestSums, months: CafeMonths) -> Iterator[MonthOfRule]:
    for month, rule in sorted(sums.issued_before.keys() | sums.issued_after.keys()):
        before, after = sums.issued_before[month, rule], sums.issued_after[month, rule]
        if before or after:
            yield MonthOfRule(months.first_days[month], rule, before, after)


def _lapses(sums: GuestSums, months: CafeMonths) -> Iterator[MonthOfLapse]:
    numbers = sorted(sums.left_before.keys() | sums.left_after.keys(), key=lambda each: (each == _NEVER, each))
    for number in numbers:
        month = None if number == _NEVER else months.first_days[number]
        yield MonthOfLapse(month, sums.left_before[number], sums.left_after[number])


def _ladder(sums: GuestSums, tiers: Sequence[Tier]) -> Iterator[TierOfLadder]:
    for tier in tiers:
        before = sum(guests for (origin, _), guests in sums.moves.items() if origin == tier)
        after = sum(guests for (_, target), guests in sums.moves.items() if target == tier)
        yield TierOfLadder(tier, before, after)


def _groups(sums: GuestSums) -> Iterator[ChangeGroup]:
    for place, least in enumerate(GROUPS):
        following = GROUPS[place + 1] if place + 1 < len(GROUPS) else None
        most = None if following is None else following - 1
        yield ChangeGroup(least, most, sums.groups[place])
