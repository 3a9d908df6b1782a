"""Every SQL statement of the feedback service."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.feedback.models import Answered, Feedback, Filter, Link, UsedLink, Visit
from shared.clock import new_id
from shared.database.db import Connection
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.persian.text import search_key
from shared.security.crypto import sha256

Row = dict[str, Any]
PRUNE_AT_ONCE = 1000

# A correction or a void may come first; then the record only adds what those do not say.
RECORD_VISITS = """
INSERT INTO visits AS kept (cafe_id, visit_id, customer_id, visit_at, final_amount, currency_unit, table_number)
SELECT t.cafe_id, t.visit_id, t.customer_id, t.visit_at, t.amount, t.unit,
       CASE WHEN e.customer_id IS NULL THEN left(t.table_number, 10) END
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::numeric[], $6::text[], $7::text[])
    AS t (cafe_id, visit_id, customer_id, visit_at, amount, unit, table_number)
LEFT JOIN erased_guests e
    ON e.cafe_id = t.cafe_id AND e.customer_id = t.customer_id AND e.erased_at >= t.visit_at
ORDER BY t.cafe_id, t.visit_id
ON CONFLICT (cafe_id, visit_id) DO UPDATE
SET table_number = coalesce(excluded.table_number, kept.table_number),
    customer_id = coalesce(kept.customer_id, excluded.customer_id)
"""
MAKE_LINKS = """
INSERT INTO feedback_links (cafe_id, visit_id, id, customer_id, token_sha256, correlation_id, created_at, expires_at,
                            closed_at)
SELECT t.cafe_id, t.visit_id, t.id, v.customer_id, t.token_sha256, t.correlation_id, t.created_at, t.expires_at,
       coalesce(v.voided_at, e.erased_at)
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::uuid[], $6::timestamptz[], $7::timestamptz[])
    AS t (cafe_id, visit_id, id, token_sha256, correlation_id, created_at, expires_at)
JOIN visits v USING (cafe_id, visit_id)
LEFT JOIN erased_guests e
    ON e.cafe_id = v.cafe_id AND e.customer_id = v.customer_id AND e.erased_at >= v.visit_at
ORDER BY t.cafe_id, t.visit_id
ON CONFLICT DO NOTHING
"""
# Of two corrections at one moment the visit service has chosen, and says the one that stands last.
CORRECT_VISITS = """
INSERT INTO visits AS kept (cafe_id, visit_id, customer_id, visit_at, final_amount, currency_unit, corrected_at)
SELECT *
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::numeric[], $6::text[], $7::timestamptz[])
    AS t (cafe_id, visit_id, customer_id, visit_at, amount, unit, corrected_at)
ORDER BY cafe_id, visit_id
ON CONFLICT (cafe_id, visit_id) DO UPDATE
SET customer_id = coalesce(excluded.customer_id, kept.customer_id), visit_at = excluded.visit_at,
    final_amount = excluded.final_amount, currency_unit = excluded.currency_unit, corrected_at = excluded.corrected_at
WHERE kept.corrected_at IS NULL OR kept.corrected_at <= excluded.corrected_at
"""
# The guest that a claimed visit now belongs to is the one who may use its link, and whose words it was answered with.
MOVE_LINKS = """
UPDATE feedback_links l SET customer_id = v.customer_id
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id)
JOIN visits v USING (cafe_id, visit_id)
WHERE l.cafe_id = t.cafe_id AND l.visit_id = t.visit_id AND l.customer_id IS DISTINCT FROM v.customer_id
"""
MOVE_FEEDBACK = """
WITH moved AS (
    UPDATE customer_feedback f SET customer_id = v.customer_id, updated_at = now()
    FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id)
    JOIN visits v USING (cafe_id, visit_id)
    WHERE f.cafe_id = t.cafe_id AND f.visit_id = t.visit_id AND f.customer_id IS NULL AND v.customer_id IS NOT NULL
    RETURNING f.cafe_id, f.id, f.customer_id, f.visit_id
)
UPDATE feedback_cases k SET customer_id = m.customer_id
FROM moved m WHERE k.cafe_id = m.cafe_id AND k.feedback_id = m.id
RETURNING k.cafe_id, k.id AS case_id, k.feedback_id, m.customer_id, m.visit_id, k.opened_at, k.due_at, k.status
"""
CORRECT_CONTEXT = """
UPDATE customer_feedback f
SET order_amount = v.final_amount, currency_unit = v.currency_unit,
    visit_date = (v.visit_at AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date, updated_at = now()
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id)
JOIN visits v USING (cafe_id, visit_id)
LEFT JOIN cafes c USING (cafe_id)
WHERE f.cafe_id = t.cafe_id AND f.visit_id = t.visit_id
"""
VOID_VISITS = """
INSERT INTO visits AS kept (cafe_id, visit_id, customer_id, visit_at, final_amount, currency_unit, voided_at)
SELECT *
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::numeric[], $6::text[], $7::timestamptz[])
    AS t (cafe_id, visit_id, customer_id, visit_at, amount, unit, voided_at)
