"""What the feedback service does: reactions to events, and what guests and staff ask of it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from services.feedback import rules, store
from services.feedback.models import Feedback, Link, Sender, Source, StaffEntry, Submission, Visit
from services.feedback.store import cases, erasure, guests
from shared.clock import new_id, now
from shared.database.db import Connection, Pool
from shared.errors import NotFound, Problem, Rejected
from shared.events.customer import CustomerErased, CustomerRegistered
from shared.events.feedback import CaseClosed, CaseOpened, FeedbackReceived, FeedbackResponded, LinkOpened
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.inputs.table_numbers import table_code
from shared.jobs.by_cafe import ByCafe
from shared.messaging import outbox, parked
from shared.security.crypto import Keys
from shared.security.ids import feedback_token

E = TypeVar("E", VisitRecorded, VisitCorrected, VisitVoided)

_trimming = ByCafe("feedback", "feedback.trim_senders")
_pruning = ByCafe("feedback", "feedback.prune_links")

REFUSALS = {
    "unknown": (
        "link_unknown",
        "This link is not valid. One that has just been sent may need a minute; try again.",
        "این پیوند معتبر نیست. اگر همین حالا رسیده است، یک دقیقه دیگر دوباره بازش کنید.",
        404,
    ),
    "used": ("link_used", "Feedback for this visit was already sent.", "نظر شما دربارهٔ این بازدید ثبت شده است.", 409),
    "expired": ("link_expired", "This link has expired.", "زمان این پیوند گذشته است.", 410),
    "closed": ("link_closed", "This link was withdrawn.", "این پیوند دیگر در دسترس نیست.", 410),
}


async def on_visit_recorded(conn: Connection, events: Sequence[VisitRecorded], *, keys: Keys) -> None:
    """Keep the visits and give each a link, also those of unknown guests: theirs is printed as a code."""
    visits = await keep_recorded(conn, events)
    tokens = [feedback_token(keys, event.cafe_id, event.visit_id) for event in visits]
    await store.make_links(conn, visits, tokens, [rules.link_expires(event.recorded_at) for event in visits])


async def on_visit_claimed(conn: Connection, events: Sequence[VisitClaimed]) -> None:
    """Visits of nobody are a guest's, and so is what was said about them: of open cases others hear once more, with
    whose they are."""
    await keep_recorded(conn, events)
    moved = await store.move_to_guests(conn, events)
    names = ("cafe_id", "customer_id", "visit_id", "feedback_id", "case_id", "due_at")
    await outbox.emit(
        conn,
        [
            CaseOpened(occurred_at=case["opened_at"], **{name: case[name] for name in names})
            for case in moved
            if case["status"] == "open"
        ],
    )


async def on_visit_corrected(conn: Connection, events: Sequence[VisitCorrected]) -> None:
    """Take over the newest state of the visits."""
    await store.follow_visits(conn, await keep_corrected(conn, events))


async def on_visit_voided(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Close the links of visits that never were. What a guest already said stays said."""
    await store.close_links(conn, await keep_voided(conn, events))


async def keep_recorded(conn: Connection, events: Sequence[VisitRecorded]) -> list[VisitRecorded]:
    """Keep the visits. Returns one event for each, as the others here do."""
    visits = _one_per_visit(events)
    await store.record_visits(conn, visits)
    return visits


async def keep_corrected(conn: Connection, events: Sequence[VisitCorrected]) -> list[VisitCorrected]:
    """Take over the newest state of the visits."""
    visits = _one_per_visit(sorted(events, key=lambda event: event.corrected_at))
    await store.correct_visits(conn, visits)
    return visits


async def keep_voided(conn: Connection, events: Sequence[VisitVoided]) -> list[VisitVoided]:
    """Mark visits that never were."""
    visits = _one_per_visit(events)
    await store.void_visits(conn, visits)
    return visits


async def on_customer_registered(conn: Connection, events: Sequence[CustomerRegistered]) -> None:
    """Keep who is a guest of which cafe."""
    await guests.add(conn, events)


async def on_customer_erased(conn: Connection, events: Sequence[CustomerErased]) -> None:
    """Empty what the guests said."""
    newest = {(event.cafe_id, event.customer_id): event for event in sorted(events, key=lambda e: e.occurred_at)}
    await erasure.erase_customers(conn, list(newest.values()))
    await parked.forget(conn, [event.customer_id for event in newest.values()])
    await guests.forget(conn, list(newest.values()))


async def find_open_link(conn: Connection, token: str) -> Link:
    """The link, if it can still be used.

    Raises `Rejected` (404, 409 or 410) that says in both languages why it can't.
    """
    link = await store.find_link(conn, token) if rules.looks_like_token(token) else None
    state = rules.link_state(link, now())
    if link is None or state != "open":
        raise refusal(state)
    return link


