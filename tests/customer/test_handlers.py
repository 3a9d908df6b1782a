"""What other services say about a guest, and how a guest comes to be."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.customer.handlers import activity, consents
from services.customer.handlers.registration import on_contact_learned
from services.customer.models.values import GuestKey
from services.customer.store.activity import NEWEST_KEPT
from shared.clock import new_id
from shared.database.db import Pool, transaction
from shared.errors import Poison
from shared.events.campaign import ReplyReceived
from shared.events.customer import ConsentChanged, CustomerProfiled, CustomerRegistered
from shared.events.feedback import FeedbackReceived
from shared.events.loyalty import PointsChanged, PointsEarned, TierChanged
from shared.events.visit import ConsentRefused
from shared.security.crypto import Keys, phone_hash, seal, unseal
from tests.customer.given import (
    CAFE,
    DAY,
    KEYS,
    NOON,
    OTHER_CAFE,
    PHONE,
    add_segment,
    cafe,
    corrected,
    emitted,
    guest_of,
    guests,
    keys_of,
    learned,
    recalculated,
    recorded,
    visits,
    voided,
)
from tests.support import SECRET


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("customer")
    await cafe(opened)
    return opened


async def row_of(pool: Pool, guest: GuestKey | None = None) -> dict[str, Any]:
    return dict(
        await pool.fetchrow(
            "SELECT * FROM customer_activity WHERE cafe_id = $1 AND customer_id = $2", *(guest or guest_of())
        )
    )


async def react(pool: Pool, reaction: Any, *events: Any, **named: Any) -> None:
    async with transaction(pool) as conn:
        await reaction(conn, events, now=NOON, **named)


def earned(points: int, version: int, **changes: Any) -> PointsEarned:
    guest = guest_of()
    return PointsEarned(
        cafe_id=guest.cafe_id, customer_id=guest.customer_id, occurred_at=NOON, visit_id=new_id(), visit_at=NOON,
        points=points, points_change=points, balance_after=points, account_version=version, program_version=1,
        multiplier="1", **changes,
    )  # fmt: skip


def spent(balance: int, version: int) -> PointsChanged:
    guest = guest_of()
    return PointsChanged(
        cafe_id=guest.cafe_id, customer_id=guest.customer_id, occurred_at=NOON, transaction_id=new_id(),
        transaction_type="redeemed_item", points_change=-1, balance_after=balance, account_version=version,
    )  # fmt: skip


def promoted(tier: Any, version: int) -> TierChanged:
    guest = guest_of()
    return TierChanged(
        cafe_id=guest.cafe_id, customer_id=guest.customer_id, occurred_at=NOON, tier=tier, previous_tier="bronze",
        starts_on=NOON.date(), expires_on=None, account_version=version,
    )  # fmt: skip


def rated(rating: int, customer_id: UUID | None) -> FeedbackReceived:
    return FeedbackReceived(
        cafe_id=CAFE, customer_id=customer_id, occurred_at=NOON, visit_id=new_id(), feedback_id=new_id(),
        visit_at=NOON, source="sms_link", overall_rating=rating,
    )  # fmt: skip


async def test_visits_add_up_before_and_after_registration(pool: Pool) -> None:
    await visits(pool, [recorded(at=NOON - DAY), recorded(at=NOON - 3 * DAY, amount="250000.50")])
    assert await pool.fetchval("SELECT count(*) FROM customers") == 0
    await guests(pool)
    await visits(pool, [recorded(at=NOON - 2 * DAY, amount="1000000", currency_unit="IRR")])
    row = await row_of(pool)
    assert row["total_visits"] == 3
    assert row["lifetime_spent"] == Decimal("450000.50")
    assert (row["first_visit_at"], row["last_visit_at"]) == (NOON - 3 * DAY, NOON - DAY)
    assert row["recent_visits"] == [NOON - DAY, NOON - 2 * DAY, NOON - 3 * DAY]


async def test_a_visit_without_a_guest_changes_nothing(pool: Pool) -> None:
    await visits(pool, [recorded(customer_id=None)])
    lost = recorded(customer_id=None)
    await react(pool, activity.on_visit_voided, voided(lost))
    await react(pool, activity.on_visit_corrected, corrected(lost))
    await react(pool, activity.on_feedback_received, rated(1, None))
    assert await pool.fetchval("SELECT count(*) FROM customer_activity") == 0


async def test_the_order_of_visits_makes_no_difference(pool: Pool) -> None:
    moments = [NOON - hours * timedelta(hours=7) for hours in (3, 1, 4, 1, 5, 9, 2, 6)]
    rows = []
    for number, order in enumerate((moments, sorted(moments), sorted(moments, reverse=True))):
        guest = guest_of(f"+98912000000{number}")
        for moment in order:
            await visits(pool, [recorded(guest, at=moment)])
        row = await row_of(pool, guest)
        rows.append({name: value for name, value in row.items() if name != "customer_id"})
    assert rows[0] == rows[1] == rows[2]
    assert rows[0]["recent_visits"] == sorted(moments, reverse=True)


async def test_only_visits_of_the_last_31_days_are_kept_and_no_more_than_asked_for(pool: Pool) -> None:
    await visits(pool, [recorded(at=NOON - 31 * DAY), recorded(at=NOON - 30 * DAY), recorded(at=NOON)])
    assert (await row_of(pool))["recent_visits"] == [NOON, NOON - 30 * DAY]
    await visits(pool, [recorded(at=NOON + 2 * DAY)], now=NOON + 2 * DAY)
    assert (await row_of(pool))["recent_visits"] == [NOON + 2 * DAY, NOON]
    await visits(pool, [recorded(at=NOON + second * timedelta(seconds=1)) for second in range(150)])
    row = await row_of(pool)
    assert len(row["recent_visits"]) == NEWEST_KEPT
    assert row["total_visits"] == 154


async def test_a_correction_replaces_what_the_visit_added(pool: Pool) -> None:
    visit, twin = recorded(), recorded()
    await visits(pool, [visit, twin])
    change = corrected(
        visit, occurred_at=NOON - DAY, final_amount=Decimal(400000), currency_unit="IRR", last_visit_at=NOON
    )
    await react(pool, activity.on_visit_corrected, change)
    row = await row_of(pool)
    assert (row["total_visits"], row["lifetime_spent"]) == (2, Decimal("140000.00"))
    assert row["recent_visits"] == [NOON, NOON - DAY]
    assert (row["first_visit_at"], row["last_visit_at"]) == (NOON - DAY, NOON)


async def test_several_corrections_of_one_batch_end_with_the_last(pool: Pool) -> None:
    visit = recorded()
    await visits(pool, [visit])
    first = corrected(visit, occurred_at=NOON - DAY, final_amount=Decimal(5))
    second = corrected(
        visit, occurred_at=NOON - 2 * DAY, final_amount=Decimal(7), previous_final_amount=Decimal(5),
        previous_occurred_at=NOON - DAY,
    )  # fmt: skip
    await react(pool, activity.on_visit_corrected, first, second)
    row = await row_of(pool)
    assert (row["lifetime_spent"], row["recent_visits"]) == (Decimal(7), [NOON - 2 * DAY])
    assert (row["first_visit_at"], row["last_visit_at"]) == (NOON - 2 * DAY, NOON - 2 * DAY)


async def test_a_void_takes_out_one_of_two_visits_of_the_same_moment(pool: Pool) -> None:
    visit, twin = recorded(), recorded()
    await visits(pool, [visit, twin])
    await react(pool, activity.on_visit_voided, voided(visit, first_visit_at=NOON, last_visit_at=NOON))
    row = await row_of(pool)
    assert (row["total_visits"], row["lifetime_spent"], row["recent_visits"]) == (1, Decimal(100000), [NOON])
    await react(pool, activity.on_visit_voided, voided(twin))
    row = await row_of(pool)
    assert (row["total_visits"], row["lifetime_spent"], row["recent_visits"]) == (0, Decimal(0), [])
    assert (row["first_visit_at"], row["last_visit_at"]) == (None, None)


async def test_a_void_that_was_redriven_before_its_visit_ends_the_same(pool: Pool) -> None:
    visit = recorded()
    await react(pool, activity.on_visit_voided, voided(visit))
    await visits(pool, [visit])
    row = await row_of(pool)
    assert (row["total_visits"], row["lifetime_spent"]) == (0, Decimal(0))


@pytest.mark.parametrize(
    ("criteria", "reaction", "event"),
    [
        ({"not": {"any": [{"points": {"max": 99}}]}}, activity.on_points_changed, earned(100, 1)),
        ({"all": [{"tier_level": ["gold"]}]}, activity.on_tier_changed, promoted("gold", 1)),
        ({"avg_rating": {"min": 5}}, activity.on_feedback_received, rated(5, guest_of().customer_id)),
        ({"rating_count": {"min": 1}}, activity.on_feedback_received, rated(1, guest_of().customer_id)),
    ],
)
async def test_guest_is_evaluated_anew_by_what_the_rules_ask_about(
    pool: Pool, criteria: dict[str, Any], reaction: Any, event: Any
) -> None:
    await guests(pool)
    await add_segment(pool, criteria)
    await recalculated(pool)
    assert "own" not in await keys_of(pool)
    await react(pool, reaction, event)
    assert "own" in await keys_of(pool)


async def test_the_highest_account_version_sets_the_points_in_any_order(pool: Pool) -> None:
    await react(pool, activity.on_points_changed, earned(300, 3), earned(100, 1))
    assert (await row_of(pool))["current_points"] == 300
    await react(pool, activity.on_points_changed, spent(200, 2))
    assert (await row_of(pool))["current_points"] == 300
    await react(pool, activity.on_points_changed, spent(50, 4), earned(70, 4))
    assert (await row_of(pool))["current_points"] == 70


async def test_points_and_tier_are_kept_by_versions_of_their_own(pool: Pool) -> None:
    await react(pool, activity.on_points_changed, earned(900, 9))
    await react(pool, activity.on_tier_changed, promoted("gold", 8), promoted("silver", 2))
    assert (await row_of(pool))["tier_level"] == "gold"
    await react(pool, activity.on_tier_changed, promoted("bronze", 7))
    row = await row_of(pool)
    assert (row["tier_level"], row["tier_version"], row["points_version"]) == ("gold", 8, 9)


async def test_ratings_are_summed(pool: Pool) -> None:
    guest = guest_of()
    await react(pool, activity.on_feedback_received, rated(5, guest.customer_id), rated(2, guest.customer_id))
    await react(pool, activity.on_feedback_received, rated(4, guest.customer_id))
    row = await row_of(pool)
    assert (row["rating_sum"], row["rating_count"]) == (11, 3)


async def test_a_contact_becomes_a_sealed_customer_and_a_profile(pool: Pool) -> None:
    contact = learned(name="علي كريمي")
    await guests(pool, contact)
    guest = guest_of()
    row = dict(await pool.fetchrow("SELECT * FROM customers"))
    assert GuestKey(row["cafe_id"], row["id"]) == guest
    assert unseal(KEYS, row["phone_sealed"], table="customers", column="phone", row=row["id"]) == PHONE
    assert row["phone_hash"] == phone_hash(KEYS, CAFE, PHONE)
    assert (row["phone_last4"], row["name"], row["created_at"]) == ("6789", "علی کریمی", NOON)
    registered, profiled, _ = await emitted(pool)
    assert isinstance(registered, CustomerRegistered)
    assert isinstance(profiled, CustomerProfiled)
    assert (registered.source, registered.causation_id) == ("visit", contact.event_id)
    assert (profiled.version, profiled.status, profiled.registered_at) == (1, "active", NOON)
    place = {"table": "customer.profiles", "row": row["id"]}
    assert unseal(KEYS, profiled.phone_sealed, column="phone", **place) == PHONE
    assert unseal(KEYS, profiled.name_sealed or "", column="name", **place) == "علی کریمی"
    assert PHONE[3:] not in str(row) + str(profiled)


async def test_the_same_number_is_another_guest_in_another_cafe(pool: Pool) -> None:
    await cafe(pool, OTHER_CAFE)
    await guests(pool, learned(), learned(cafe_id=OTHER_CAFE))
    hashes = [row["phone_hash"] for row in await pool.fetch("SELECT phone_hash FROM customers")]
    assert len(set(hashes)) == 2


async def test_a_number_learned_again_registers_nobody_but_brings_a_missing_name(pool: Pool) -> None:
    await guests(pool, learned(), learned(name="سارا"), learned(name="دیگری"))
    assert await pool.fetchval("SELECT name FROM customers") == "سارا"
    await guests(pool, learned(name="دیگری"))
    assert await pool.fetchval("SELECT name FROM customers") == "سارا"
    other = "+989350000000"
    await guests(pool, learned(other))
    await emitted(pool)
    await guests(pool, learned(other, name="نرگس"), learned(other))
    (profiled,) = await emitted(pool)
    assert isinstance(profiled, CustomerProfiled)
    assert profiled.version == 2
    assert await pool.fetchval("SELECT count(*) FROM customers") == 2


async def test_an_envelope_that_does_not_open_is_poison(pool: Pool) -> None:
    moved = learned(phone_sealed=seal(KEYS, PHONE, table="visit.contacts", column="phone", row=new_id()))
    with pytest.raises(Poison, match="cannot_unseal") as refused:
        await guests(pool, moved)
    assert PHONE[3:] not in str(refused.value)


async def test_the_latest_answer_counts_whatever_order_they_arrive_in(pool: Pool) -> None:
    yes = learned(marketing_consent=True, occurred_at=NOON)
    no = learned(marketing_consent=False, occurred_at=NOON + DAY)
    await guests(pool, no, now=NOON + 2 * DAY)
    await guests(pool, yes, now=NOON + 2 * DAY)
    kept = await pool.fetchrow("SELECT * FROM consents")
    assert (kept["granted"], kept["changed_at"], kept["source"]) == (False, NOON + DAY, "till")
    assert await pool.fetchval("SELECT count(*) FROM consent_history") == 2
    told = [event for event in await emitted(pool) if isinstance(event, ConsentChanged)]
    assert [(event.granted, event.purpose, event.channel) for event in told] == [(False, "marketing", "sms")]


async def test_of_two_answers_at_the_same_moment_the_refusal_counts(pool: Pool) -> None:
    for first, second in ((True, False), (False, True)):
        number = f"+9891200000{first:02}"
        await guests(pool, learned(number, marketing_consent=first), learned(number, marketing_consent=second))
    assert [row["granted"] for row in await pool.fetch("SELECT granted FROM consents")] == [False, False]


async def test_the_stop_word_withdraws_marketing(pool: Pool) -> None:
    await guests(pool, learned(marketing_consent=True))
    await emitted(pool)
    guest = guest_of()
    facts = {"cafe_id": CAFE, "customer_id": guest.customer_id, "occurred_at": NOON + DAY}
    stop, other = ReplyReceived(opted_out=True, **facts), ReplyReceived(opted_out=False, **facts)
    await react(pool, consents.on_message_reply_received, other)
    assert await pool.fetchval("SELECT granted FROM consents") is True
    await react(pool, consents.on_message_reply_received, stop)
    assert await pool.fetchval("SELECT granted FROM consents") is False
    (told,) = await emitted(pool)
    assert isinstance(told, ConsentChanged)
    assert (told.granted, told.source, told.causation_id) == (False, "reply", stop.event_id)


async def test_the_word_that_undoes_the_stop_brings_marketing_back(pool: Pool) -> None:
    await guests(pool, learned(marketing_consent=True))
    facts = {"cafe_id": CAFE, "customer_id": guest_of().customer_id}
    stop = ReplyReceived(opted_out=True, occurred_at=NOON - DAY, **facts)
    back = ReplyReceived(opted_out=False, rejoined=True, occurred_at=NOON, **facts)
    await react(pool, consents.on_message_reply_received, back, stop)
    assert await pool.fetchval("SELECT granted FROM consents") is True


async def test_a_tick_never_brings_back_who_said_no_and_a_question_does(pool: Pool) -> None:
    await guests(pool, learned(marketing_consent=True, occurred_at=NOON), now=NOON + 9 * DAY)
    no = ReplyReceived(
        cafe_id=CAFE, customer_id=guest_of().customer_id, occurred_at=NOON + DAY, opted_out=True
    )  # fmt: skip
    await react(pool, consents.on_message_reply_received, no)
    await guests(pool, learned(marketing_consent=True, occurred_at=NOON + 2 * DAY), now=NOON + 9 * DAY)
    assert await pool.fetchval("SELECT granted FROM consents") is False
    asked = learned(marketing_consent=True, consent_asked=True, consent_at=NOON + 3 * DAY, occurred_at=NOON + 4 * DAY)
    await guests(pool, asked, now=NOON + 9 * DAY)
    kept = await pool.fetchrow("SELECT granted, source, changed_at FROM consents")
    assert tuple(kept) == (True, "till_asked", NOON + 3 * DAY)


async def test_answer_dated_ahead_counts_from_when_it_came(pool: Pool) -> None:
    yes = learned(marketing_consent=True, consent_asked=True, occurred_at=NOON + timedelta(minutes=5))
    await guests(pool, yes, now=NOON - timedelta(minutes=1))
    no = ReplyReceived(
        cafe_id=CAFE, customer_id=guest_of().customer_id, occurred_at=NOON, opted_out=True
    )  # fmt: skip
    await react(pool, consents.on_message_reply_received, no)
    assert await pool.fetchval("SELECT granted FROM consents") is False


async def test_no_that_a_till_told_late_counts(pool: Pool) -> None:
    await guests(pool, learned(marketing_consent=True, consent_asked=True, occurred_at=NOON - DAY))
    no = ConsentRefused(cafe_id=CAFE, customer_id=guest_of().customer_id, occurred_at=NOON)
    await react(pool, consents.on_contact_refused, no)
    assert await pool.fetchval("SELECT granted FROM consents") is False


async def test_batches_that_share_guests_in_opposite_order_do_not_deadlock(pool: Pool) -> None:
    people = [guest_of(f"+98912{number:07}") for number in range(200)]
    await guests(pool, *(learned(f"+98912{number:07}") for number in range(200)))
    for _ in range(5):
        forwards = [recorded(guest) for guest in people]
        await asyncio.gather(*(visits(pool, batch) for batch in (forwards, forwards[::-1], forwards)))
    assert await pool.fetchval("SELECT min(total_visits) FROM customer_activity") == 15


async def test_no_reaction_asks_once_per_event(pool: Pool) -> None:
    many = [learned(f"+98912{number:07}", name="نام", marketing_consent=True) for number in range(100)]
    asked: list[str] = []
    counts = []
    async with pool.acquire() as conn:
        conn.add_query_logger(lambda record: asked.append(record.query))
        for some in (many[:1], many[1:2], many[2:]):
            asked.clear()
            async with conn.transaction():
                await on_contact_learned(conn, some, keys=KEYS, now=NOON)
            counts.append(len(asked))
    assert counts[1] == counts[2] > 0


async def test_after_the_secret_is_rotated_earlier_and_later_numbers_open(pool: Pool) -> None:
    await guests(pool, learned())
    newer = Keys.from_secret("another-secret-of-enough-length-0123456789", previous=SECRET)
    async with transaction(pool) as conn:
        later = learned("+989350000000", occurred_at=NOON + DAY)
        await on_contact_learned(conn, [later], keys=newer, now=NOON)
    rows = await pool.fetch("SELECT id, phone_sealed FROM customers ORDER BY created_at")
    opened = [unseal(newer, row["phone_sealed"], table="customers", column="phone", row=row["id"]) for row in rows]
    assert opened == [PHONE, "+989350000000"]