ORDER BY cafe_id, visit_id
ON CONFLICT (cafe_id, visit_id) DO UPDATE SET voided_at = coalesce(kept.voided_at, excluded.voided_at)
"""
CLOSE_LINKS_OF_VISITS = """
UPDATE feedback_links l SET closed_at = t.closed_at
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) AS t (cafe_id, visit_id, closed_at)
WHERE l.cafe_id = t.cafe_id AND l.visit_id = t.visit_id AND l.closed_at IS NULL
"""
_VISIT_DATE = "(v.visit_at AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date AS visit_date"
FIND_LINK = f"""
SELECT l.id, l.cafe_id, l.correlation_id, l.expires_at, l.used_at, l.closed_at, l.customer_id,
       c.name AS cafe_name, coalesce(c.calendar, 'jalali') AS calendar,
       v.visit_id, v.visit_at, v.final_amount, v.currency_unit, v.table_number, {_VISIT_DATE}
FROM feedback_links l
JOIN visits v USING (cafe_id, visit_id)
LEFT JOIN cafes c USING (cafe_id)
WHERE l.token_sha256 = $1
"""  # noqa: S608
# Of two submissions at once only one finds the link unused.
USE_LINK = """
UPDATE feedback_links SET used_at = $2
WHERE token_sha256 = $1 AND used_at IS NULL AND closed_at IS NULL AND expires_at > $2
RETURNING customer_id
"""
# Counted up to so many on one day.
NOTE_OPENING = """
WITH link AS (
    SELECT cafe_id, visit_id, customer_id, correlation_id FROM feedback_links
    WHERE token_sha256 = $1 AND closed_at IS NULL AND expires_at > $2
),
noted AS (
    INSERT INTO link_openings AS kept (cafe_id, visit_id, times, day, times_that_day)
    SELECT cafe_id, visit_id, 1, $3, 1 FROM link
    ON CONFLICT (cafe_id, visit_id) DO UPDATE
    SET times = kept.times + 1, day = excluded.day,
        times_that_day = CASE WHEN kept.day = excluded.day THEN kept.times_that_day + 1 ELSE 1 END
    WHERE kept.day <> excluded.day OR kept.times_that_day < $4
    RETURNING cafe_id, visit_id, times
)
SELECT cafe_id, visit_id, customer_id, correlation_id, times FROM noted JOIN link USING (cafe_id, visit_id)
"""
FIND_VISIT = f"""
SELECT v.visit_id, v.customer_id, v.visit_at, v.final_amount, v.currency_unit, v.table_number, {_VISIT_DATE}
FROM visits v LEFT JOIN cafes c USING (cafe_id)
WHERE v.cafe_id = $1 AND v.visit_id = $2 AND v.voided_at IS NULL
"""  # noqa: S608
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
DEAD_LINKS = """
SELECT cafe_id, token_sha256 FROM feedback_links WHERE expires_at < $1 AND cafe_id <> ALL($2::uuid[])
ORDER BY expires_at LIMIT $3
"""
PRUNE_LINKS = "DELETE FROM feedback_links WHERE token_sha256 = ANY($1::bytea[])"


def _of(rows: Sequence[VisitRecorded | VisitCorrected | VisitVoided]) -> tuple[list[Any], ...]:
    return (
        [event.cafe_id for event in rows],
        [event.visit_id for event in rows],
        [event.customer_id for event in rows],
        [event.occurred_at for event in rows],
        [event.final_amount for event in rows],
        [event.currency_unit for event in rows],
    )


async def record_visits(conn: Connection, events: Sequence[VisitRecorded]) -> None:
    """Keep the visits, each named once in `events`."""
    await conn.execute(RECORD_VISITS, *_of(events), [event.table_number for event in events])


async def make_links(
    conn: Connection, events: Sequence[VisitRecorded], tokens: Sequence[str], expiries: Sequence[datetime]
) -> None:
    """One link for each visit that has none; `tokens` and `expiries` in the order of `events`."""
    await conn.execute(
        MAKE_LINKS,
        [event.cafe_id for event in events],
        [event.visit_id for event in events],
        [new_id() for _ in events],
        [sha256(token) for token in tokens],
        [event.correlation_id for event in events],
        [event.recorded_at for event in events],
        expiries,
    )


async def correct_visits(conn: Connection, events: Sequence[VisitCorrected]) -> None:
    """The newest state of each visit."""
    await conn.execute(CORRECT_VISITS, *_of(events), [event.corrected_at for event in events])


async def follow_visits(conn: Connection, events: Sequence[VisitCorrected]) -> None:
    """The links of corrected visits, and the feedback about them, follow the visits."""
    places = [event.cafe_id for event in events], [event.visit_id for event in events]
    await conn.execute(MOVE_LINKS, *places)
    await conn.execute(CORRECT_CONTEXT, *places)


async def move_to_guests(conn: Connection, events: Sequence[VisitClaimed]) -> list[Row]:
    """The links of claimed visits, and what was said about them by nobody, are the guests'. Returns their cases."""
    places = [event.cafe_id for event in events], [event.visit_id for event in events]
    await conn.execute(MOVE_LINKS, *places)
    return [dict(row) for row in await conn.fetch(MOVE_FEEDBACK, *places)]


