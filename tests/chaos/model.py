"""A guest's account by the published rules alone, from the plain list of what happened.

Points and tiers: README, "Connect a till". Points lapse so many days after the visit or the gift, by the rules of that
moment. Spending takes first what lapses first. Points taken back come out of the visit's own, then out of the others,
then become a debt, which whatever comes in pays first. Points given back return to where they came from if they still
count there; else they pay a debt, return to others that have room, and never lapse otherwise.

A bill spends the points it asks for if the guest had them just before it: counted from earlier bills, from what was
given and taken until then and from what earlier bills spent, and as long as everything that was spent over HTTP, taken
or lapsed since stays covered. A bill that was voided only afterwards had its points until then.

A reward is spent for over HTTP while one is left. A bill that names it has it whole, whatever it asks for; what went
back is left for others, and nobody's bill takes it again.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from uuid import UUID

from deploy.demo.books import jalali_year
from tests.loyalty.schemes import NaiveCounts, PlainBill, naive_bill

NEVER = datetime.max.replace(tzinfo=UTC)
Tiers = tuple[tuple[str, int, Fraction], ...]
TIERS: Tiers = (
    ("bronze", 0, Fraction(1)),
    ("silver", 500, Fraction(6, 5)),
    ("gold", 1500, Fraction(3, 2)),
    ("platinum", 3000, Fraction(2)),
)


@dataclass(frozen=True)
class Rules:
    """One version of a cafe's rules, in force from `since` on."""

    since: datetime
    earn_per_toman: int = 1000
    tiers: Tiers = TIERS
    lapse_days: int | None = None
    forgives: bool = False
    approval_above: int = 1000
    # How bills earn beyond their amount, as one writes it.
    earning: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bill:
    """A visit as it stands now; `order` decides between visits of one moment."""

    at: datetime
    order: tuple[str, str]
    toman: Fraction
    is_void: bool = False
    asks: int = 0
    names: Hashable = None
    voided_at: datetime | None = None
    branch: UUID | None = None
    lines: Sequence[tuple[str | None, str | None, str | None, Fraction, Fraction | None]] = ()


@dataclass
class Redeemed:
    """Points that a bill asks for, or that were asked for over HTTP (`at`). By hand it is given back for good. `whole`:
    for a reward; it ends at `until` unless a bill names it."""

    points: int
    state: str
    at: datetime | None = None
    bill: Hashable = None
    by_hand: bool = False
    back_at: datetime | None = None
    whole: bool = False
    until: datetime | None = None


@dataclass
class Lot:
    """Points that came together. `room` is what was spent or lapsed of them and still counts as theirs."""

    at: datetime
    lapses: datetime
    left: int = 0
    room: int = 0


