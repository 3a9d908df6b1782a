"""Reactions to events, whatever their order, and what becomes of a submission."""

import asyncio
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.feedback.handlers import answers, cases, reactions, submissions
from services.feedback.models.http import StaffEntry, Submission
from services.feedback.models.values import SubmittedFrom
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.errors import Rejected
from shared.events.customer import CustomerErased, CustomerRegistered
from shared.events.feedback import CaseClosed, CaseOpened, FeedbackReceived
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.security.crypto import sha256
from tests.feedback.given import (
    CAFE,
    EVENING,
    KEYS,
    OTHER_CAFE,
    STAFF,
    cafe_with_staff,
    corrected,
    emitted,
    recorded,
    token_of,
    visits,
    voided,
)

PRAISE = Submission(overall_rating=5, category_ratings={"service": 5}, comment="عالی بود")
COMPLAINT = Submission(overall_rating=1, comment="قهوه سرد بود")


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("feedback")
    return opened


async def submit(
    pool: Pool, visit: VisitRecorded, said: Submission = PRAISE, sender: SubmittedFrom | None = None
) -> UUID:
    async with transaction(pool) as conn:
        return await submissions.submit(conn, token_of(visit), said, "sms_link", sender or SubmittedFrom())


async def react(pool: Pool, event: VisitRecorded | VisitCorrected | VisitVoided) -> None:
    async with transaction(pool) as conn:
        if isinstance(event, VisitClaimed):
            await reactions.on_visit_claimed(conn, [event])
        elif isinstance(event, VisitRecorded):
            await reactions.on_visit_recorded(conn, [event], keys=KEYS)
        elif isinstance(event, VisitCorrected):
            await reactions.on_visit_corrected(conn, [event])
        else:
            await reactions.on_visit_voided(conn, [event])


async def test_recorded_visit_gets_a_link_known_only_by_its_hash(pool: Pool) -> None:
    known, anonymous = recorded(), recorded(customer_id=None)
    await visits(pool, known, anonymous)
    rows = {row["visit_id"]: row for row in await pool.fetch("SELECT * FROM feedback_links")}
    for visit in (known, anonymous):
        row = rows[visit.visit_id]
        assert row["token_sha256"] == sha256(token_of(visit))
        assert row["customer_id"] == visit.customer_id
        assert row["correlation_id"] == visit.correlation_id
        assert row["created_at"] == visit.recorded_at
        assert row["expires_at"] == visit.recorded_at + timedelta(days=14)
        assert row["used_at"] is None
        assert row["closed_at"] is None


async def test_links_of_a_batch_are_one_statement_each_way(pool: Pool) -> None:
    async with transaction(pool) as conn:
        # The first time the driver also asks about the types.
        await reactions.on_visit_recorded(conn, [recorded()], keys=KEYS)
        seen: list[Any] = []
        with conn.query_logger(seen.append):
            await reactions.on_visit_recorded(conn, [recorded() for _ in range(200)], keys=KEYS)
    assert len(seen) == 2
    assert await pool.fetchval("SELECT count(*) FROM feedback_links") == 201


async def test_visit_is_the_same_in_any_order_of_its_events(pool: Pool) -> None:
    states = []
    for order in permutations(range(4)):
        visit = recorded()
        earlier = corrected(visit, final_amount=Decimal(1), corrected_at=EVENING + timedelta(minutes=5))
        events = [visit, earlier, corrected(visit, customer_id=visit.customer_id), voided(visit)]
        for place in order:
            await react(pool, events[place])
        row = await pool.fetchrow(
            """
            SELECT v.final_amount, v.table_number, v.corrected_at, v.voided_at, l.closed_at, l.token_sha256 IS NOT NULL
            FROM visits v JOIN feedback_links l USING (cafe_id, visit_id) WHERE visit_id = $1
            """,
            visit.visit_id,
        )
        states.append(tuple(row))
    hour = EVENING + timedelta(hours=1)
    assert set(states) == {(Decimal("300000.00"), "4", hour, hour, hour, True)}


