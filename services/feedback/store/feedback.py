"""What guests said, and what the cafe answered."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.feedback.models.values import Answered, Feedback, Filter
from services.feedback.store.links import PRUNE_AT_ONCE, count_of
from shared.database.db import Connection
from shared.persian.text import search_key
from shared.security.crypto import sha256

INSERT_FEEDBACK = """
INSERT INTO customer_feedback (id, cafe_id, customer_id, visit_id, feedback_source, source_reference, overall_rating,
    category_ratings, comment, comment_language, feedback_categories, sentiment_score, table_number, visit_date,
    order_amount, currency_unit, follow_up_required, follow_up_date, created_at, updated_at, device_info, ip_address)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $19, $20, $21)
"""
_FEEDBACK = """
SELECT f.id, f.customer_id, f.visit_id, feedback_source, source_reference, overall_rating, category_ratings, comment,
       comment_language, feedback_categories, sentiment_score, f.table_number, visit_date, order_amount,
       f.currency_unit, response_text, response_date, responded_by, follow_up_required, follow_up_completed,
       follow_up_date, created_at, updated_at, v.voided_at AS visit_voided_at
FROM customer_feedback f LEFT JOIN visits v ON v.cafe_id = f.cafe_id AND v.visit_id = f.visit_id
"""
GET_FEEDBACK = f"{_FEEDBACK} WHERE f.cafe_id = $1 AND f.id = $2"
# Ids grow with time, so the key itself gives the newest first.
SEARCH_FEEDBACK = f"""{_FEEDBACK}
WHERE f.cafe_id = $1 AND overall_rating BETWEEN $2 AND $3
  AND ($4::text IS NULL OR feedback_words(comment) @@ to_tsquery('simple', $4))
  AND ($5::text IS NULL OR feedback_source = $5::feedback_source_enum)
  AND ($6::text IS NULL OR $6 = ANY (feedback_categories))
  AND ($7::uuid IS NULL OR f.customer_id = $7)
  AND ($8::uuid IS NULL OR f.visit_id = $8)
  AND ($9::boolean IS NULL OR (follow_up_required AND NOT follow_up_completed) = $9)
  AND ($10::timestamptz IS NULL OR created_at >= $10)
  AND ($11::timestamptz IS NULL OR created_at < $11)
  AND ($12::uuid IS NULL OR f.id < $12)
ORDER BY f.id DESC LIMIT $13
"""
# What was said of visits that never were is still to be answered, but counts no longer.
SUMMARIZE = """
WITH said AS (
    SELECT f.*, v.voided_at IS NOT NULL AS of_void
    FROM customer_feedback f LEFT JOIN visits v ON v.cafe_id = f.cafe_id AND v.visit_id = f.visit_id
    WHERE f.cafe_id = $1 AND f.created_at >= $2 AND f.created_at < $3
)
SELECT count(*) AS responses, round(avg(overall_rating), 2) AS average_rating,
       round(avg((category_ratings ->> 'service')::int), 2) AS average_service,
       round(avg((category_ratings ->> 'quality')::int), 2) AS average_quality,
       round(avg((category_ratings ->> 'ambiance')::int), 2) AS average_ambiance,
       round(avg(sentiment_score), 2) AS average_sentiment,
       count(*) FILTER (WHERE overall_rating <= 2) AS low_ratings,
       count(*) FILTER (WHERE response_date IS NOT NULL) AS answered,
       (SELECT count(*) FROM said WHERE follow_up_required AND NOT follow_up_completed) AS open_cases,
       (SELECT count(*) FROM said WHERE of_void) AS of_voided_visits
