"""Segment definitions: the three that every cafe has, and those that staff make."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from services.customer.models.http import (
    AttributeView,
    ChangeSegment,
    CreateSegment,
    DayOfSegment,
    MemberPage,
    PreviewSegment,
    SegmentHistory,
    SegmentMember,
    SegmentView,
)
from services.customer.models.values import Judged, MovesOfDay
from services.customer.rules import amounts
from services.customer.rules.attributes import ATTRIBUTES, FORMS, AttributeKind
from services.customer.rules.compile import compile_condition, read
from services.customer.rules.criteria import MOST_CLAUSES_OF_CAFE, clauses_of, parse
from services.customer.rules.history import day_by_day
from services.customer.rules.segments import SLOTS, SYSTEM, first_free
from services.customer.store import activity, customers, segments
from shared import clock
from shared.clock import new_id
from shared.database.db import Connection, Pool
from shared.errors import NotFound, Rejected
from shared.events.customer import SegmentKey, SegmentListChanged
from shared.events.identity import CafeChanged
from shared.jobs.by_cafe import ByCafe
from shared.messaging import outbox
from shared.persian.calendar import local_date
from shared.persian.money import Unit
from shared.persian.text import persian_digits
from shared.security import access

CAFES_TOLD_AT_ONCE = 200
# A change of one of these makes it necessary to evaluate all guests again.
EVALUATED_BY = ("criteria", "is_active")
FACES = 12
# A million guests take one to two seconds.
LONGEST_PREVIEW = 8
KEPT_DAYS = timedelta(days=400)
PRUNED_AT_ONCE = 1000
_pruning = ByCafe("customer", "customer.prune_segment_days")


async def on_cafe_changed(conn: Connection, events: Sequence[CafeChanged], *, now: datetime | None = None) -> None:
    """Keeps the cafes, and gives a cafe that is new here its system segments."""
    now = now or clock.now()
    await access.on_cafe_changed(conn, events)
    rows = [
        {
            "cafe_id": cafe_id,
            "id": new_id(),
            "slot": system.slot,
            "name": system.name,
            "description": None,
            "segment_key": system.key,
            "criteria": system.criteria,
            "is_system_segment": True,
            "is_active": True,
            "color_hex": system.color,
            "icon_name": system.icon,
            "display_order": 0,
        }
        for cafe_id in sorted({event.cafe_id for event in events})
        for system in SYSTEM
    ]
    added = await segments.insert(conn, rows, now, None)
    if added:
        # Guests may have been here before the cafe was heard of.
        await segments.change_definitions(conn, added)
        await segments.request_recalculation(conn, added, now)


async def tell(conn: Connection, cafes: Sequence[tuple[UUID]]) -> int:
    """Tells others which segments each of these cafes has now; returns how many lists."""
    lists: dict[UUID, list[SegmentKey]] = {cafe_id: [] for (cafe_id,) in cafes}
    for row in await segments.take_lists(conn, sorted(lists)):
        if not row["is_deleted"]:
            key = SegmentKey(segment_id=row["id"], segment_key=row["segment_key"], is_active=row["is_active"])
            lists[row["cafe_id"]].append(key)
    moment = clock.now()
    await outbox.emit(
        conn,
        [SegmentListChanged(cafe_id=cafe_id, occurred_at=moment, segments=keys) for cafe_id, keys in lists.items()],
    )
    return len(lists)


async def create_segment(
    conn: Connection, cafe_id: UUID, command: CreateSegment, *, author: UUID, now: datetime
) -> SegmentView:
    """Adds a segment; its guests are found by the next recalculation, within seconds.

    Raises:
        Rejected: status 422 for criteria that can't be understood, 409 for a key in use, too many segments or too many
            clauses in all of them.
    """
    criteria = await _kept(conn, cafe_id, command.criteria, command.currency_unit)
    await segments.change_definitions(conn, [cafe_id])
    slot = first_free(await segments.taken_slots(conn, cafe_id))
    if slot is None:
        raise Rejected(
            "too_many_segments",
            f"A cafe has at most {SLOTS} segments.",
            f"هر کافه حداکثر {SLOTS} بخش دارد.",
            status=409,
        )
    await _check_room(conn, cafe_id, criteria)
    segment_id = new_id()
    known = {"cafe_id": cafe_id, "id": segment_id, "slot": slot, "is_system_segment": False}
    row = {**known, **command.model_dump(exclude={"currency_unit"}), "criteria": criteria}
    if not await segments.insert(conn, [row], now, author):
        raise Rejected("key_in_use", "Another segment has this key.", "بخش دیگری این کلید را دارد.", status=409)
    await segments.request_recalculation(conn, [cafe_id], now)
    return await get_segment(conn, cafe_id, segment_id)


async def change_segment(
    conn: Connection, cafe_id: UUID, segment_id: UUID, command: ChangeSegment, *, now: datetime
) -> SegmentView:
    """Changes what the command names. New criteria, or switching it on or off, evaluate all guests again.

    Raises:
        NotFound: no such segment.
        Rejected: status 422 for criteria that can't be understood.
    """
    said = command.model_dump(exclude={"currency_unit"})
    given = {name: value for name, value in said.items() if _is_given(command, name, value)}
    if command.criteria is not None:
        given["criteria"] = await _kept(conn, cafe_id, command.criteria, command.currency_unit)
    await segments.change_definitions(conn, [cafe_id])
    row = await _found(conn, cafe_id, segment_id)
    if "criteria" in given:
        await _check_room(conn, cafe_id, given["criteria"], instead_of=row["slot"])
    await segments.update(conn, cafe_id, row | given, now)
    if any(name in given and given[name] != row[name] for name in EVALUATED_BY):
        await segments.request_recalculation(conn, [cafe_id], now)
    return await get_segment(conn, cafe_id, segment_id)


async def delete_segment(conn: Connection, cafe_id: UUID, segment_id: UUID, *, now: datetime) -> None:
    """Removes a segment; its guests leave it by the next recalculation.

    Raises:
        NotFound: no such segment.
        Rejected: status 409 for a system segment, which can only be switched off.
    """
    await segments.change_definitions(conn, [cafe_id])
    row = await _found(conn, cafe_id, segment_id)
    if row["is_system_segment"]:
        raise Rejected(
            "system_segment",
            "A system segment can't be deleted; switch it off instead.",
            "بخش سامانه حذف نمی‌شود؛ می‌توانید آن را غیرفعال کنید.",
            status=409,
        )
    await segments.delete(conn, cafe_id, segment_id, now)
    await segments.request_recalculation(conn, [cafe_id], now)


async def get_segment(conn: Connection, cafe_id: UUID, segment_id: UUID) -> SegmentView:
    """One segment.

    Raises:
        NotFound: no such segment.
    """
    return _view(await _found(conn, cafe_id, segment_id), await access.unit_of(conn, cafe_id))


async def list_segments(conn: Connection, cafe_id: UUID) -> list[SegmentView]:
    """The cafe's segments in their order of display."""
    unit = await access.unit_of(conn, cafe_id)
    return [_view(row, unit) for row in await segments.list_segments(conn, cafe_id)]


