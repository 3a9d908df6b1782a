"""Lots of points: spent in the order of their expiry, refilled by what is given back, with any debt kept as one lot
below zero, so that they always sum up to the balance."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.models.accounts import Lot

Lots = Mapping[UUID, Lot]
Drawn = tuple[tuple[UUID, int], ...]

_NEVER = datetime.max.replace(tzinfo=UTC)


def total(lots: Lots) -> int:
    """The balance that the lots hold."""
    return sum(lot.remaining for lot in lots.values())


def add(lots: Lots, gained: Lot, debt_id: UUID, moment: datetime) -> dict[UUID, Lot]:
    """The lots after `gained.points` more points under that id; they pay the guest's debt first."""
    kept = lots.get(gained.lot_id)
    points = gained.points + (kept.points if kept else 0)
    remaining = gained.points + (kept.remaining if kept else 0)
    after = dict(lots) | {gained.lot_id: replace(gained, points=points, remaining=remaining)}
    owed = -after[debt_id].remaining if debt_id in after else 0
    if owed:
        after, paid = _draw(after, min(owed, remaining), (gained.lot_id,))
        after = _owe(after, debt_id, sum(points for _, points in paid), moment)
    return after


def waiting(lots: Lots, moment: datetime) -> int:
    """The points that can't be spent yet."""
    return sum(lot.remaining for lot in lots.values() if lot.available_at and lot.available_at > moment)


def date(
    lots: Lots, lot_id: UUID, earned_at: datetime, expires_at: datetime | None, available_at: datetime | None = None
) -> Lots:
    """The lots with these dates for one of them, if it is there."""
    lot = lots.get(lot_id)
    if lot is None:
        return lots
    return {**lots, lot_id: replace(lot, earned_at=earned_at, expires_at=expires_at, available_at=available_at)}


def date_all(lots: Lots, dates: Mapping[UUID, tuple[datetime, datetime | None]]) -> Lots:
    """The same for many, but for when they may be spent."""
    there = dates.keys() & lots.keys()
    return {
        **lots,
        **{each: replace(lots[each], earned_at=dates[each][0], expires_at=dates[each][1]) for each in there},
    }


def shrink(lots: Lots, lot_id: UUID, points: int, debt_id: UUID, moment: datetime) -> dict[UUID, Lot]:
    """The lots after `points` of an earning were taken back: from its own lot, then from the others, then as debt."""
    after, drawn = _draw(lots, points, (lot_id, *_by_expiry(lots)))
    missing = points - sum(taken for _, taken in drawn)
    own = after.get(lot_id)
    if own is not None:
        # What was spent of this earning was paid for by other lots, so their points stand for it now.
        after[lot_id] = replace(own, points=max(own.points - points, own.remaining))
    return _owe(after, debt_id, -missing, moment) if missing else after


def spend(lots: Lots, points: int, moment: datetime) -> tuple[dict[UUID, Lot], Drawn]:
    """The lots after spending, and which were drawn on: the closest to expiry first, then the oldest; those that wait
    at `moment` last.

    Raises ValueError when they hold less.
    """
    after, drawn = _draw(lots, points, _to_spend(lots, moment))
    if sum(taken for _, taken in drawn) < points:
        raise ValueError(f"lots hold less than {points}")
    return after, drawn


def spend_or_owe(lots: Lots, points: int, debt_id: UUID, moment: datetime) -> tuple[dict[UUID, Lot], Drawn]:
    """The same where the lots may hold less: what is missing is owed, and drawn from none."""
    after, drawn = _draw(lots, points, _to_spend(lots, moment))
    missing = points - sum(taken for _, taken in drawn)
    return (_owe(after, debt_id, -missing, moment) if missing else after), drawn


def refill(lots: Lots, drawn: Drawn, overflow_id: UUID, debt_id: UUID, moment: datetime) -> dict[UUID, Lot]:
    """The lots after points that were spent are given back.

    Points do not fit into a lot any more if its earning was taken back in between: a debt or other lots have paid for
    that since. So these points pay the debt first, then return to lots that have room and have not lapsed; the rest
    becomes a lot of its own.
    """
    fitting = [(lot_id, min(points, _room(lots.get(lot_id)))) for lot_id, points in drawn]
    overflow = sum(points for _, points in drawn) - sum(points for _, points in fitting)
    paid = min(overflow, -lots[debt_id].remaining if debt_id in lots else 0)
    after = add(lots, Lot(overflow_id, paid, paid, moment), debt_id, moment) if paid else dict(lots)
    for lot_id, points in fitting:
        after = _put_back(after, lot_id, points, debt_id, moment)
    overflow -= paid
    for lot_id in _by_expiry(after, held=False):
        if overflow and lot_id != overflow_id and (after[lot_id].expires_at or _NEVER) > moment:
            points = min(overflow, _room(after[lot_id]))
            after, overflow = _put_back(after, lot_id, points, debt_id, moment), overflow - points
    return add(after, Lot(overflow_id, overflow, overflow, moment), debt_id, moment) if overflow else after


def _room(lot: Lot | None) -> int:
    return lot.points - lot.remaining if lot and lot.points else 0


def _put_back(lots: dict[UUID, Lot], lot_id: UUID, points: int, debt_id: UUID, moment: datetime) -> dict[UUID, Lot]:
    if not points:
        return lots
    return add(_without(lots, lot_id, points), replace(lots[lot_id], points=points), debt_id, moment)


def _without(lots: dict[UUID, Lot], lot_id: UUID, points: int) -> dict[UUID, Lot]:
    lot = lots[lot_id]
    return lots | {lot_id: replace(lot, points=lot.points - points)}


def _draw(lots: Lots, points: int, order: Iterable[UUID]) -> tuple[dict[UUID, Lot], Drawn]:
    after, drawn = dict(lots), []
    for lot_id in order:
        lot = after.get(lot_id)
        taken = min(points, lot.remaining) if lot else 0
        if lot and taken > 0:
            after[lot_id] = replace(lot, remaining=lot.remaining - taken)
            drawn.append((lot_id, taken))
            points -= taken
    return after, tuple(drawn)


def _owe(lots: dict[UUID, Lot], debt_id: UUID, change: int, moment: datetime) -> dict[UUID, Lot]:
    debt = lots.get(debt_id) or Lot(debt_id, 0, 0, moment)
    return lots | {debt_id: replace(debt, remaining=debt.remaining + change)}


def _to_spend(lots: Lots, moment: datetime) -> list[UUID]:
    order = _by_expiry(lots)
    return sorted(order, key=lambda lot_id: (lots[lot_id].available_at or moment) > moment)


def _by_expiry(lots: Lots, *, held: bool = True) -> list[UUID]:
    """Ids of the lots that hold something, or of all."""
    ordered = sorted(lots.values(), key=lambda lot: (lot.expires_at or _NEVER, lot.earned_at, lot.lot_id))
    return [lot.lot_id for lot in ordered if lot.remaining > 0 or not held]