@dataclass
class Model:
    """One guest. Amounts of points are whole; `tier` is as of the last time anything touched the account."""

    rules: list[Rules]
    bills: dict[Hashable, Bill] = field(default_factory=dict)
    points: dict[Hashable, int] = field(default_factory=dict)
    lots: dict[Hashable, Lot] = field(default_factory=dict)
    spent: dict[Hashable, list[tuple[Hashable, int]]] = field(default_factory=dict)
    redeemed_as: dict[Hashable, Redeemed] = field(default_factory=dict)
    facts: list[tuple[datetime, int]] = field(default_factory=list)
    debt: int = 0
    earned: int = 0
    redeemed: int = 0
    lapsed: int = 0
    tier: str = "bronze"

    @property
    def balance(self) -> int:
        """What the guest can spend, or owes."""
        return sum(lot.left for lot in self.lots.values()) - self.debt

    @property
    def pieces(self) -> int:
        """How many of the reward are taken."""
        return sum(each.whole and each.state == "completed" for each in self.redeemed_as.values())

    def release(self, now: datetime) -> None:
        """Gives back what was reserved and no bill has named in time."""
        for name, each in self.redeemed_as.items():
            if each.state == "completed" and each.until and each.until <= now:
                self.give_back(name, now)
                each.state, each.back_at, each.until = "reversed", now, None
                self.tier = self.tier_at(now)

    def in_force(self, moment: datetime) -> Rules:
        """The rules of a moment."""
        return [each for each in self.rules if each.since <= moment][-1]

    def standing(self) -> list[Bill]:
        """The bills that count."""
        return [bill for bill in self.bills.values() if not bill.is_void]

    def tier_at(self, moment: datetime) -> str:
        """The tier of whoever buys nothing more."""
        by_year = self._count()[1]
        return self._held(self.in_force(moment), by_year, jalali_year(moment))[0]

    def take_bills(self, news: dict[Hashable, Bill], now: datetime) -> dict[Hashable, int]:
        """Counts everything anew with these bills; by bill, how many points more it is worth than before."""
        self.bills |= news
        counted = self._count()[0]
        changes = {}
        for name, bill in sorted(self.bills.items(), key=lambda each: (each[1].at, each[1].order)):
            changes[name] = counted.get(name, 0) - self.points.get(name, 0)
            self._date(name, bill)
            if changes[name] > 0:
                self.gain(name, changes[name], bill.at, self._lapses(bill.at))
            elif changes[name] < 0:
                self._take_back(name, -changes[name])
        self.points = counted
        self._redeem_again(now)
        self.tier = self.tier_at(now)
        return changes

    def _redeem_again(self, now: datetime) -> None:
        wanted = self._wanted()
        known = self.redeemed_as
        old = {name: each.points for name, each in known.items() if each.state == "completed"}
        gone = [name for name, each in known.items() if each.bill in self.bills and name not in wanted]
        new = {name: each.points for name, each in wanted.items() if each.state == "completed"}
        places = {name: place for place, (name, _) in enumerate(self._ordered())}
        gone.sort(key=lambda name: (places[known[name].bill], name == known[name].bill))
        for name in [*wanted, *gone]:
            if name in old and old[name] != new.get(name) and (name in wanted or not known[name].by_hand):
                self.give_back(name, now)
        for name in gone:
            if known[name].state != "reversed":
                known[name].state = "reversed"
        for name, each in wanted.items():
            if each.state == "completed" and old.get(name) != each.points:
                self.spend(name, each.points)
            known[name] = each

    def _wanted(self) -> dict[Hashable, Redeemed]:
        wanted: dict[Hashable, Redeemed] = {}
        asks: list[tuple[Hashable, Hashable, int]] = []
        claimed: set[Hashable] = set()
        for bill_id, bill in self._ordered():
            named = self.redeemed_as.get(bill.names)
            has_reward = named is not None and named.whole and named.state == "completed"
            if (bill.asks or has_reward) and not bill.is_void:
                asks += self._claim(bill_id, bill, wanted, claimed)
        granted = 0
        facts = [*self.facts, *self._spent_anyway(wanted, claimed)]
        for name, bill_id, points in asks:
            is_covered = self._least_since(bill_id, facts) - granted >= points
            granted += points if is_covered else 0
            wanted[name] = Redeemed(points, "completed" if is_covered else "refused", bill=bill_id)
        return wanted

    def _claim(
        self, bill_id: Hashable, bill: Bill, wanted: dict[Hashable, Redeemed], claimed: set[Hashable]
    ) -> list[tuple[Hashable, Hashable, int]]:
        """What is to be asked for: name, bill, how much. What is known already goes to `wanted`."""
        name, rest = bill.names or bill_id, bill.asks
        known, is_taken = self.redeemed_as.get(name), name in claimed
        claimed.add(name)
        if known and not is_taken and known.by_hand and known.bill == bill_id:
            return []
        if not is_taken and known and known.at is not None:
            if known.state == "completed":
                used = known.points if known.whole else min(rest, known.points)
                wanted[name] = Redeemed(used, "completed", known.at, bill_id, whole=known.whole)
                rest = max(0, rest - used)
            name = bill_id
        own = self.redeemed_as.get(bill_id if is_taken else name)
        if not rest or (own and own.by_hand):
            return []
        if is_taken:
            wanted[bill_id] = Redeemed(rest, "refused", bill=bill_id)
            return []
        return [(name, bill_id, rest)]

    def _spent_anyway(self, wanted: dict[Hashable, Redeemed], claimed: set[Hashable]) -> list[tuple[datetime, int]]:
        """What was spent over HTTP, and what was spent until it was given back by hand."""
        spent = [each for each in {**self.redeemed_as, **wanted}.values() if each.state == "completed"]
        facts = [(each.at, -each.points) for each in spent if each.at is not None]
        for name, each in self.redeemed_as.items():
            bill = self.bills.get(each.bill)
            at = each.at or (bill.at if bill and not bill.is_void else None)
            if each.back_at and at and (each.bill is not None or name not in claimed):
                facts += [(at, -each.points), (each.back_at, each.points)]
        return facts

    def _least_since(self, bill_id: Hashable, facts: list[tuple[datetime, int]]) -> int:
        """The least that the guest had, but for what bills spent, from just before a bill on."""
        at, order = self.bills[bill_id].at, self.bills[bill_id].order
        lost = sum(
            points
            for name, points in self._lost().items()
            if (self.bills[name].at, self.bills[name].order) < (at, order) and self.bills[name].voided_at > at
        )
        counted = self._count()[0]

        def had(until: datetime, until_order: tuple[str, str] | None) -> int:
            bills = [
                counted[name]
                for name, bill in self.bills.items()
                if name in counted
                and (bill.at < until or (until_order is not None and bill.at == until and bill.order < until_order))
            ]
            return sum(bills) + sum(change for moment, change in facts if moment <= until)

        return lost + min(
            [had(at, order), *(had(moment, None) for moment, change in facts if moment > at and change < 0)]
        )

    def _lost(self) -> dict[Hashable, int]:
        lost: dict[Hashable, int] = {}
        for name, bill, factor, number, counts in self._walked():
            rules = self.in_force(bill.at)
            by = rules.tiers[0][2] if factor is None else factor
            if bill.is_void and bill.voided_at:
                lost[name] = sum(_earned(rules, name, bill, by, number, counts)[0].values())
        return lost

    def _ordered(self) -> list[tuple[Hashable, Bill]]:
        return sorted(self.bills.items(), key=lambda each: (each[1].at, each[1].order))

    def forgive(self, name: Hashable, now: datetime) -> None:
        """Lets a debt go where the rules say so."""
        if self.balance < 0 and self.in_force(now).forgives:
            self.facts.append((now, -self.balance))
            self.gain(name, -self.balance, now, NEVER)

    def gain(self, name: Hashable, points: int, at: datetime, lapses: datetime) -> None:
        """Points come in."""
        self.earned += points
        self._put(name, points, at, lapses)

    def give(self, name: Hashable, points: int, now: datetime) -> None:
        """A gift."""
        self.facts.append((now, points))
        self.gain(name, points, now, self._lapses(now))

    def take(self, points: int, now: datetime) -> None:
        """Taken by hand."""
        self.facts.append((now, -points))
        self.earned -= points
        self._draw(points, self._first_to_lapse())

    def spend(self, name: Hashable, points: int) -> None:
        """Redeems points; what is not there is owed."""
        self.redeemed += points
        self.spent[name] = self._draw(points, self._first_to_lapse())
        owed = points - sum(taken for _, taken in self.spent[name])
        self.debt += owed
        if owed:
            self.spent[name].append((None, owed))

    def give_back(self, name: Hashable, now: datetime) -> None:
        """Undoes a redemption."""
        spent = self.spent.pop(name)
        fits = {source: min(points, self.lots[source].room) for source, points in spent if source is not None}
        over = sum(points for _, points in spent) - sum(fits.values())
        self.redeemed -= sum(points for _, points in spent)
        paid = min(over, self.debt)
        if paid:
            self._put((name, "over"), paid, now, NEVER)
        over -= paid
        for source, points in fits.items():
            self._return(source, points)
        # What others paid for since returns to them, as if it had been so from the beginning.
        for source in self._first_to_lapse():
            if source != (name, "over") and self.lots[source].lapses > now:
                points = min(over, self.lots[source].room)
                self._return(source, points)
                over -= points
        if over:
            self._put((name, "over"), over, now, NEVER)

    def _return(self, source: Hashable, points: int) -> None:
        self.lots[source].room -= points
        self._put(source, points, self.lots[source].at, self.lots[source].lapses)

    def lapse(self, now: datetime) -> None:
        """Takes what is over."""
        for lot in self.lots.values():
            if lot.lapses <= now:
                self.facts += [(lot.lapses, -lot.left)] if lot.left else []
                self.lapsed += lot.left
                lot.left, lot.room = 0, lot.room + lot.left

    def _count(self) -> tuple[dict[Hashable, int], dict[int, int]]:
        by_year: dict[int, int] = defaultdict(int)
        points: dict[Hashable, int] = {}
        for name, bill, factor, number, counts in self._walked(by_year):
            if factor is not None and not bill.is_void:
                points[name] = sum(_earned(self.in_force(bill.at), name, bill, factor, number, counts)[0].values())
        return points, by_year

    def _walked(
        self, by_year: dict[int, int] | None = None
    ) -> Iterator[tuple[Hashable, Bill, Fraction | None, int, NaiveCounts]]:
        """The bills in their order, each as the guest stands just before it: the factor of its tier (of the bill before
        for a void one), its number, what caps count."""
        sums = defaultdict(int) if by_year is None else by_year
        factor, number, counts = None, 1, NaiveCounts()
        for name, bill in self._ordered():
            rules, year = self.in_force(bill.at), jalali_year(bill.at)
            if bill.is_void:
                yield name, bill, factor, number, counts
                continue
            factor = self._held(rules, sums, year)[2]
            yield name, bill, factor, number, counts
            parts, matched = _earned(rules, name, bill, factor, number, counts)
            sums[year] += sum(parts.values())
            number += 1
            if rules.earning:
                counts.count(_plain(name, bill), parts, matched)

    def _held(self, rules: Rules, by_year: dict[int, int], year: int) -> tuple[str, int, Fraction]:
        best = max(by_year.get(year, 0), by_year.get(year - 1, 0))
        return [tier for tier in rules.tiers if tier[1] <= best][-1]

    def _lapses(self, at: datetime) -> datetime:
        days = self.in_force(at).lapse_days
        return at + timedelta(days=days) if days else NEVER

    def _date(self, name: Hashable, bill: Bill) -> None:
        if name in self.lots and not bill.is_void:
            self.lots[name].at, self.lots[name].lapses = bill.at, self._lapses(bill.at)

    def _put(self, name: Hashable, points: int, at: datetime, lapses: datetime) -> None:
        lot = self.lots.setdefault(name, Lot(at, lapses))
        paid = min(self.debt, points)
        self.debt -= paid
        lot.left, lot.room = lot.left + points - paid, lot.room + paid

    def _take_back(self, name: Hashable, points: int) -> None:
        self.earned -= points
        own = self.lots[name]
        of_own = min(points, own.left)
        own.left -= of_own
        rest = points - of_own
        # What others pay for is no longer to be given back here.
        own.room -= min(rest, own.room)
        self.debt += rest - sum(taken for _, taken in self._draw(rest, self._first_to_lapse()))

    def _first_to_lapse(self) -> list[Hashable]:
        return sorted(self.lots, key=lambda name: (self.lots[name].lapses, self.lots[name].at))

    def _draw(self, points: int, order: Iterable[Hashable]) -> list[tuple[Hashable, int]]:
        drawn = []
        for name in order:
            taken = min(points, self.lots[name].left)
            if taken:
                self.lots[name].left -= taken
                self.lots[name].room += taken
                points -= taken
                drawn.append((name, taken))
        return drawn


def _earned(
    rules: Rules, name: Hashable, bill: Bill, factor: Fraction, number: int, counts: NaiveCounts
) -> tuple[dict[str, int], list[str]]:
    written = {"earn_per_toman": rules.earn_per_toman, **rules.earning}
    return naive_bill(written, _plain(name, bill), number, factor, counts)


def _plain(name: Hashable, bill: Bill) -> PlainBill:
    return PlainBill(name, bill.at, bill.toman, bill.branch, bill.lines)