async def preview(conn: Connection, cafe_id: UUID, command: PreviewSegment, *, now: datetime) -> Judged:
    """What the criteria would hold now; nothing is kept. Runs as the service, like every search among all guests.

    Raises:
        NotFound: no such segment.
        Rejected: status 422 for criteria that can't be understood, or that take too long.
    """
    criteria = await _kept(conn, cafe_id, command.criteria, command.currency_unit)
    evaluation = compile_condition(parse(criteria, stored=True), 5)
    slot = None if command.segment_id is None else (await _found(conn, cafe_id, command.segment_id))["slot"]
    found = await activity.judge_all(conn, cafe_id, slot, evaluation, now, faces=FACES, seconds=LONGEST_PREVIEW)
    if found is None:
        raise Rejected(
            "preview_takes_too_long",
            f"Counting took longer than {LONGEST_PREVIEW} seconds and was given up. You can still save the segment.",
            f"شمردن بیش از {persian_digits(str(LONGEST_PREVIEW))} ثانیه طول کشید و رها شد."
            " با این حال می‌توانید بخش را ذخیره کنید.",
        )
    return found


async def history(conn: Connection, cafe_id: UUID, days: int, *, now: datetime) -> list[SegmentHistory]:
    """The last days of each of the cafe's segments."""
    return await _history(conn, cafe_id, await segments.list_segments(conn, cafe_id), None, days, now)


async def history_of(conn: Connection, cafe_id: UUID, segment_id: UUID, days: int, *, now: datetime) -> SegmentHistory:
    """The last days of one segment.

    Raises:
        NotFound: no such segment.
    """
    segment = await _found(conn, cafe_id, segment_id)
    (found,) = await _history(conn, cafe_id, [segment], segment_id, days, now)
    return found


