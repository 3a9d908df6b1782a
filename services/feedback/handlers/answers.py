"""What the cafe answers to what was said."""

from uuid import UUID

from services.feedback import rules
from services.feedback.store import feedback as feedback_store
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound, Rejected
from shared.events.feedback import FeedbackResponded
from shared.messaging import outbox


def guest_erased() -> Rejected:
    """Nothing may be written any more about what an erased guest did or said."""
    return Rejected(
        "guest_erased",
        "This guest was erased: nothing can be written about what was before.",
        "این مهمان پاک شده است و دربارهٔ پیش از آن چیزی نوشته نمی‌شود.",
        status=409,
    )


async def respond(conn: Connection, cafe_id: UUID, feedback_id: UUID, text: str, user_id: UUID) -> None:
    """Writes down the cafe's answer; a later answer replaces it. The guest is told of the first one.

    Raises `Rejected` when there is no such feedback, or its guest was erased.
    """
    moment = now()
    answered = await feedback_store.respond(conn, cafe_id, feedback_id, text, moment, user_id)
    if answered is None:
        there = await feedback_store.get_feedback(conn, cafe_id, feedback_id)
        raise guest_erased() if there else NotFound("feedback", "این نظر")
    if (
        answered.is_first
        and answered.customer_id
        and answered.visit_id
        and rules.answer_reaches(answered.said_at, moment)
    ):
        responded = FeedbackResponded(
            cafe_id=cafe_id,
            occurred_at=moment,
            customer_id=answered.customer_id,
            visit_id=answered.visit_id,
            feedback_id=feedback_id,
        )
        await outbox.emit(conn, [responded])


async def find_answer(conn: Connection, token: str) -> str | None:
    """What the cafe answered to what was said of the link's visit, whatever state the link is in."""
    return await feedback_store.find_answer(conn, token) if rules.looks_like_token(token) else None
