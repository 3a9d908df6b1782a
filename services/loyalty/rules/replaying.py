"""What would be left of a guest's points, had other rules been in force: earnings, gifts, redemptions and lapses again,
in the order of the world, on lots that begin empty.

It does not guess: a guest asks for what the guest has asked for. What the lots do not cover is not spent.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

import msgspec
from msgspec.structs import replace

from services.loyalty.models.accounts import Counted, Lot, Redemption
from services.loyalty.models.rehearsals import PointEntry
from services.loyalty.rules import lots as lot_rules
from services.loyalty.rules.redeeming import is_of_bill

LapsesAt = Callable[[datetime], datetime | None]
"""When points of a moment lapse; None: never."""


class Short(NamedTuple):
    """A redemption that the lots did not cover, when it was, and what they held."""

    redemption: Redemption
    at: datetime
    had: int


class LeftOver(msgspec.Struct, frozen=True):
    """What is left in the end by the moment at which it lapses (None: never) and what the guest owes, what has lapsed,
    and what was not covered."""

    points: Mapping[datetime | None, int]
    lapsed: int = 0
    owed: int = 0
    short: Sequence[Short] = ()

    @property
    def balance(self) -> int:
        """The points that are left, less what is owed."""
        return sum(self.points.values()) - self.owed


class _Step(NamedTuple):
    """A change of the lots. At one moment what came apart from bills is first, then a bill spends, then it earns."""

    at: datetime
    rank: int
    place: int
    kind: str
    points: int
    lot_id: UUID | None = None
    redemption: Redemption | None = None


def untouched(bills: Iterable[Counted], lapses_at: LapsesAt, moment: datetime) -> LeftOver:
    """The same for a guest who never spent anything, and to whom nothing else happened: each earning is whole, or has
    lapsed."""
    left: dict[datetime | None, int] = {}
    lapsed = 0
    for counted in bills:
        earning = counted.earning
        if earning is None or not earning.points:
            continue
        expires_at = lapses_at(counted.visit.occurred_at)
        if expires_at is not None and expires_at <= moment:
            lapsed += earning.points
        else:
            left[expires_at] = left.get(expires_at, 0) + earning.points
    return LeftOver(left, lapsed)


def replay(
    bills: Sequence[Counted],
    lost: Mapping[UUID, int],
    redemptions: Iterable[Redemption],
    entries: Iterable[PointEntry],
    customer_id: UUID,
    lapses_at: LapsesAt,
    waits: Mapping[UUID, datetime],
    moment: datetime,
) -> LeftOver:
    """Everything again.

    Args:
        bills: all of the guest's in their order, with what they earn under the rules.
        lost: what each voided one would have earned: the guest had it until the void.
        redemptions: the guest's.
        entries: what came and went apart from bills and redemptions. What lapsed in the books lapses here by the rules.
        waits: from when on the points of bills can be spent that wait, by visit.
    """
    steps = _of_bills(bills, lost) + _of_redemptions(bills, redemptions, customer_id) + _of_entries(entries)
    return _Replay(customer_id, lapses_at, waits).run(sorted(steps, key=_ORDER), moment)


_ORDER = attrgetter("at", "rank", "place")


def _of_bills(bills: Sequence[Counted], lost: Mapping[UUID, int]) -> list[_Step]:
    steps = []
    for place, counted in enumerate(bills):
        visit, points = counted.visit, counted.points
        if visit.state == "voided":
            points = lost.get(visit.visit_id, 0)
            if not points or visit.voided_at is None or visit.voided_at <= visit.occurred_at:
                continue
            steps.append(_Step(visit.voided_at, 0, place, "void", points, visit.visit_id))
        if points:
            steps.append(_Step(visit.occurred_at, 1, 2 * place + 1, "earn", points, visit.visit_id))
    return steps


def _of_redemptions(bills: Sequence[Counted], redemptions: Iterable[Redemption], customer_id: UUID) -> list[_Step]:
    places = {each.visit.visit_id: place for place, each in enumerate(bills) if each.visit.state != "voided"}
    steps = []
    for each in redemptions:
        if each.customer_id != customer_id or each.state == "refused" or each.undone_by_bill:
            continue
        place = places.get(each.visit_id) if is_of_bill(each) and each.visit_id else None
        at, rank, order = each.created_at, 0, -1
        if place is not None:
            at, rank, order = bills[place].visit.occurred_at, 1, 2 * place
        steps.append(_Step(at, rank, order, "spend", each.points, redemption=each))
        if each.state == "reversed" and each.reversed_at is not None:
            steps.append(_Step(max(at, each.reversed_at), 2, order, "back", each.points, redemption=each))
    return steps


def _of_entries(entries: Iterable[PointEntry]) -> list[_Step]:
    kept = [each for each in entries if not each.lapses]
    return [
        _Step(each.at, 0, -2, "forgive" if each.forgives else "give" if each.change > 0 else "take", abs(each.change))
        for each in kept
    ]


class _Replay:
    """The lots of one guest while everything happens again."""

    def __init__(self, customer_id: UUID, lapses_at: LapsesAt, waits: Mapping[UUID, datetime]) -> None:
        self.customer_id, self.lapses_at, self.waits = customer_id, lapses_at, waits
        self.lots: dict[UUID, Lot] = {}
        self.lapsed = self.gifts = 0
        self.drawn: dict[UUID, lot_rules.Drawn] = {}
        self.short: list[Short] = []

    def run(self, steps: Iterable[_Step], moment: datetime) -> LeftOver:
        for step in steps:
            if step.kind not in ("earn", "give"):
                self._lapse(step.at)
            self._do(step)
        self._lapse(moment)
        left: dict[datetime | None, int] = {}
        owed = 0
        for lot in self.lots.values():
            if lot.remaining > 0:
                left[lot.expires_at] = left.get(lot.expires_at, 0) + lot.remaining
            owed -= min(0, lot.remaining)
        return LeftOver(left, self.lapsed, owed, self.short)

    def _do(self, step: _Step) -> None:
        match step.kind:
            case "earn":
                assert step.lot_id is not None
                self._gain(step.lot_id, step.points, step.at)
            case "give":
                self._gain(self._new_id(), step.points, step.at)
            case "void":
                assert step.lot_id is not None
                self.lots = lot_rules.shrink(self.lots, step.lot_id, step.points, self.customer_id, step.at)
            case "take":
                self.lots, _ = lot_rules.spend_or_owe(self.lots, step.points, self.customer_id, step.at)
            case "forgive":
                owed = self.lots.get(self.customer_id)
                paid = min(step.points, -owed.remaining) if owed else 0
                if paid:
                    gift = Lot(self._new_id(), paid, paid, step.at)
                    self.lots = lot_rules.add(self.lots, gift, self.customer_id, step.at)
            case "spend":
                self._spend(step)
            case "back":
                self._back(step)

    def _spend(self, step: _Step) -> None:
        assert step.redemption is not None
        had = max(0, lot_rules.total(self.lots) - lot_rules.waiting(self.lots, step.at))
        if had < step.points:
            self.short.append(Short(step.redemption, step.at, had))
            return
        self.lots, self.drawn[step.redemption.redemption_id] = lot_rules.spend(self.lots, step.points, step.at)

    def _back(self, step: _Step) -> None:
        assert step.redemption is not None
        drawn = self.drawn.pop(step.redemption.redemption_id, None)
        if drawn is not None:
            self.lots = lot_rules.refill(self.lots, drawn, self._new_id(), self.customer_id, step.at)

    def _gain(self, lot_id: UUID, points: int, at: datetime) -> None:
        gained = Lot(lot_id, points, points, at, self.lapses_at(at), self.waits.get(lot_id))
        self.lots = lot_rules.add(self.lots, gained, self.customer_id, at)

    def _new_id(self) -> UUID:
        # Ids of lots order those that lapse at one moment, so they are made by counting.
        self.gifts += 1
        return UUID(int=self.gifts)

    def _lapse(self, moment: datetime) -> None:
        for lot_id, lot in list(self.lots.items()):
            if lot.remaining > 0 and lot.expires_at is not None and lot.expires_at <= moment:
                self.lapsed += lot.remaining
                self.lots[lot_id] = replace(lot, remaining=0)