async def _history(
    conn: Connection, cafe_id: UUID, rows: Sequence[dict[str, Any]], segment_id: UUID | None, days: int, now: datetime
) -> list[SegmentHistory]:
    zone = (await customers.clock_of(conn, cafe_id)).time_zone
    today = local_date(now, zone)
    since = today - timedelta(days=days - 1)
    moves: dict[UUID, list[MovesOfDay]] = {row["id"]: [] for row in rows}
    for move in await segments.days(conn, cafe_id, since, segment_id):
        if move.segment_id in moves:
            moves[move.segment_id].append(move)
    return [
        SegmentHistory(
            segment_id=row["id"],
            days=[
                DayOfSegment(date=day.day, members=day.members, entered=day.entered, left=day.gone)
                for day in day_by_day(
                    row["id"],
                    moves[row["id"]],
                    since=max(since, local_date(row["created_at"], zone)),
                    today=today,
                    members=row["customer_count"],
                )
            ],
        )
        for row in rows
    ]


async def prune_days(pool: Pool) -> int:
    """Deletes days of segments that nobody asks about any more; returns how many."""
    before = clock.now().date() - KEPT_DAYS
    return await _pruning.run(pool, lambda conn, aside: segments.old_days(conn, before, aside, PRUNED_AT_ONCE), _prune)


async def _prune(conn: Connection, rows: Sequence[tuple[UUID, date]]) -> int:
    await segments.prune_days(conn, rows)
    return len(rows)


async def list_members(conn: Connection, cafe_id: UUID, segment_id: UUID, after: UUID | None, limit: int) -> MemberPage:
    """Guests in the segment, a page at a time.

    Raises:
        NotFound: no such segment.
    """
    await _found(conn, cafe_id, segment_id)
    rows = await segments.members(conn, cafe_id, segment_id, after, limit)
    return MemberPage(
        members=[SegmentMember.model_validate(row) for row in rows],
        after=rows[-1]["id"] if len(rows) == limit else None,
    )


def list_attributes(unit: Unit) -> list[AttributeView]:
    """All that criteria may ask about in a cafe with that unit of money."""
    return [
        AttributeView(
            name=attribute.name,
            kind=attribute.kind.value,
            most=None if attribute.kind in (AttributeKind.CHOICE, AttributeKind.FLAG) else attribute.most,
            currency_unit=unit if attribute.kind is AttributeKind.MONEY else None,
            form=f'{{"{attribute.name}": {FORMS[attribute.kind]}}}',
            description=attribute.en,
            description_fa=attribute.fa,
            choices=list(attribute.choices),
        )
        for attribute in ATTRIBUTES.values()
    ]


async def _kept(
    conn: Connection, cafe_id: UUID, criteria: Mapping[str, Any], written_in: Unit | None
) -> dict[str, Any]:
    return amounts.kept(criteria, written_in or await access.unit_of(conn, cafe_id))


async def _check_room(
    conn: Connection, cafe_id: UUID, criteria: Mapping[str, Any], instead_of: int | None = None
) -> None:
    """All segments of a cafe are evaluated by one statement. The caller holds the cafe's definitions."""
    others = [each for each in await segments.load(conn, [cafe_id]) if each.slot != instead_of]
    clauses = sum(clauses_of(read(each.criteria)) for each in others) + clauses_of(parse(criteria, stored=True))
    if clauses > MOST_CLAUSES_OF_CAFE:
        most, has = persian_digits(f"{MOST_CLAUSES_OF_CAFE}"), persian_digits(f"{clauses}")
        raise Rejected(
            "too_many_clauses",
            f"The segments of a cafe have at most {MOST_CLAUSES_OF_CAFE} clauses together; these are {clauses}.",
            f"همهٔ بخش‌های کافه روی هم حداکثر {most} شرط دارند؛ اکنون {has} شرط است.",
            status=409,
        )


def _view(row: dict[str, Any], unit: Unit) -> SegmentView:
    shown = {"criteria": amounts.shown(row["criteria"], unit), "currency_unit": unit}
    return SegmentView.model_validate(row | shown)


async def _found(conn: Connection, cafe_id: UUID, segment_id: UUID) -> dict[str, Any]:
    row = await segments.get(conn, cafe_id, segment_id)
    if row is None:
        raise NotFound("segment", "بخش")
    return row


def _is_given(command: ChangeSegment, name: str, value: Any) -> bool:
    # Only these two may be emptied; null for anything else means nothing was said.
    return name in command.model_fields_set and (value is not None or name in ("description", "icon_name"))
