"""Low ratings that somebody must follow up."""

from uuid import UUID

from services.feedback.store import cases as case_store
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound, Rejected
from shared.events.feedback import CaseClosed
from shared.messaging import outbox


async def close_case(conn: Connection, cafe_id: UUID, case_id: UUID, resolution: str, user_id: UUID) -> None:
    """Close a follow-up case with how it ended; of an erased guest's only that it did.

    Raises `Rejected` when there is none, or it is closed already.
    """
    case = await case_store.lock_case(conn, cafe_id, case_id)
    if case is None:
        raise NotFound("case", "این پرونده")
    if case["status"] == "closed":
        raise Rejected("already_closed", "This case is closed already.", "این پرونده پیش‌تر بسته شده است.", status=409)
    moment = now()
    kept = None if case["forgotten_at"] else resolution
    await case_store.close_case(conn, cafe_id, case, kept, moment, user_id)
    closed = CaseClosed(
        cafe_id=cafe_id,
        occurred_at=moment,
        customer_id=case["customer_id"],
        visit_id=case["visit_id"],
        feedback_id=case["feedback_id"],
        case_id=case_id,
    )
    await outbox.emit(conn, [closed])