async def note_opening(conn: Connection, token: str) -> None:
    """Counts that somebody opened a link, and tells it when we know whose it is."""
    moment = now()
    link = await store.note_opening(conn, token, moment, rules.OPENINGS_A_DAY)
    if link is not None and link["customer_id"] is not None:
        opened = LinkOpened(
            cafe_id=link["cafe_id"],
            occurred_at=moment,
            correlation_id=link["correlation_id"],
            customer_id=link["customer_id"],
            visit_id=link["visit_id"],
            times=link["times"],
        )
        await outbox.emit(conn, [opened])


def refusal(state: str) -> Rejected:
    """What a link in that state is answered with."""
    code, en, fa, status = REFUSALS[state]
    return Rejected(code, en, fa, status=status)


def guest_erased() -> Rejected:
    """Nothing may be written any more about what an erased guest did or said."""
    return Rejected(
        "guest_erased",
        "This guest was erased: nothing can be written about what was before.",
        "این مهمان پاک شده است و دربارهٔ پیش از آن چیزی نوشته نمی‌شود.",
        status=409,
    )


async def submit(conn: Connection, token: str, said: Submission, source: Source, sender: Sender) -> UUID:
    """Take what a guest says by way of a link, once. Returns the feedback's id.

    Raises `Rejected` like `find_open_link`; of two submissions at the same moment one is refused as used.
    """
    link, moment = await find_open_link(conn, token), now()
    used = await store.use_link(conn, token, moment)
    if used is None:
        raise refusal("used")
    visit = replace(link.visit, customer_id=used.customer_id)
    feedback = judged(link.cafe_id, said, moment, source, str(link.link_id), visit, sender=sender)
    await take_in(conn, feedback, visit.visit_at, link.correlation_id)
    return feedback.feedback_id


async def enter(conn: Connection, cafe_id: UUID, entry: StaffEntry) -> UUID:
    """Take what a guest said to the staff. Returns the feedback's id.

    Raises `Rejected` when the visit is not known or belongs to another guest, or the cafe has no such guest.
    """
    visit = None
    if entry.visit_id is not None:
        visit = await store.find_visit(conn, cafe_id, entry.visit_id)
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
    feedback = judged(cafe_id, entry, now(), entry.source, entry.source_reference, visit, entry=entry)
    await take_in(conn, feedback, visit.visit_at if visit else None, new_id())
    return feedback.feedback_id


async def respond(conn: Connection, cafe_id: UUID, feedback_id: UUID, text: str, user_id: UUID) -> None:
    """Writes down the cafe's answer; a later answer replaces it. The guest is told of the first one.

    Raises `Rejected` when there is no such feedback, or its guest was erased.
    """
    moment = now()
    answered = await store.respond(conn, cafe_id, feedback_id, text, moment, user_id)
    if answered is None:
        there = await store.get_feedback(conn, cafe_id, feedback_id)
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
    return await store.find_answer(conn, token) if rules.looks_like_token(token) else None


async def close_case(conn: Connection, cafe_id: UUID, case_id: UUID, resolution: str, user_id: UUID) -> None:
    """Close a follow-up case with how it ended; of an erased guest's only that it did.

    Raises `Rejected` when there is none, or it is closed already.
    """
    case = await cases.lock_case(conn, cafe_id, case_id)
    if case is None:
        raise NotFound("case", "این پرونده")
    if case["status"] == "closed":
        raise Rejected("already_closed", "This case is closed already.", "این پرونده پیش‌تر بسته شده است.", status=409)
    moment = now()
    kept = None if case["forgotten_at"] else resolution
    await cases.close_case(conn, cafe_id, case, kept, moment, user_id)
    closed = CaseClosed(
        cafe_id=cafe_id,
        occurred_at=moment,
        customer_id=case["customer_id"],
        visit_id=case["visit_id"],
        feedback_id=case["feedback_id"],
        case_id=case_id,
    )
    await outbox.emit(conn, [closed])


async def trim_senders(pool: Pool) -> int:
    """Job: forget from where older feedback came."""
    before = now() - rules.KEEP_SENDER
    return await _trimming.run(
        pool, lambda conn, aside: store.list_old_senders(conn, before, aside), store.trim_senders
    )


async def prune_links(pool: Pool) -> int:
    """Job: delete links that expired long ago."""
    before = now() - rules.KEEP_DEAD_LINKS
    return await _pruning.run(pool, lambda conn, aside: store.list_dead_links(conn, before, aside), store.prune_links)


def _one_per_visit(events: Iterable[E]) -> list[E]:
    # One statement can't write a row twice; the last one given wins.
    return list({(event.cafe_id, event.visit_id): event for event in events}.values())


def judged(
    cafe_id: UUID,
    said: Submission,
    moment: datetime,
    source: Source,
    reference: str | None,
    visit: Visit | None,
    *,
    entry: StaffEntry | None = None,
    sender: Sender | None = None,
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
        sender=sender or Sender(),
        **_context(visit, entry, table_number),
    )


def _context(visit: Visit | None, entry: StaffEntry | None, table_number: str | None) -> dict[str, Any]:
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
    await store.insert_feedback(conn, feedback)
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
        await cases.open_case(conn, case_id, feedback, feedback.follow_up_at)
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