FROM said WHERE NOT of_void
"""
RESPOND = """
UPDATE customer_feedback f SET response_text = $3, response_date = $4, responded_by = $5, updated_at = $4
FROM (SELECT cafe_id, id, response_date FROM customer_feedback WHERE cafe_id = $1 AND id = $2 FOR UPDATE) AS before
WHERE f.cafe_id = before.cafe_id AND f.id = before.id AND f.forgotten_at IS NULL
RETURNING f.customer_id, f.visit_id, f.created_at AS said_at, before.response_date IS NULL AS is_first
"""
# The answer to what came by the link stands before those to what else was said of the visit.
FIND_ANSWER = """
SELECT f.response_text
FROM feedback_links l JOIN customer_feedback f ON f.cafe_id = l.cafe_id AND f.visit_id = l.visit_id
WHERE l.token_sha256 = $1 AND f.response_text IS NOT NULL
ORDER BY f.source_reference = l.id::text DESC NULLS LAST, f.response_date DESC LIMIT 1
"""
OLD_SENDERS = """
SELECT cafe_id, id FROM customer_feedback
WHERE created_at < $1 AND (ip_address IS NOT NULL OR device_info IS NOT NULL) AND cafe_id <> ALL($2::uuid[])
ORDER BY created_at LIMIT $3
"""
TRIM_SENDERS = """
UPDATE customer_feedback AS f SET ip_address = NULL, device_info = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, id) WHERE f.cafe_id = t.cafe_id AND f.id = t.id
"""


async def insert_feedback(conn: Connection, feedback: Feedback) -> None:
    """Write one feedback as it was received."""
    await conn.execute(
        INSERT_FEEDBACK,
        feedback.feedback_id,
        feedback.cafe_id,
        feedback.customer_id,
        feedback.visit_id,
        feedback.source,
        feedback.source_reference,
        feedback.overall_rating,
        feedback.category_ratings,
        feedback.comment,
        feedback.comment_language,
        feedback.categories,
        feedback.sentiment_score,
        feedback.table_number,
        feedback.visit_date,
        feedback.order_amount,
        feedback.currency_unit,
        feedback.follow_up_at is not None,
        feedback.follow_up_at,
        feedback.created_at,
        feedback.sender.device_info,
        feedback.sender.ip_address,
    )


async def get_feedback(conn: Connection, cafe_id: UUID, feedback_id: UUID) -> dict[str, Any] | None:
    """One feedback as staff see it."""
    row = await conn.fetchrow(GET_FEEDBACK, cafe_id, feedback_id)
    return dict(row) if row else None


async def search_feedback(conn: Connection, cafe_id: UUID, wanted: Filter) -> list[dict[str, Any]]:
    """Newest first. Words are found by their beginnings, whatever the spelling."""
    rows = await conn.fetch(
        SEARCH_FEEDBACK,
        cafe_id,
        wanted.rating_from,
        wanted.rating_to,
        _tsquery(wanted.words),
        wanted.source,
        wanted.category,
        wanted.customer_id,
        wanted.visit_id,
        wanted.follow_up,
        wanted.since,
        wanted.until,
        wanted.before,
        wanted.limit,
    )
    return [dict(row) for row in rows]


def _tsquery(words: str | None) -> str | None:
    keys = "".join(letter if letter.isalnum() else " " for letter in search_key(words or "")).split()
    return " & ".join(f"{key}:*" for key in keys) or None


async def summarize(conn: Connection, cafe_id: UUID, since: datetime, until: datetime) -> dict[str, Any]:
    """Counts and averages of what was received in [since, until)."""
    row = await conn.fetchrow(SUMMARIZE, cafe_id, since, until)
    assert row is not None
    return dict(row)


async def respond(
    conn: Connection, cafe_id: UUID, feedback_id: UUID, text: str, moment: datetime, user_id: UUID
) -> Answered | None:
    """Writes the cafe's answer; None when there is no such feedback, or its guest was erased."""
    row = await conn.fetchrow(RESPOND, cafe_id, feedback_id, text, moment, user_id)
    return Answered(**row) if row else None


async def find_answer(conn: Connection, token: str) -> str | None:
    """What the cafe answered to what was said of the link's visit."""
    answer: str | None = await conn.fetchval(FIND_ANSWER, sha256(token))
    return answer


async def list_old_senders(
    conn: Connection, received_before: datetime, aside: Sequence[UUID]
) -> list[tuple[UUID, UUID]]:
    """Some of the older feedback (cafe, id) of which address or device are known, but for the cafes `aside`."""
    return [tuple(row) for row in await conn.fetch(OLD_SENDERS, received_before, aside, PRUNE_AT_ONCE)]


async def trim_senders(conn: Connection, feedback: Sequence[tuple[UUID, UUID]]) -> int:
    """Forget address and device of this feedback. Returns how many."""
    return count_of(await conn.execute(TRIM_SENDERS, *zip(*feedback, strict=True)))
