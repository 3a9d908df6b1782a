"""What guests say, by a link or to the staff, is taken in."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.feedback import rules
from services.feedback.handlers.answers import guest_erased
from services.feedback.handlers.links import find_open_link, refusal
from services.feedback.models.http import StaffEntry, Submission
from services.feedback.models.values import Feedback, FeedbackSource, RatedVisit, SubmittedFrom
from services.feedback.store import cases as case_store
from services.feedback.store import erasure, guests
from services.feedback.store import feedback as feedback_store
from services.feedback.store import links as link_store
from services.feedback.store import visits as visit_store
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.events.feedback import CaseOpened, FeedbackReceived
from shared.inputs.table_numbers import table_code
from shared.messaging import outbox


async def submit(conn: Connection, token: str, said: Submission, source: FeedbackSource, sender: SubmittedFrom) -> UUID:
    """Take what a guest says by way of a link, once. Returns the feedback's id.

    Raises `Rejected` like `find_open_link`; of two submissions at the same moment one is refused as used.
    """
    link, moment = await find_open_link(conn, token), now()
    used = await link_store.use_link(conn, token, moment)
    if used is None:
        raise refusal("used")
    visit = replace(link.visit, customer_id=used.customer_id)
    feedback = feedback_of(link.cafe_id, said, moment, source, str(link.link_id), visit, sender=sender)
    await take_in(conn, feedback, visit.visit_at, link.correlation_id)
    return feedback.feedback_id


async def enter(conn: Connection, cafe_id: UUID, entry: StaffEntry) -> UUID:
    """Take what a guest said to the staff. Returns the feedback's id.

    Raises `Rejected` when the visit is not known or belongs to another guest, or the cafe has no such guest.
    """
    visit = None
    if entry.visit_id is not None:
        visit = await visit_store.find_visit(conn, cafe_id, entry.visit_id)
        if visit is None:
            raise NotFound("visit", "بازدید")
        if visit.customer_id and entry.customer_id and visit.customer_id != entry.customer_id:
            raise Rejected("other_guest", "The visit belongs to another guest.", "این بازدید از مهمان دیگری است.")
    guest = (visit.customer_id if visit else None) or entry.customer_id
    erased_at = await erasure.erased_at(conn, cafe_id, guest) if guest else None
    if erased_at and (visit is None or visit.visit_at <= erased_at):
        raise guest_erased()
    theirs = visit is not None and visit.customer_id == entry.customer_id
    if entry.customer_id and not theirs and not await guests.is_known(conn, cafe_id, entry.customer_id):
        en, fa = "This cafe knows no guest with that id.", "این کافه مهمانی با این شناسه نمی‌شناسد."
        raise Rejected("unknown_guest", en, fa, problems=[Problem("customer_id", "unknown_guest", en, fa)])
    feedback = feedback_of(cafe_id, entry, now(), entry.source, entry.source_reference, visit, entry=entry)
    await take_in(conn, feedback, visit.visit_at if visit else None, new_id())
    return feedback.feedback_id


def feedback_of(
    cafe_id: UUID,
    said: Submission,
    moment: datetime,
    source: FeedbackSource,
    reference: str | None,
    visit: RatedVisit | None,
    *,
    entry: StaffEntry | None = None,
    sender: SubmittedFrom | None = None,
    table_number: str | None = None,
) -> Feedback:
    """The row that keeps what was said; a known visit speaks for itself, else the entry or the table where it was."""
    ratings: dict[str, int] = {str(name): stars for name, stars in said.category_ratings.items()}
    return Feedback(
        feedback_id=new_id(),
        cafe_id=cafe_id,
        visit_id=visit.visit_id if visit else None,
        source=source,
        source_reference=reference,
        overall_rating=said.overall_rating,
        category_ratings=ratings,
        comment=said.comment,
        comment_language=rules.language_of(said.comment),
        categories=rules.categories_of(ratings, said.comment),
        sentiment_score=rules.sentiment_of(said.comment),
        follow_up_at=rules.follow_up_due(said.overall_rating, moment),
        created_at=moment,
        sender=sender or SubmittedFrom(),
        **_context(visit, entry, table_number),
    )


def _context(visit: RatedVisit | None, entry: StaffEntry | None, table_number: str | None) -> dict[str, Any]:
    said: dict[str, Any] = {
        name: getattr(entry, name, None)
        for name in ("customer_id", "table_number", "visit_date", "order_amount", "currency_unit")
    }
    if visit is None:
        return said | {"table_number": said["table_number"] or table_number}
    return {
        "customer_id": visit.customer_id or said["customer_id"],
        "table_number": visit.table_number or said["table_number"],
        "visit_date": visit.visit_date,
        "order_amount": visit.final_amount,
        "currency_unit": visit.currency_unit,
    }


async def take_in(conn: Connection, feedback: Feedback, visit_at: datetime | None, correlation_id: UUID) -> None:
    """Writes down what was said, opens a case when it asks for one, and tells the others."""
    await feedback_store.insert_feedback(conn, feedback)
    about: dict[str, Any] = {
        "cafe_id": feedback.cafe_id,
        "occurred_at": feedback.created_at,
        "customer_id": feedback.customer_id,
        "visit_id": feedback.visit_id,
        "feedback_id": feedback.feedback_id,
        "correlation_id": correlation_id,
    }
    received = FeedbackReceived(
        **about,
        visit_at=visit_at,
        source=feedback.source,
        overall_rating=feedback.overall_rating,
        category_ratings=feedback.category_ratings,
        categories=[*feedback.categories],
        has_comment=feedback.comment is not None,
    )
    events: list[FeedbackReceived | CaseOpened] = [received]
    if feedback.follow_up_at is not None:
        case_id = new_id()
        await case_store.open_case(conn, case_id, feedback, feedback.follow_up_at)
        events.append(
            CaseOpened(
                **about,
                causation_id=received.event_id,
                case_id=case_id,
                due_at=feedback.follow_up_at,
                overall_rating=feedback.overall_rating,
                table_number=table_code(feedback.table_number),
            )
        )
    await outbox.emit(conn, events)
