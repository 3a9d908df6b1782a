"""Keeps every guest's segments right: after each change of what they are evaluated by, and as time goes by."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.customer.models.values import Cause, GuestKey, MaskChange, Move, Segmentation, SegmentRule
from services.customer.rules.causes import of_all_visits
from services.customer.rules.compile import compile_rules, read
from services.customer.rules.criteria import MOST_VALUES, attributes_of, clauses_of
from services.customer.rules.segments import segment_of, slots_of
from services.customer.store import activity, customers, segments
from shared.database.db import Connection
from shared.events.base import Event, caused_by
from shared.events.customer import SegmentChanged, SegmentEntered, SegmentLeft
from shared.messaging import outbox

# Rule sets in one statement: an expression per rule set is planned each time.
RULESETS_AT_ONCE = 20
# Parameters of one statement, of which PostgreSQL takes 32,767.
VALUES_AT_ONCE = 30_000
STALE_AT_ONCE = 50_000


@dataclass(frozen=True)
class Rulebook:
    """The segments of some cafes by cafe and slot, the rules in force by cafe, and the reason for each cafe whose
    guests are all being evaluated again."""

    by_slot: Mapping[tuple[UUID, int], Segmentation]
    rules: Mapping[UUID, tuple[SegmentRule, ...]]
    recalculated_for: Mapping[UUID, str]

    def cafes_asking(self, names: Collection[str]) -> set[UUID]:
        """The cafes with a rule about any of these attributes."""
        return {
            cafe_id
            for cafe_id, rules in self.rules.items()
            if any(asked.name in names for rule in rules for asked in attributes_of(read(rule.criteria)))
        }

    def explain(self, guest: GuestKey, cause: Cause) -> Cause:
        """Why the guest moves. While all guests are being evaluated by changed definitions, nobody can say that `cause`
        moved this one: then the change is the reason."""
        reason = self.recalculated_for.get(guest.cafe_id)
        return cause if reason is None else Cause(reason, cause.event)


@dataclass(frozen=True)
class _Moves:
    """Who entered which segment, and who left which."""

    entered: Sequence[tuple[GuestKey, Segmentation]]
    left: Sequence[tuple[GuestKey, Segmentation]]


async def reevaluate(
    conn: Connection,
    causes: Mapping[GuestKey, Cause],
    *,
    now: datetime,
    changed: Collection[str] | None = None,
) -> list[MaskChange]:
    """Evaluates these guests by the segments of their cafes, and writes, counts and publishes what changed.

    Args:
        causes: why each guest is looked at. The caller has locked their activity rows.
        changed: the only attributes that can have changed, when that is known: guests of cafes whose rules ask about
            none of them are not looked at.
    """
    if not causes:
        return []
    cafe_ids = {guest.cafe_id for guest in causes}
    await segments.hold_definitions(conn, cafe_ids)
    rulebook = await _rulebook(conn, cafe_ids)
    if changed is not None:
        asking = rulebook.cafes_asking(changed)
        causes = {guest: cause for guest, cause in causes.items() if guest.cafe_id in asking}
    verdicts = await _evaluate(conn, causes, rulebook, now)
    await _write(conn, verdicts, rulebook, causes, now)
    return verdicts


async def remove_from_all_segments(conn: Connection, guest: GuestKey, cause: Cause, *, now: datetime) -> None:
    """Takes the guest out of every segment; nobody evaluates this guest any more. Lock the activity row first."""
    await segments.hold_definitions(conn, {guest.cafe_id})
    rulebook = await _rulebook(conn, {guest.cafe_id})
    old_mask = await activity.forget(conn, guest)
    moves = _moves([MaskChange(guest, old_mask, 0)], rulebook)
    await outbox.emit(conn, await _move(conn, moves, {guest: cause}, now))
    await _count(conn, moves, now)


async def reevaluate_due(conn: Connection, due: Sequence[GuestKey], *, now: datetime) -> int:
    """Evaluates guests whose moment has come, locked by `activity.take_due`; returns how many."""
    await reevaluate(conn, dict.fromkeys(due, Cause("time")), now=now)
    return len(due)


async def find_stale_memberships(conn: Connection, cafe_id: UUID, *, now: datetime) -> list[GuestKey]:
    """Up to 50,000 guests of the cafe whose stored segments are not those that the definitions in force give."""
    rulebook = await _rulebook(conn, {cafe_id})
    evaluation = compile_rules((rulebook.rules.get(cafe_id, ()),), 4)
    return await activity.find_stale_memberships(conn, cafe_id, evaluation, now, STALE_AT_ONCE)


async def lock_and_reevaluate(conn: Connection, guests: Sequence[GuestKey], *, reason: str, now: datetime) -> int:
    """Evaluates these guests, found by another transaction; returns how many."""
    await activity.lock(conn, guests)
    await reevaluate(conn, dict.fromkeys(guests, Cause(reason)), now=now)
    return len(guests)


async def _rulebook(conn: Connection, cafe_ids: set[UUID]) -> Rulebook:
    by_slot, rules, recalculated_for = {}, defaultdict[UUID, list[SegmentRule]](list), {}
    for segment in await segments.load(conn, cafe_ids):
        by_slot[segment.cafe_id, segment.slot] = segment
        in_force = rules[segment.cafe_id]
        if segment.in_force:
            in_force.append(SegmentRule(segment.slot, segment.criteria))
        if segment.recalculated_for is not None:
            recalculated_for[segment.cafe_id] = segment.recalculated_for
    return Rulebook(by_slot, {cafe_id: tuple(own) for cafe_id, own in rules.items()}, recalculated_for)


async def _evaluate(
    conn: Connection, touched: Collection[GuestKey], rulebook: Rulebook, now: datetime
) -> list[MaskChange]:
    # Cafes with equal rules, such as all that have only the system segments, share one case of the statement. A cafe
    # without any segment is not known yet: its guests are evaluated once it is.
    guests_under = defaultdict[tuple[SegmentRule, ...], list[GuestKey]](list)
    for guest in touched:
        if guest.cafe_id in rulebook.rules:
            guests_under[rulebook.rules[guest.cafe_id]].append(guest)
    verdicts = []
    for chunk in _statements(sorted(guests_under)):
        asked = [(guest, index) for index, rules in enumerate(chunk) for guest in guests_under[rules]]
        evaluation = compile_rules(chunk, 5, by_key=True)
        verdicts += await activity.evaluate(
            conn, [guest for guest, _ in asked], [index for _, index in asked], evaluation, now
        )
    return verdicts


def _statements(rulesets: Sequence[tuple[SegmentRule, ...]]) -> list[tuple[tuple[SegmentRule, ...], ...]]:
    """The rule sets by statement: as many as one holds."""
    chunks, room = list[list[tuple[SegmentRule, ...]]](), 0
    for rules in rulesets:
        values = MOST_VALUES * sum(clauses_of(read(rule.criteria)) for rule in rules)
        if not chunks or len(chunks[-1]) == RULESETS_AT_ONCE or values > room:
            chunks.append([])
            room = VALUES_AT_ONCE
        chunks[-1].append(rules)
        room -= values
    return [tuple(chunk) for chunk in chunks]


async def _write(
    conn: Connection,
    verdicts: Sequence[MaskChange],
    rulebook: Rulebook,
    causes: Mapping[GuestKey, Cause],
    now: datetime,
) -> None:
    moved = [verdict for verdict in verdicts if verdict.old_mask != verdict.new_mask]
    if moved:
        moves = _moves(moved, rulebook)
        whys = {verdict.guest: _why(verdict, rulebook, causes[verdict.guest]) for verdict in moved}
        events = await _move(conn, moves, whys, now)
        events += await _show(conn, moved, whys, now)
        await outbox.emit(conn, events)
        await _count(conn, moves, now)


def _why(verdict: MaskChange, rulebook: Rulebook, cause: Cause) -> Cause:
    if verdict.old_mask is None:
        cause = of_all_visits(cause, verdict.first_visit_at)
    return rulebook.explain(verdict.guest, cause)


def _moves(verdicts: Sequence[MaskChange], rulebook: Rulebook) -> _Moves:
    entered, left = list[tuple[GuestKey, Segmentation]](), list[tuple[GuestKey, Segmentation]]()
    for guest, old_mask, new, _ in verdicts:
        old = old_mask or 0
        entered.extend((guest, rulebook.by_slot[guest.cafe_id, slot]) for slot in slots_of(new & ~old))
        left.extend((guest, rulebook.by_slot[guest.cafe_id, slot]) for slot in slots_of(old & ~new))
    return _Moves(entered, left)


async def _move(conn: Connection, moves: _Moves, causes: Mapping[GuestKey, Cause], now: datetime) -> list[Event]:
    """Writes the moves; returns what is to be published of them."""
    left = [_move_of(guest, segment, causes[guest]) for guest, segment in moves.left]
    entered = [_move_of(guest, segment, causes[guest]) for guest, segment in moves.entered]
    if left:
        await segments.leave(conn, left, now)
    if entered:
        await segments.enter(conn, entered, now)
    return [
        *(SegmentLeft(**_facts(guest, segment, causes[guest], now)) for guest, segment in moves.left),
        *(SegmentEntered(**_facts(guest, segment, causes[guest], now)) for guest, segment in moves.entered),
    ]


async def _count(conn: Connection, moves: _Moves, now: datetime) -> None:
    """Last of all: everybody else who evaluates guests of these cafes waits for the rows until we commit."""
    entered = Counter((guest.cafe_id, segment.id) for guest, segment in moves.entered)
    left = Counter((guest.cafe_id, segment.id) for guest, segment in moves.left)
    if entered or left:
        await segments.count(conn, {key: (entered[key], left[key]) for key in entered.keys() | left.keys()}, now)


async def _show(
    conn: Connection, moved: Sequence[MaskChange], causes: Mapping[GuestKey, Cause], now: datetime
) -> list[Event]:
    """Writes the one segment of the guests for whom it changed; returns what is to be published of it."""
    seen = ((guest, segment_of(old_mask), segment_of(new_mask)) for guest, old_mask, new_mask, _ in moved)
    shown = sorted((guest, old, new) for guest, old, new in seen if old != new)
    if not shown:
        return []
    await customers.set_segments(conn, {guest: new for guest, _, new in shown}, now)
    return [
        SegmentChanged(
            cafe_id=guest.cafe_id,
            customer_id=guest.customer_id,
            occurred_at=now,
            segment=new,
            previous_segment=old,
            **_tie(causes[guest]),
        )
        for guest, old, new in shown
    ]


def _move_of(guest: GuestKey, segment: Segmentation, cause: Cause) -> Move:
    if cause.event is None:
        return Move(guest, segment.id, cause.reason, None, None, None)
    visit_id = getattr(cause.event, "visit_id", None)
    return Move(guest, segment.id, cause.reason, cause.event.event_id, visit_id, cause.event.correlation_id)


def _facts(guest: GuestKey, segment: Segmentation, cause: Cause, now: datetime) -> dict[str, Any]:
    return {
        "cafe_id": guest.cafe_id,
        "customer_id": guest.customer_id,
        "occurred_at": now,
        "segment_id": segment.id,
        "segment_key": segment.key,
        "reason": cause.reason,
        "visit_at": cause.visit_at,
        **_tie(cause),
    }


def _tie(cause: Cause) -> dict[str, Any]:
    return caused_by(cause.event) if cause.event else {}
