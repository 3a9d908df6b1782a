"""Segments stay right: with every event, by the passing of time, and after a changed definition."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.customer.handlers import evaluating, segments
from services.customer.handlers.activity import on_tier_changed, on_visit_recorded
from services.customer.handlers.periodic import announce_segments, reevaluate_due
from services.customer.models.http import ChangeSegment, CreateSegment, PreviewSegment
from services.customer.models.values import GuestKey
from services.customer.rules.criteria import MOST_CLAUSES, MOST_CLAUSES_OF_CAFE
from services.customer.store import segments as store
from shared.clock import new_id
from shared.clock import now as the_present
from shared.database.db import Pool, transaction
from shared.errors import NotFound, Rejected
from shared.events.customer import SegmentChanged, SegmentEntered, SegmentLeft, SegmentListChanged
from shared.events.loyalty import TierChanged
from tests.customer.given import (
    CAFE,
    DAY,
    NOON,
    OTHER_CAFE,
    PHONE,
    STAFF,
    add_segment,
    cafe,
    cafe_changed,
    check_counts,
    emitted,
    guest_of,
    guests,
    keys_of,
    learned,
    recalculated,
    recorded,
    segment_of,
    time_passes,
    visits,
)

# Of this session so far: all updates of guests' rows, and those that found room on the row's page and touched no index.
UPDATES = """
SELECT pg_stat_get_xact_tuples_updated(c), pg_stat_get_xact_tuples_hot_updated(c)
FROM (VALUES ('customer_activity'::regclass)) AS t (c)
"""


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("customer")
    await cafe(opened)
    return opened


def tier(level: Any, version: int, guest: GuestKey | None = None) -> TierChanged:
    guest = guest or guest_of()
    return TierChanged(
        cafe_id=guest.cafe_id, customer_id=guest.customer_id, occurred_at=NOON, tier=level, previous_tier="bronze",
        starts_on=NOON.date(), expires_on=None, account_version=version,
    )  # fmt: skip


async def test_every_new_cafe_gets_the_three_system_segments_once(database: Any) -> None:
    pool = await database("customer")
    await cafe(pool, CAFE, OTHER_CAFE)
    await cafe(pool, version=2, name="نام تازه")
    rows = await pool.fetch("SELECT cafe_id, segment_key, is_system_segment FROM customer_segments ORDER BY 1, slot")
    expected = ["new_customers", "regular_customers", "vip_customers"]
    assert [row["segment_key"] for row in rows if row["cafe_id"] == CAFE] == expected
    assert [row["segment_key"] for row in rows if row["cafe_id"] == OTHER_CAFE] == expected
    assert all(row["is_system_segment"] for row in rows)
    assert await pool.fetchval("SELECT name FROM cafes WHERE cafe_id = $1", CAFE) == "نام تازه"


async def test_a_registered_guest_starts_as_new(pool: Pool) -> None:
    await guests(pool)
    assert await keys_of(pool) == {"new_customers"}
    assert await segment_of(pool) == "new"
    kinds = [event.type for event in await emitted(pool)]
    assert kinds == ["customer.registered", "customer.profiled", "segment.entered"]


async def test_visits_move_a_guest_from_new_over_occasional_to_regular(pool: Pool) -> None:
    await guests(pool)
    for count in range(1, 4):
        await visits(pool, [recorded(at=NOON + count * DAY)], now=NOON + count * DAY)
        assert await segment_of(pool) == "new"
    await emitted(pool)
    await visits(pool, [recorded(at=NOON + 4 * DAY)], now=NOON + 4 * DAY)
    assert await keys_of(pool) == {"regular_customers"}
    assert await segment_of(pool) == "regular"
    left, entered, changed = await emitted(pool)
    assert isinstance(left, SegmentLeft)
    assert isinstance(entered, SegmentEntered)
    assert isinstance(changed, SegmentChanged)
    assert (left.segment_key, entered.segment_key) == ("new_customers", "regular_customers")
    assert (changed.previous_segment, changed.segment) == ("new", "regular")
    assert entered.occurred_at == NOON + 4 * DAY
    await check_counts(pool)


async def test_segment_events_follow_from_the_visit(pool: Pool) -> None:
    await guests(pool)
    await emitted(pool)
    four = [recorded(at=NOON - hours * timedelta(hours=1)) for hours in range(4)]
    await visits(pool, four)
    events = await emitted(pool)
    assert {event.causation_id for event in events} == {four[-1].event_id}
    assert {event.correlation_id for event in events} == {four[-1].correlation_id}


async def test_vip_needs_the_money_and_the_tier(pool: Pool) -> None:
    await guests(pool)
    await visits(pool, [recorded(amount="500000")])
    assert "vip_customers" not in await keys_of(pool)
    async with transaction(pool) as conn:
        await on_tier_changed(conn, [tier("gold", 2)], now=NOON)
    assert await keys_of(pool) == {"new_customers", "vip_customers"}
    assert await segment_of(pool) == "vip"
    async with transaction(pool) as conn:
        await on_tier_changed(conn, [tier("silver", 3), tier("platinum", 1)], now=NOON)
    assert await keys_of(pool) == {"new_customers"}
    assert await segment_of(pool) == "new"
    reasons = await pool.fetch("SELECT reason, left_reason FROM segment_history ORDER BY reason")
    assert [tuple(row) for row in reasons] == [("tier", "tier"), ("visit", None)]


async def test_a_guest_leaves_regular_when_the_days_pass_without_a_visit(pool: Pool) -> None:
    await guests(pool)
    last = NOON + 4 * DAY
    await visits(pool, [recorded(at=last - day * DAY) for day in range(4)], now=last)
    assert await segment_of(pool) == "regular"
    # Fourteen whole days are within "max 14"; they end when the fifteenth is full.
    await time_passes(pool, last + 15 * DAY - timedelta(microseconds=1))
    assert await segment_of(pool) == "regular"
    assert await time_passes(pool, last + 15 * DAY) == 1
    assert await segment_of(pool) == "occasional"
    assert await keys_of(pool) == set()
    stay = await pool.fetchrow("SELECT * FROM segment_history WHERE left_reason = 'time'")
    assert (stay["entered_at"], stay["left_at"], stay["reason"]) == (last, last + 15 * DAY, "visit")
    await check_counts(pool)


async def test_a_guest_leaves_regular_when_old_visits_drop_out_of_the_month(pool: Pool) -> None:
    await guests(pool)
    await visits(pool, [recorded(at=NOON - 25 * DAY + day * DAY) for day in range(3)])
    await visits(pool, [recorded(at=NOON)])
    await visits(pool, [recorded(at=NOON)])
    assert await segment_of(pool) == "regular"
    # Five visits: the second oldest leaves the 30 days, and three are left.
    await time_passes(pool, NOON + 6 * DAY - timedelta(seconds=1))
    assert await segment_of(pool) == "regular"
    await time_passes(pool, NOON + 6 * DAY)
    assert await segment_of(pool) == "occasional"


async def test_a_guest_is_new_for_thirty_days(pool: Pool) -> None:
    await guests(pool)
    await time_passes(pool, NOON + 30 * DAY - timedelta(seconds=1))
    assert await segment_of(pool) == "new"
    await time_passes(pool, NOON + 30 * DAY)
    assert await segment_of(pool) == "occasional"
    assert await pool.fetchval("SELECT next_check_at FROM customer_activity") is None


async def test_time_evaluates_only_guests_whose_moment_has_come(pool: Pool) -> None:
    phones = [f"+98912000{number:04}" for number in range(50)]
    await guests(pool, *(learned(phone, occurred_at=NOON - number * DAY) for number, phone in enumerate(phones[:25])))
    await guests(pool, *(learned(phone) for phone in phones[25:]))
    assert await time_passes(pool, NOON + 9 * DAY) == 4
    assert await time_passes(pool, NOON + 9 * DAY) == 0


async def test_more_guests_than_one_round_takes_are_evaluated_in_several(pool: Pool) -> None:
    await guests(pool, *(learned(f"+98912{number:07}") for number in range(45)))
    assert await time_passes(pool, NOON + 30 * DAY) == 45
    assert await pool.fetchval("SELECT count(*) FROM segment_members") == 0
    await check_counts(pool)


async def test_a_guest_in_use_waits_for_the_next_round(pool: Pool) -> None:
    await guests(pool)
    later = NOON + 30 * DAY
    async with transaction(pool) as busy:
        await busy.execute("SELECT 1 FROM customer_activity FOR UPDATE")
        assert await time_passes(pool, later) == 0
    assert await time_passes(pool, later) == 1
    assert await segment_of(pool) == "occasional"


async def test_a_visit_does_not_touch_an_index_for_a_later_moment(pool: Pool) -> None:
    await guests(pool)
    await visits(pool, [recorded(at=NOON)])
    moment = await pool.fetchval("SELECT next_check_at FROM customer_activity")
    async with transaction(pool) as conn:
        before = await conn.fetchrow(UPDATES)
        await on_visit_recorded(conn, [recorded(at=NOON + DAY)], now=NOON + DAY)
        after = await conn.fetchrow(UPDATES)
    assert await pool.fetchval("SELECT next_check_at FROM customer_activity") == moment
    all_of_them, in_place = (count - so_far for count, so_far in zip(after, before, strict=True))
    assert all_of_them == in_place > 0


async def test_version_before_finds_and_moves_the_due_by_the_name_of_its_table(pool: Pool) -> None:
    await guests(pool)
    [row] = await pool.fetch("SELECT cafe_id, customer_id, due_at FROM segment_due WHERE due_at <= $1", NOON + 31 * DAY)
    cafe, guest, _ = row
    async with transaction(pool) as conn:
        await conn.execute("UPDATE customer_activity SET next_check_at = $1", NOON)
        await conn.execute(
            "INSERT INTO segment_due (cafe_id, customer_id, due_at)"
            " SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[])"
            " ON CONFLICT (cafe_id, customer_id) DO UPDATE SET due_at = excluded.due_at",
            [cafe], [guest], [NOON],
        )  # fmt: skip
    assert await pool.fetchval("SELECT due_at FROM segment_due") == NOON
    async with transaction(pool) as conn:
        await conn.execute("UPDATE customer_activity SET next_check_at = NULL")
        await conn.execute(
            "DELETE FROM segment_due AS d USING unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)"
            " WHERE d.cafe_id = t.cafe_id AND d.customer_id = t.customer_id",
            [cafe], [guest],
        )  # fmt: skip
    assert await pool.fetchval("SELECT count(*) FROM customer_activity") == 1


async def test_guests_seen_before_their_cafe_are_evaluated_when_it_is_heard_of(database: Any) -> None:
    pool = await database("customer")
    await visits(pool, [recorded()])
    await guests(pool)
    assert await segment_of(pool) == "new"
    assert await keys_of(pool) == set()
    async with transaction(pool) as conn:
        await segments.on_cafe_changed(conn, [cafe_changed()], now=NOON)
    await recalculated(pool)
    assert await keys_of(pool) <= {"new_customers"}
    calculated = await pool.fetch("SELECT last_calculated_at FROM customer_segments")
    assert all(row["last_calculated_at"] for row in calculated)
    await check_counts(pool)


async def test_a_new_segment_takes_in_those_who_are_there_and_then_those_who_come(pool: Pool) -> None:
    other = "+989350000000"
    await guests(pool, learned(), learned(other))
    await visits(pool, [recorded(amount="70000")])
    view = await add_segment(pool, {"any": [{"lifetime_spent": {"min": 50_000}}, {"points": {"min": 9}}]})
    assert view.last_calculated_at is None
    assert "own" not in await keys_of(pool)
    await recalculated(pool)
    assert "own" in await keys_of(pool)
    assert "own" not in await keys_of(pool, guest_of(other))
    await visits(pool, [recorded(guest_of(other), amount="50000")])
    assert "own" in await keys_of(pool, guest_of(other))
    row = await pool.fetchrow("SELECT * FROM customer_segments WHERE id = $1", view.id)
    assert row["customer_count"] == 2
    assert row["last_calculated_at"] is not None
    assert await pool.fetchval("SELECT count(*) FROM segment_recalculations") == 0
    await check_counts(pool)


async def test_changed_criteria_and_switching_off_move_guests_with_the_reason(pool: Pool) -> None:
    await guests(pool)
    await visits(pool, [recorded()])
    view = await add_segment(pool, {"visit_count": {"min": 1}})
    await recalculated(pool)
    assert "own" in await keys_of(pool)
    for change, expected in (
        ({"criteria": {"visit_count": {"min": 2}}}, False),
        ({"criteria": {"visit_count": {"max": 2}}}, True),
        ({"is_active": False}, False),
        ({"is_active": True}, True),
    ):
        async with transaction(pool) as conn:
            await segments.change_segment(conn, CAFE, view.id, ChangeSegment(**change), now=NOON)
        await recalculated(pool)
        assert ("own" in await keys_of(pool)) == expected
    stays = await pool.fetch("SELECT reason, left_reason FROM segment_history WHERE segment_id = $1", view.id)
    assert {row["reason"] for row in stays} == {"definition"}
    assert sorted(str(row["left_reason"]) for row in stays) == ["None", "definition", "definition"]


async def test_a_name_or_color_evaluates_nobody(pool: Pool) -> None:
    view = await add_segment(pool, {"visit_count": {"min": 1}})
    await recalculated(pool)
    async with transaction(pool) as conn:
        command = ChangeSegment(
            name="نام دیگر", color_hex="#FF0000", icon_name="star", display_order=7, description="…"
        )
        changed = await segments.change_segment(conn, CAFE, view.id, command, now=NOON + DAY)
    assert (changed.name, changed.color_hex, changed.icon_name, changed.display_order) == (
        "نام دیگر", "#FF0000", "star", 7,
    )  # fmt: skip
    assert (changed.updated_at, changed.created_by) == (NOON + DAY, STAFF)
    assert await pool.fetchval("SELECT count(*) FROM segment_recalculations") == 0


async def test_a_deleted_segment_lets_its_guests_go_and_frees_its_slot_and_key(pool: Pool) -> None:
    await guests(pool)
    view = await add_segment(pool, {"created_within_days": 9999})
    await recalculated(pool)
    async with transaction(pool) as conn:
        await segments.delete_segment(conn, CAFE, view.id, now=NOON)
    with pytest.raises(NotFound):
        async with transaction(pool) as conn:
            await segments.get_segment(conn, CAFE, view.id)
    await emitted(pool)
    await recalculated(pool)
    (left,) = await emitted(pool)
    assert isinstance(left, SegmentLeft)
    assert left.segment_key == "own"
    assert await keys_of(pool) == {"new_customers"}
    assert await pool.fetchval("SELECT slot FROM customer_segments WHERE id = $1", view.id) is None
    again = await add_segment(pool, {"visit_count": {"min": 1}})
    assert await pool.fetchval("SELECT slot FROM customer_segments WHERE id = $1", again.id) == 3


async def test_definitions_are_refused_with_reasons(pool: Pool) -> None:
    with pytest.raises(Rejected, match="invalid_criteria"):
        await add_segment(pool, {"visits": 1})
    await add_segment(pool, {"visit_count": {"min": 1}})
    with pytest.raises(Rejected, match="key_in_use"):
        await add_segment(pool, {"visit_count": {"min": 1}})
    system = await pool.fetchval("SELECT id FROM customer_segments WHERE segment_key = 'vip_customers'")
    with pytest.raises(Rejected, match="system_segment"):
        async with transaction(pool) as conn:
            await segments.delete_segment(conn, CAFE, system, now=NOON)
    for number in range(59):
        await add_segment(pool, {"visit_count": {"min": 1}}, key=f"own_{number}")
    with pytest.raises(Rejected, match="too_many_segments"):
        await add_segment(pool, {"visit_count": {"min": 1}}, key="one_more")


async def test_cafes_with_the_most_clauses_are_evaluated_and_have_no_room_for_more(pool: Pool) -> None:
    cafes = [new_id() for _ in range(5)]
    await cafe(pool, *cafes)
    widest = {"all": [{"monthly_visits": {"min": 1, "max": 2 + number % 90}} for number in range(MOST_CLAUSES)]}
    for place, cafe_id in enumerate(cafes):
        clauses = 0
        while (clauses := clauses + MOST_CLAUSES) < MOST_CLAUSES_OF_CAFE:
            # Cafes with equal rules would share them.
            wide = {"any": [widest["all"][place], *widest["all"][1:]]}
            await add_segment(pool, wide, key=f"wide_{clauses}", cafe_id=cafe_id)
    own = next(iter(cafes))
    with pytest.raises(Rejected, match="too_many_clauses"):
        await add_segment(pool, widest, key="too_wide", cafe_id=own)
    narrow = await add_segment(pool, {"visit_count": {"min": 1}}, key="narrow", cafe_id=own)
    with pytest.raises(Rejected, match="too_many_clauses"):
        async with transaction(pool) as conn:
            await segments.change_segment(conn, own, narrow.id, ChangeSegment(criteria=widest), now=NOON)
    await guests(pool, *(learned(PHONE, cafe_id) for cafe_id in cafes))
    await visits(pool, [recorded(guest_of(PHONE, cafe_id)) for cafe_id in cafes])
    assert [("wide_200" in await keys_of(pool, guest_of(PHONE, cafe_id))) for cafe_id in cafes] == [True] * 5


async def test_preview_counts_without_keeping(pool: Pool) -> None:
    await guests(pool, learned(), learned("+989350000000"))
    await visits(pool, [recorded()])
    async with transaction(pool) as conn:
        command = PreviewSegment(criteria={"visit_count": {"min": 1}, "status": "active"})
        found = await segments.preview(conn, CAFE, command, now=NOON)
    assert (found.matching, found.customers) == (1, 2)


async def test_many_cafes_of_one_batch_are_evaluated_together_each_by_its_own_rules(pool: Pool) -> None:
    cafes = [new_id() for _ in range(evaluating.RULESETS_AT_ONCE * 2 + 3)]
    await cafe(pool, *cafes)
    for place, cafe_id in enumerate(cafes):
        async with transaction(pool) as conn:
            criteria = {"lifetime_spent": {"min": 1000 * place}, "visit_count": {"min": 1}}
            command = CreateSegment(name="بخش", segment_key="own", criteria=criteria)
            await segments.create_segment(conn, cafe_id, command, author=STAFF, now=NOON)
    await guests(pool, *(learned(PHONE, cafe_id) for cafe_id in cafes))
    await visits(pool, [recorded(guest_of(PHONE, cafe_id), amount="20000") for cafe_id in cafes])
    inside = [("own" in await keys_of(pool, guest_of(PHONE, cafe_id))) for cafe_id in cafes]
    assert inside == [1000 * place <= 20000 for place in range(len(cafes))]
    await check_counts(pool)


async def test_the_number_of_statements_does_not_grow_with_cafes_that_share_their_rules(pool: Pool) -> None:
    cafes = [new_id() for _ in range(40)]
    await cafe(pool, *cafes)
    await guests(pool, *(learned(PHONE, cafe_id) for cafe_id in cafes))
    asked: list[str] = []
    counts = []
    async with pool.acquire() as conn:
        conn.add_query_logger(lambda record: asked.append(record.query))
        # The first time the client also asks for the types that it does not know yet.
        for some in (cafes[:1], cafes[1:2], cafes[2:]):
            asked.clear()
            await on_visit_recorded(conn, [recorded(guest_of(PHONE, cafe_id)) for cafe_id in some], now=NOON)
            counts.append(len(asked))
    assert counts[1] == counts[2] > 0


async def test_a_definition_waits_for_those_who_evaluate_by_the_old_one_in_its_own_cafe_only(pool: Pool) -> None:
    await guests(pool)
    criteria = {"visit_count": {"min": 1}}
    async with transaction(pool) as busy:
        await store.hold_definitions(busy, [CAFE])
        adding = asyncio.create_task(add_segment(pool, criteria))
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND classid = $1"
        while not await pool.fetchval(waiting, store.DEFINITIONS_LOCK):
            await asyncio.sleep(0)
        assert (await add_segment(pool, criteria, cafe_id=OTHER_CAFE)).segment_key == "own"
        assert not adding.done()
    assert (await adding).segment_key == "own"


async def test_the_jobs_use_the_present(pool: Pool) -> None:
    long_ago = the_present() - 40 * DAY
    await guests(pool, learned(occurred_at=long_ago), now=long_ago)
    assert await segment_of(pool) == "new"
    assert await reevaluate_due(pool) == 1
    assert await segment_of(pool) == "occasional"
    assert await reevaluate_due(pool) == 0


async def test_others_are_told_which_segments_there_are_after_each_change_of_that(pool: Pool) -> None:
    async def told() -> list[dict[str, bool]]:
        while await announce_segments(pool):
            pass
        lists = [event for event in await emitted(pool) if isinstance(event, SegmentListChanged)]
        return [{each.segment_key: each.is_active for each in event.segments} for event in lists]

    system = {"new_customers": True, "regular_customers": True, "vip_customers": True}
    assert await told() == [system]
    view = await add_segment(pool, {"visit_count": {"min": 1}})
    assert await told() == [system | {"own": True}]
    async with transaction(pool) as conn:
        await segments.change_segment(conn, CAFE, view.id, ChangeSegment(name="نامی دیگر"), now=NOON)
    assert await told() == []
    async with transaction(pool) as conn:
        await segments.change_segment(conn, CAFE, view.id, ChangeSegment(is_active=False), now=NOON)
    assert await told() == [system | {"own": False}]
    async with transaction(pool) as conn:
        await segments.delete_segment(conn, CAFE, view.id, now=NOON)
    assert await told() == [system]
