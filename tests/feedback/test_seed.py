"""The first schema's feedback table: all of it is here, and what could not work as printed works."""

from decimal import Decimal
from typing import Any

import pytest

from services.feedback.handlers import answers, cases, reactions, submissions
from services.feedback.models.http import Submission
from services.feedback.models.values import SubmittedFrom
from shared.clock import now
from shared.database.db import Pool, transaction
from shared.events.customer import CustomerErased
from tests.feedback.given import CAFE, STAFF, cafe_with_staff, recorded, token_of, visits

COLUMNS = {
    "id": "uuid",
    "customer_id": "uuid",
    "visit_id": "uuid",
    "feedback_source": "feedback_source_enum",
    "source_reference": "character varying(100)",
    "overall_rating": "integer",
    "category_ratings": "jsonb",
    "comment": "text",
    "comment_language": "character varying(5)",
    "feedback_categories": "text[]",
    "sentiment_score": "numeric(3,2)",
    "table_number": "character varying(10)",
    "visit_date": "date",
    "order_amount": "numeric(18,2)",
    "response_text": "text",
    "response_date": "timestamp with time zone",
    "responded_by": "uuid",
    "follow_up_required": "boolean",
    "follow_up_completed": "boolean",
    "follow_up_date": "timestamp with time zone",
    "created_at": "timestamp with time zone",
    "updated_at": "timestamp with time zone",
    "device_info": "jsonb",
    "ip_address": "inet",
}
INDEXES = {
    "idx_feedback_customer",
    "idx_feedback_visit",
    "idx_feedback_rating",
    "idx_feedback_source",
    "idx_feedback_date",
    "idx_feedback_comment_search",
}


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("feedback")
    await cafe_with_staff(opened)
    return opened


async def test_every_column_of_the_seed_exists(pool: Pool) -> None:
    rows = await pool.fetch(
        """
        SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute
        WHERE attrelid = 'customer_feedback'::regclass AND attnum > 0 AND NOT attisdropped
        """
    )
    found = {row["attname"]: row["type"] for row in rows}
    assert COLUMNS.items() <= found.items()
    assert found.keys() - COLUMNS.keys() == {"cafe_id", "currency_unit", "forgotten_at"}


async def test_every_source_and_index_of_the_seed_exists(pool: Pool) -> None:
    sources = await pool.fetchval("SELECT enum_range(NULL::feedback_source_enum)::text[]")
    assert sources == ["qr_code", "staff_tablet", "sms_link", "website", "phone_call", "manual"]
    names = await pool.fetch("SELECT indexname FROM pg_indexes WHERE tablename = 'customer_feedback'")
    assert {row["indexname"] for row in names} >= INDEXES


async def test_search_uses_the_comment_index(pool: Pool) -> None:
    async with transaction(pool) as conn:
        await conn.execute("SET LOCAL enable_seqscan = off")
        plan = await conn.fetch(
            "EXPLAIN SELECT id FROM customer_feedback WHERE feedback_words(comment) @@ to_tsquery('simple', 'قهوه:*')"
        )
    assert any("idx_feedback_comment_search" in row[0] for row in plan)


async def test_no_key_points_at_another_service_and_erasure_takes_the_place_of_cascade(pool: Pool) -> None:
    keys = await pool.fetch("SELECT confrelid::regclass::text AS target FROM pg_constraint WHERE contype = 'f'")
    assert {row["target"] for row in keys} == {"customer_feedback", "feedback_links"}
    visit = recorded()
    await visits(pool, visit)
    async with transaction(pool) as conn:
        await submissions.submit(
            conn, token_of(visit), Submission(overall_rating=3, comment="خوب"), "qr_code", SubmittedFrom()
        )
        assert visit.customer_id is not None
        erased = CustomerErased(cafe_id=CAFE, occurred_at=now(), customer_id=visit.customer_id)
        await reactions.on_customer_erased(conn, [erased])
    assert tuple(await pool.fetchrow("SELECT overall_rating, comment FROM customer_feedback")) == (3, None)


async def test_every_business_row_carries_its_cafe_and_every_unique_key_begins_with_it(pool: Pool) -> None:
    keys = await pool.fetch(
        """
        SELECT c.relname AS table, a.attname AS first
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indisunique AND c.relname IN ('visits', 'feedback_links', 'customer_feedback', 'feedback_cases')
        """
    )
    # A guest brings a token and no cafe: 128 random bits are unique by themselves.
    assert {(row["table"], row["first"]) for row in keys} == {
        ("visits", "cafe_id"),
        ("feedback_links", "cafe_id"),
        ("feedback_links", "token_sha256"),
        ("customer_feedback", "cafe_id"),
        ("feedback_cases", "cafe_id"),
    }


async def test_order_amount_holds_a_large_bill_in_rial_with_its_unit(pool: Pool) -> None:
    # Twelve million Toman in Rial overflowed the seed's NUMERIC(10,2).
    visit = recorded(final_amount=Decimal("120000000"), currency_unit="IRR")
    await visits(pool, visit)
    async with transaction(pool) as conn:
        await submissions.submit(conn, token_of(visit), Submission(overall_rating=5), "sms_link", SubmittedFrom())
    row = await pool.fetchrow("SELECT order_amount, currency_unit FROM customer_feedback")
    assert tuple(row) == (Decimal("120000000.00"), "IRR")


async def test_every_column_is_filled_by_something(pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    said = Submission(overall_rating=1, category_ratings={"service": 1}, comment="قهوه سرد بود")
    sender = SubmittedFrom({"system": "ios", "mobile": True, "language": "fa"}, "203.0.113.7")
    async with transaction(pool) as conn:
        feedback_id = await submissions.submit(conn, token_of(visit), said, "qr_code", sender)
        await answers.respond(conn, CAFE, feedback_id, "ببخشید", STAFF)
        case_id = await conn.fetchval("SELECT id FROM feedback_cases")
        await cases.close_case(conn, CAFE, case_id, "جبران شد", STAFF)
    row = await pool.fetchrow("SELECT * FROM customer_feedback")
    assert [name for name, value in row.items() if value in (None, "", [], {}, False)] == ["forgotten_at"]
    case = await pool.fetchrow("SELECT * FROM feedback_cases")
    assert [name for name, value in case.items() if value is None] == []


async def test_staff_read_no_link_and_change_no_visit(pool: Pool) -> None:
    rights = await pool.fetch(
        """
        SELECT t AS table, r AS right FROM unnest(ARRAY['feedback_links', 'visits']) t,
               unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) r
        WHERE has_table_privilege('staff_role', t, r)
        """
    )
    assert [(row["table"], row["right"]) for row in rights] == [("visits", "SELECT")]


async def test_row_security_is_forced_on_every_table(pool: Pool) -> None:
    rows = await pool.fetch(
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND relname <> 'schema_migrations'
          AND NOT (relrowsecurity AND relforcerowsecurity)
        """
    )
    assert [row["relname"] for row in rows] == []