@pytest.mark.parametrize("batched", [True, False])
async def test_of_two_corrections_at_one_moment_the_last_said_stands(pool: Pool, batched: bool) -> None:
    visit = recorded()
    first, last = corrected(visit, final_amount=Decimal(1)), corrected(visit, final_amount=Decimal(2))
    await react(pool, visit)
    for batch in [[first, last]] if batched else [[first], [last]]:
        async with transaction(pool) as conn:
            await reactions.on_visit_corrected(conn, batch)
    assert await pool.fetchval("SELECT final_amount FROM visits WHERE visit_id = $1", visit.visit_id) == 2


async def test_same_visit_twice_in_a_batch_is_one_visit(pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit, visit)
    await visits(pool, visit)
    assert await pool.fetchval("SELECT count(*) FROM feedback_links") == 1


async def test_long_table_number_does_not_stop_the_batch(pool: Pool) -> None:
    await visits(pool, recorded(table_number="تراس بالا، کنار پنجره"))
    assert await pool.fetchval("SELECT table_number FROM visits") == "تراس بالا،"


async def test_submission_is_kept_with_its_visit_and_published_without_its_words(pool: Pool) -> None:
    await cafe_with_staff(pool)
    # Half past midnight of the next day in Tehran.
    visit = recorded(occurred_at=EVENING + timedelta(hours=1, minutes=30))
    await visits(pool, visit)
    sender = SubmittedFrom({"system": "android", "mobile": True, "language": "fa"}, "203.0.113.7")
    feedback_id = await submit(pool, visit, PRAISE, sender)
    row = await pool.fetchrow("SELECT * FROM customer_feedback")
    link_id = await pool.fetchval("SELECT id FROM feedback_links")
    assert dict(row) | {"created_at": None, "updated_at": None} == {
        "id": feedback_id,
        "cafe_id": CAFE,
        "customer_id": visit.customer_id,
        "visit_id": visit.visit_id,
        "feedback_source": "sms_link",
        "source_reference": str(link_id),
        "overall_rating": 5,
        "category_ratings": {"service": 5},
        "comment": "عالی بود",
        "comment_language": "fa",
        "feedback_categories": ["service"],
        "sentiment_score": Decimal("1.00"),
        "table_number": "4",
        "visit_date": date(2026, 11, 25),
        "order_amount": Decimal("350000.00"),
        "currency_unit": "IRT",
        "response_text": None,
        "response_date": None,
        "responded_by": None,
        "follow_up_required": False,
        "follow_up_completed": False,
        "follow_up_date": None,
        "created_at": None,
        "updated_at": None,
        "device_info": {"system": "android", "mobile": True, "language": "fa"},
        "ip_address": row["ip_address"],
        "forgotten_at": None,
    }
    assert str(row["ip_address"]) == "203.0.113.7"
    (event,) = await emitted(pool)
    assert isinstance(event, FeedbackReceived)
    assert event.key == visit.customer_id
    assert event.visit_at == visit.occurred_at
    assert event.correlation_id == visit.correlation_id
    assert (event.overall_rating, event.category_ratings, event.has_comment) == (5, {"service": 5}, True)
    assert "عالی" not in (await pool.fetchval("SELECT convert_from(payload, 'UTF8') FROM crm.outbox"))


async def test_feedback_of_an_unknown_guest_is_keyed_by_the_visit(pool: Pool) -> None:
    visit = recorded(customer_id=None)
    await visits(pool, visit)
    await submit(pool, visit)
    (event,) = await emitted(pool)
    assert event.key == visit.visit_id


