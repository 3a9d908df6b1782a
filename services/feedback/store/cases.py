"""Follow-up cases of low ratings."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from services.feedback.models.values import Feedback
from shared.database.db import Connection

CaseFilter = Literal["open", "overdue", "closed", "all"]

INSERT_CASE = """
INSERT INTO feedback_cases (cafe_id, id, feedback_id, customer_id, opened_at, due_at) VALUES ($1, $2, $3, $4, $5, $6)
"""
LIST_CASES = """
SELECT k.id, k.feedback_id, k.customer_id, k.status, k.opened_at, k.due_at, k.closed_at, k.closed_by, k.resolution,
       k.status = 'open' AND k.due_at < $3 AS is_overdue, f.overall_rating, f.comment, f.visit_id,
       v.voided_at AS visit_voided_at
FROM feedback_cases k JOIN customer_feedback f ON f.cafe_id = k.cafe_id AND f.id = k.feedback_id
LEFT JOIN visits v ON v.cafe_id = f.cafe_id AND v.visit_id = f.visit_id
WHERE k.cafe_id = $1 AND ($6::uuid IS NULL OR k.feedback_id = $6)
    AND CASE $2 WHEN 'all' THEN true WHEN 'overdue' THEN k.status = 'open' AND k.due_at < $3
                ELSE k.status::text = $2 END
ORDER BY k.closed_at DESC NULLS FIRST, k.due_at, k.id LIMIT $4 OFFSET $5
"""
LOCK_CASE = """
SELECT k.id, k.status, k.feedback_id, f.customer_id, f.visit_id, f.forgotten_at
FROM feedback_cases k JOIN customer_feedback f ON f.cafe_id = k.cafe_id AND f.id = k.feedback_id
WHERE k.cafe_id = $1 AND k.id = $2 FOR UPDATE OF k
"""
CLOSE_CASE = """
UPDATE feedback_cases SET status = 'closed', closed_at = $3, closed_by = $4, resolution = $5
WHERE cafe_id = $1 AND id = $2
"""
COMPLETE_FOLLOW_UP = """
UPDATE customer_feedback SET follow_up_completed = true, updated_at = $3 WHERE cafe_id = $1 AND id = $2
"""


async def open_case(conn: Connection, case_id: UUID, feedback: Feedback, due_at: datetime) -> None:
    """A follow-up case of that feedback."""
    await conn.execute(
        INSERT_CASE,
        feedback.cafe_id,
        case_id,
        feedback.feedback_id,
        feedback.customer_id,
        feedback.created_at,
        due_at,
    )


async def list_cases(
    conn: Connection,
    cafe_id: UUID,
    wanted: CaseFilter,
    moment: datetime,
    limit: int,
    offset: int,
    feedback_id: UUID | None = None,
) -> list[dict[str, Any]]:
    """Cases with what they are about: the most urgent first, then the closed ones, the last first."""
    values = (cafe_id, wanted, moment, limit, offset, feedback_id)
    return [dict(row) for row in await conn.fetch(LIST_CASES, *values)]


async def lock_case(conn: Connection, cafe_id: UUID, case_id: UUID) -> dict[str, Any] | None:
    """The case, locked until the end of the transaction."""
    row = await conn.fetchrow(LOCK_CASE, cafe_id, case_id)
    return dict(row) if row else None


async def close_case(
    conn: Connection, cafe_id: UUID, case: dict[str, Any], resolution: str | None, moment: datetime, user_id: UUID
) -> None:
    """Close a locked case and complete the follow-up of its feedback."""
    await conn.execute(CLOSE_CASE, cafe_id, case["id"], moment, user_id, resolution)
    await conn.execute(COMPLETE_FOLLOW_UP, cafe_id, case["feedback_id"], moment)
