"""Places where guests are asked without a bill, and what they answer there."""

import secrets
from uuid import UUID

from services.feedback import rules
from services.feedback.handlers.links import refusal
from services.feedback.handlers.submissions import feedback_of, take_in
from services.feedback.models.http import MakePoint, Submission
from services.feedback.models.values import FeedbackPoint, SubmittedFrom
from services.feedback.store import points
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound, Rejected

# Tables, branches and websites of a cafe, with those that were made anew.
MOST_POINTS = 500
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_CODE_LETTERS = 12


async def make(conn: Connection, cafe_id: UUID, user_id: UUID, wanted: MakePoint) -> FeedbackPoint:
    """A new point with a code of its own.

    Raises `Rejected` (409) when the cafe has as many as any cafe needs.
    """
    if await points.count(conn, cafe_id) >= MOST_POINTS:
        en, fa = f"A cafe has at most {MOST_POINTS} points.", f"هر کافه حداکثر {MOST_POINTS} نقطهٔ نظرسنجی دارد."
        raise Rejected("too_many_points", en, fa, status=409)
    point = FeedbackPoint(
        cafe_id=cafe_id,
        code="".join(secrets.choice(_LETTERS) for _ in range(_CODE_LETTERS)),
        kind=wanted.kind,
        branch=wanted.branch,
        table_number=wanted.table_number,
        label=wanted.label,
        created_at=now(),
        created_by=user_id,
    )
    await points.insert(conn, point)
    return point


async def retire(conn: Connection, cafe_id: UUID, code: str) -> None:
    """Closes a point for good: whoever finds its code printed somewhere is told so.

    Raises `NotFound`.
    """
    if not await points.retire(conn, cafe_id, code, now()):
        raise NotFound("feedback point", "این نقطهٔ نظرسنجی")


async def find_open(conn: Connection, code: str) -> tuple[FeedbackPoint, str | None]:
    """The point and its cafe's name.

    Raises `Rejected`: 404 when nobody knows the code, 410 when the point is retired.
    """
    point = await points.find(conn, code) if rules.looks_like_code(code) else None
    if point is None:
        raise refusal("no_point")
    if point.retired_at is not None:
        raise refusal("closed")
    return point, await points.cafe_name(conn, point.cafe_id)


async def submit(conn: Connection, code: str, said: Submission, sender: SubmittedFrom) -> UUID:
    """Takes what somebody says at a point: nobody's words, about no bill. Returns the feedback's id.

    Raises `Rejected` like `find_open`.
    """
    point, _ = await find_open(conn, code)
    feedback = feedback_of(
        point.cafe_id, said, now(), rules.source_of_point(point.kind), code, None, sender=sender,
        table_number=point.table_number,
    )  # fmt: skip
    await take_in(conn, feedback, None, new_id())
    return feedback.feedback_id