async def test_low_rating_opens_a_case_with_a_deadline(pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    feedback_id = await submit(pool, visit, COMPLAINT)
    case = await pool.fetchrow("SELECT * FROM feedback_cases")
    row = await pool.fetchrow("SELECT * FROM customer_feedback")
    assert (case["feedback_id"], case["customer_id"], case["status"]) == (feedback_id, visit.customer_id, "open")
    assert case["due_at"] == case["opened_at"] + timedelta(hours=24) == row["follow_up_date"]
    assert row["follow_up_required"]
    received, opened = await emitted(pool)
    assert isinstance(opened, CaseOpened)
    assert (opened.case_id, opened.due_at, opened.causation_id) == (case["id"], case["due_at"], received.event_id)


async def test_two_submissions_at_once_are_one(pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    ends = await asyncio.gather(*(submit(pool, visit) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(end, UUID) for end in ends) == 1
    assert {end.code for end in ends if isinstance(end, Rejected)} == {"link_used"}
    assert await pool.fetchval("SELECT count(*) FROM customer_feedback") == 1
    assert len(await emitted(pool)) == 1


async def test_expired_link_takes_nothing(pool: Pool) -> None:
    visit = recorded(recorded_at=now() - timedelta(days=14, seconds=1))
    await visits(pool, visit)
    with pytest.raises(Rejected) as refused:
        await submit(pool, visit)
    assert (refused.value.code, refused.value.status) == ("link_expired", 410)
    assert await pool.fetchval("SELECT count(*) FROM customer_feedback") == 0


async def test_link_of_a_void_visit_is_closed(pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    await react(pool, voided(visit))
    with pytest.raises(Rejected) as refused:
        await submit(pool, visit)
    assert refused.value.code == "link_closed"


async def test_link_of_another_installation_is_unknown(pool: Pool) -> None:
    with pytest.raises(Rejected) as refused:
        await submit(pool, recorded())
    assert (refused.value.code, refused.value.status) == ("link_unknown", 404)


async def test_correction_moves_the_link_and_the_context_of_what_was_said(pool: Pool) -> None:
    await cafe_with_staff(pool)
    visit, said, other = recorded(), recorded(), new_id()
    await visits(pool, visit, said)
    await submit(pool, said)
    await react(pool, corrected(visit, customer_id=other))
    await react(pool, corrected(said, occurred_at=EVENING + timedelta(days=1)))
    links = dict(await pool.fetch("SELECT visit_id, customer_id FROM feedback_links"))
    assert links == {visit.visit_id: other, said.visit_id: said.customer_id}
    row = await pool.fetchrow("SELECT order_amount, visit_date FROM customer_feedback")
    assert tuple(row) == (Decimal("300000.00"), date(2026, 11, 25))


async def test_erasure_empties_what_the_guest_said_and_keeps_the_stars(pool: Pool) -> None:
    visit, later, stranger = recorded(), recorded(), recorded()
    later = recorded(customer_id=visit.customer_id)
    await visits(pool, visit, later, stranger)
    sender = SubmittedFrom({"system": "ios", "mobile": True, "language": "fa"}, "203.0.113.7")
    feedback_id = await submit(pool, visit, COMPLAINT, sender)
    await submit(pool, stranger, COMPLAINT, sender)
    async with transaction(pool) as conn:
        await answers.respond(conn, CAFE, feedback_id, "سلام آقای محمدی", STAFF)
        case_id = await conn.fetchval("SELECT id FROM feedback_cases WHERE feedback_id = $1", feedback_id)
        await cases.close_case(conn, CAFE, case_id, "با آقای محمدی تماس گرفتیم", STAFF)
    assert visit.customer_id is not None
    async with transaction(pool) as conn:
        erased = CustomerErased(cafe_id=CAFE, occurred_at=now(), customer_id=visit.customer_id)
        await reactions.on_customer_erased(conn, [erased])
    row = await pool.fetchrow("SELECT * FROM customer_feedback WHERE id = $1", feedback_id)
    emptied = ("comment", "response_text", "source_reference", "table_number", "device_info", "ip_address")
    assert [row[name] for name in emptied] == [None] * len(emptied)
    assert (row["overall_rating"], row["sentiment_score"]) == (1, Decimal("-0.60"))
    assert await pool.fetchval("SELECT resolution FROM feedback_cases WHERE id = $1", case_id) is None
    with pytest.raises(Rejected) as refused:
        await submit(pool, later)
    assert refused.value.code == "link_closed"
    assert await pool.fetchval("SELECT count(*) FROM customer_feedback WHERE comment IS NOT NULL") == 1


async def test_erasure_of_yesterday_spares_what_was_said_today(pool: Pool) -> None:
    visit = recorded(occurred_at=now() - timedelta(hours=1))
    await visits(pool, visit)
    await submit(pool, visit)
    assert visit.customer_id is not None
    async with transaction(pool) as conn:
        erased = CustomerErased(cafe_id=CAFE, occurred_at=now() - timedelta(days=1), customer_id=visit.customer_id)
        await reactions.on_customer_erased(conn, [erased])
    assert await pool.fetchval("SELECT comment FROM customer_feedback") == "عالی بود"


@pytest.mark.parametrize("late", range(3))
async def test_no_word_stays_of_an_erased_guest_whatever_comes_late(pool: Pool, late: int) -> None:
    await cafe_with_staff(pool)
    visit = recorded(occurred_at=now() - timedelta(days=2))
    guest = visit.customer_id
    assert guest is not None
    erased = CustomerErased(cafe_id=CAFE, occurred_at=now() - timedelta(days=1), customer_id=guest)
    steps = [lambda: visits(pool, visit), lambda: submit(pool, visit, COMPLAINT), lambda: forget(pool, erased)]
    steps.insert(late, steps.pop())
    for step in steps:
        with suppress(Rejected):
            await step()
    assert await pool.fetchval("SELECT table_number FROM visits") is None
    assert await pool.fetchval("SELECT count(*) FROM feedback_links WHERE closed_at IS NULL") == 0
    assert await pool.fetchval("SELECT count(*) FROM customer_feedback WHERE comment IS NOT NULL") == 0
    entry = StaffEntry(overall_rating=4, source="phone_call", comment="مریم", visit_id=visit.visit_id)
    for words in (entry, StaffEntry(overall_rating=4, source="phone_call", comment="مریم", customer_id=guest)):
        async with transaction(pool) as conn:
            with pytest.raises(Rejected, match="guest_erased"):
                await submissions.enter(conn, CAFE, words)


async def forget(pool: Pool, erased: CustomerErased) -> None:
    async with transaction(pool) as conn:
        await reactions.on_customer_erased(conn, [erased])


async def test_staff_write_nothing_more_about_an_erased_guest(pool: Pool) -> None:
    await cafe_with_staff(pool)
    visit = recorded()
    await visits(pool, visit)
    feedback_id = await submit(pool, visit, COMPLAINT)
    assert visit.customer_id is not None
    await forget(pool, CustomerErased(cafe_id=CAFE, occurred_at=now(), customer_id=visit.customer_id))
    case_id = await pool.fetchval("SELECT id FROM feedback_cases")
    async with transaction(pool) as conn:
        with pytest.raises(Rejected, match="guest_erased"):
            await answers.respond(conn, CAFE, feedback_id, "مریم", STAFF)
        await cases.close_case(conn, CAFE, case_id, "مریم", STAFF)
    assert tuple(await pool.fetchrow("SELECT status::text, resolution FROM feedback_cases")) == ("closed", None)


async def test_entry_by_staff_is_about_a_guest_of_the_cafe(pool: Pool) -> None:
    await cafe_with_staff(pool)
    guest, stranger = new_id(), new_id()
    about = {"overall_rating": 4, "source": "phone_call"}
    async with transaction(pool) as conn:
        told = [registered(guest), registered(guest), registered(stranger, cafe_id=OTHER_CAFE)]
        await reactions.on_customer_registered(conn, told)
        await submissions.enter(conn, CAFE, StaffEntry(**about, customer_id=guest))
        with pytest.raises(Rejected, match="unknown_guest"):
            await submissions.enter(conn, CAFE, StaffEntry(**about, customer_id=stranger))
    await forget(pool, CustomerErased(cafe_id=CAFE, occurred_at=now(), customer_id=guest))
    assert not await pool.fetchval("SELECT count(*) FROM guests WHERE cafe_id = $1", CAFE)


def registered(customer_id: UUID, cafe_id: UUID = CAFE) -> CustomerRegistered:
    return CustomerRegistered(cafe_id=cafe_id, occurred_at=now(), customer_id=customer_id, source="staff")


async def test_entry_by_staff_takes_its_context_from_the_visit(pool: Pool) -> None:
    await cafe_with_staff(pool)
    visit = recorded(customer_id=None)
    await visits(pool, visit)
    guest = new_id()
    entry = StaffEntry(overall_rating=4, source="phone_call", visit_id=visit.visit_id, customer_id=guest)
    async with transaction(pool) as conn:
        await reactions.on_customer_registered(conn, [registered(guest)])
        await submissions.enter(conn, CAFE, entry)
    row = await pool.fetchrow("SELECT * FROM customer_feedback")
    assert (row["feedback_source"], row["customer_id"], row["order_amount"]) == ("phone_call", guest, Decimal(350_000))
    assert (row["visit_date"], row["table_number"]) == (date(2026, 11, 24), "4")
    (event,) = await emitted(pool)
    assert isinstance(event, FeedbackReceived)
    assert (event.customer_id, event.visit_at, event.source) == (guest, visit.occurred_at, "phone_call")


async def test_entry_by_staff_without_a_visit_keeps_what_they_know(pool: Pool) -> None:
    entry = StaffEntry.model_validate(
        {
            "overall_rating": "۳",
            "source": "staff_tablet",
            "source_reference": "تبلت ۲",
            "table_number": "۱۲",
            "visit_date": "2026-11-20",
            "order_amount": "۱۲۰۰۰۰۰۰",
            "currency_unit": "IRR",
        }
    )
    async with transaction(pool) as conn:
        await submissions.enter(conn, CAFE, entry)
    row = await pool.fetchrow("SELECT * FROM customer_feedback")
    assert (row["source_reference"], row["table_number"], row["visit_date"]) == ("تبلت ۲", "۱۲", date(2026, 11, 20))
    assert (row["order_amount"], row["currency_unit"]) == (Decimal(12_000_000), "IRR")
    (event,) = await emitted(pool)
    assert event.key == row["id"]


@pytest.mark.parametrize("fault", ["unknown visit", "foreign visit", "void visit", "other guest"])
async def test_entry_by_staff_about_a_wrong_visit_is_refused(pool: Pool, fault: str) -> None:
    visit = recorded(cafe_id=OTHER_CAFE if fault == "foreign visit" else CAFE)
    if fault != "unknown visit":
        await visits(pool, visit)
    if fault == "void visit":
        await react(pool, voided(visit))
    entry = StaffEntry(overall_rating=4, source="manual", visit_id=visit.visit_id, customer_id=new_id())
    with pytest.raises(Rejected) as refused:
        async with transaction(pool) as conn:
            await submissions.enter(conn, CAFE, entry)
    assert refused.value.code == ("other_guest" if fault == "other guest" else "not_found")


async def test_case_is_closed_once_and_completes_the_follow_up(pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    feedback_id = await submit(pool, visit, COMPLAINT)
    case_id = await pool.fetchval("SELECT id FROM feedback_cases")
    async with transaction(pool) as conn:
        await cases.close_case(conn, CAFE, case_id, "یک قهوه مهمان شدند", STAFF)
    with pytest.raises(Rejected) as refused:
        async with transaction(pool) as conn:
            await cases.close_case(conn, CAFE, case_id, "دوباره", STAFF)
    assert (refused.value.code, refused.value.status) == ("already_closed", 409)
    case = await pool.fetchrow("SELECT * FROM feedback_cases")
    assert (case["status"], case["closed_by"], case["resolution"]) == ("closed", STAFF, "یک قهوه مهمان شدند")
    assert case["closed_at"] is not None
    assert await pool.fetchval("SELECT follow_up_completed FROM customer_feedback WHERE id = $1", feedback_id)
    closed = (await emitted(pool))[-1]
    assert isinstance(closed, CaseClosed)
    assert (closed.case_id, closed.feedback_id, closed.key) == (case_id, feedback_id, visit.customer_id)


async def test_wrong_row_never_enters_the_table(pool: Pool) -> None:
    insert = """
        INSERT INTO customer_feedback
            (id, cafe_id, feedback_source, overall_rating, order_amount, created_at, updated_at)
        VALUES (gen_random_uuid(), gen_random_uuid(), 'manual', $1, $2, $3, $3)
    """
    for rating, amount in ((0, None), (6, None), (5, Decimal(1))):
        with pytest.raises(asyncpg.CheckViolationError):
            await pool.execute(insert, rating, amount, datetime.now(UTC))
