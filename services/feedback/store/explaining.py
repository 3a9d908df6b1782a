"""What became of links and answers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from shared.database.db import Connection

NEWEST = "ORDER BY at DESC LIMIT $5"
LINK = """
       l.id, l.visit_id, l.created_at AS at, l.expires_at, l.used_at, l.closed_at, coalesce(o.times, 0) AS times, o.day
FROM feedback_links l LEFT JOIN link_openings o ON o.cafe_id = l.cafe_id AND o.visit_id = l.visit_id
WHERE l.cafe_id = $1 AND
"""
LINK_OF_VISIT = f"SELECT {LINK} l.visit_id = $2"
LINKS = f"SELECT {LINK} l.customer_id = $2 AND l.created_at >= $3 AND l.created_at < $4 {NEWEST}"
ANSWER = """
       f.id, f.visit_id, f.created_at AS at, f.feedback_source::text AS source, f.overall_rating AS rating,
       f.comment IS NOT NULL AS has_comment, f.response_date, k.id AS case_id, k.status::text AS case_status,
       k.opened_at, k.due_at, k.closed_at
FROM customer_feedback f LEFT JOIN feedback_cases k ON k.cafe_id = f.cafe_id AND k.feedback_id = f.id
WHERE f.cafe_id = $1 AND
"""
ANSWERS_OF_VISIT = f"SELECT {ANSWER} f.visit_id = $2 ORDER BY f.created_at DESC LIMIT $3"
ANSWERS = f"SELECT {ANSWER} f.customer_id = $2 AND f.created_at >= $3 AND f.created_at < $4 {NEWEST}"


async def link_of_visit(conn: Connection, cafe_id: UUID, visit_id: UUID) -> list[dict[str, Any]]:
    """The link of a visit, if there is one."""
    return [dict(row) for row in await conn.fetch(LINK_OF_VISIT, cafe_id, visit_id)]


async def links(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime, limit: int
) -> list[dict[str, Any]]:
    """The guest's links, the newest first."""
    return [dict(row) for row in await conn.fetch(LINKS, cafe_id, customer_id, since, before, limit)]


async def answers_of_visit(conn: Connection, cafe_id: UUID, visit_id: UUID, limit: int) -> list[dict[str, Any]]:
    """What was said about a visit."""
    return [dict(row) for row in await conn.fetch(ANSWERS_OF_VISIT, cafe_id, visit_id, limit)]


async def answers(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime, limit: int
) -> list[dict[str, Any]]:
    """What the guest said, the newest first."""
    return [dict(row) for row in await conn.fetch(ANSWERS, cafe_id, customer_id, since, before, limit)]