async def void_visits(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Mark the visits as void, for good."""
    await conn.execute(VOID_VISITS, *_of(events), [event.voided_at for event in events])


async def close_links(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Nobody can use the links of voided visits any more."""
    await conn.execute(
        CLOSE_LINKS_OF_VISITS,
        [event.cafe_id for event in events],
        [event.visit_id for event in events],
        [event.voided_at for event in events],
    )


async def find_link(conn: Connection, token: str) -> Link | None:
    """The link with that token, and its visit."""
    row = await conn.fetchrow(FIND_LINK, sha256(token))
    if row is None:
        return None
    return Link(
        link_id=row["id"],
        cafe_id=row["cafe_id"],
        correlation_id=row["correlation_id"],
        expires_at=row["expires_at"],
        used_at=row["used_at"],
        closed_at=row["closed_at"],
        cafe_name=row["cafe_name"],
        calendar=row["calendar"],
        visit=_visit(row),
    )


async def use_link(conn: Connection, token: str, moment: datetime) -> UsedLink | None:
    """Whose the link is, if it could still be used; now it is."""
    row = await conn.fetchrow(USE_LINK, sha256(token), moment)
    return UsedLink(row["customer_id"]) if row else None


async def note_opening(conn: Connection, token: str, moment: datetime, most_a_day: int) -> Row | None:
    """Counts an opening of the link; None when it can't be used, or was opened often enough today."""
    row = await conn.fetchrow(NOTE_OPENING, sha256(token), moment, moment.date(), most_a_day)
    return dict(row) if row else None


async def find_visit(conn: Connection, cafe_id: UUID, visit_id: UUID) -> Visit | None:
    """The visit, unless it is unknown or void."""
    row = await conn.fetchrow(FIND_VISIT, cafe_id, visit_id)
    return _visit(row) if row else None


def _visit(row: Any) -> Visit:
    return Visit(
        row["visit_id"],
        row["customer_id"],
        row["visit_at"],
        row["visit_date"],
        row["final_amount"],
        row["currency_unit"],
        row["table_number"],
    )


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


async def get_feedback(conn: Connection, cafe_id: UUID, feedback_id: UUID) -> Row | None:
    """One feedback as staff see it."""
    row = await conn.fetchrow(GET_FEEDBACK, cafe_id, feedback_id)
    return dict(row) if row else None


async def search_feedback(conn: Connection, cafe_id: UUID, wanted: Filter) -> list[Row]:
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


async def summarize(conn: Connection, cafe_id: UUID, since: datetime, until: datetime) -> Row:
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
    return _count(await conn.execute(TRIM_SENDERS, *zip(*feedback, strict=True)))


async def list_dead_links(
    conn: Connection, expired_before: datetime, aside: Sequence[UUID]
) -> list[tuple[UUID, bytes]]:
    """Some links (cafe, token's digest) that nobody can use any more, but for those of the cafes `aside`."""
    return [tuple(row) for row in await conn.fetch(DEAD_LINKS, expired_before, aside, PRUNE_AT_ONCE)]


async def prune_links(conn: Connection, links: Sequence[tuple[UUID, bytes]]) -> int:
    """Delete these links. Returns how many."""
    return _count(await conn.execute(PRUNE_LINKS, [digest for _, digest in links]))


def _count(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
