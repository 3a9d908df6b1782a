"""Bills of nobody become the guests' who are said to have paid them: by a till's correction, or by hand."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from services.visit.handlers import announce
from services.visit.handlers.guests import customer_of, learn_guests
from services.visit.handlers.records import draft_bills, refused, standing
from services.visit.models.values import BillDraft, BillOutcome, ClaimVisit, GuestKey, ReceiptKey, VisitKey, VoidVisit
from services.visit.rules import claiming
from services.visit.rules.numbering import number_visits
from services.visit.store import guests, receipts, statistics, visits
from shared.database.db import Connection
from shared.events.visit import VisitVoided
from shared.messaging.outbox import emit
from shared.security.crypto import Keys


async def claim(conn: Connection, drafts: Sequence[BillDraft], keys: Keys) -> list[BillDraft]:
    """Gives bills of nobody to the guests whom these corrections name, whether or not the rest of a correction stands.

    Returns the drafts with what is known now. A bill that was voided is its guest's as well, so that it makes no
    difference which of both came first.
    """
    wanted = {
        key: drafts[index]
        for key, index in claiming.first_claims(drafts, [customer_of(draft) for draft in drafts]).items()
    }
    dates = {
        (key[0], known.visit_id): known.visit_date
        for key, draft in wanted.items()
        if (known := draft.found.receipt) and known.visit_id and known.visit_date
    }
    stored = await visits.fetch_nobodys(conn, dates) if dates else {}
    taken = {index: draft for index, draft in enumerate(wanted.values()) if _visit_of(draft) in stored}
    if not taken:
        return list(drafts)
    learned = await learn_guests(conn, taken, keys)
    numbers = number_visits(taken, learned.customers, learned.counters)
    claims = {draft.command.key: (draft, learned.customers[index], numbers[index]) for index, draft in taken.items()}
    moved = {_visit_of(draft): stored[_visit_of(draft)]["visit_date"] for draft, _, _ in claims.values()}
    await visits.claim(conn, moved, {_visit_of(draft): (guest, number) for draft, guest, number in claims.values()})
    await receipts.note_claims(conn, list(claims.values()))
    claimed = [
        announce.claimed(stored[_visit_of(draft)], draft, guest, number, keys)
        for draft, guest, number in claims.values()
    ]
    news = [*learned.news, *claimed, *await _voids(conn, list(claims.values()))]
    await statistics.note(conn, [key[0] for key in moved], list(moved.values()))
    await emit(conn, news)
    return [_known_again(draft, claims) for draft in drafts]


async def claim_by_hand(conn: Connection, commands: Sequence[ClaimVisit], keys: Keys) -> list[BillOutcome]:
    """Takes in what people say about bills of nobody whose devices are held."""
    drafts = await draft_bills(conn, commands, keys)
    return [_outcome(before, after) for before, after in zip(drafts, await claim(conn, drafts, keys), strict=True)]


def _outcome(before: BillDraft, after: BillDraft) -> BillOutcome:
    guest, known = customer_of(after), after.found.receipt
    if guest is None or known is None or known.customer_id != guest:
        return refused(claiming.other_guest(after, guest))
    was_nobodys = before.found.receipt is not None and before.found.receipt.customer_id is None
    return standing(known, "claimed" if was_nobodys else "repeated")


def _visit_of(draft: BillDraft) -> VisitKey:
    known = draft.found.receipt
    assert known is not None
    assert known.visit_id is not None
    return draft.command.cafe_id, known.visit_id


def _known_again(draft: BillDraft, claims: dict[ReceiptKey, tuple[BillDraft, UUID, int]]) -> BillDraft:
    known = draft.found.receipt
    if known is None or draft.command.key not in claims:
        return draft
    by, guest, number = claims[draft.command.key]
    claimed = replace(known, customer_id=guest, visit_number=number, claimed_at=by.corrected_at)
    return replace(draft, found=replace(draft.found, receipt=claimed))


async def _voids(conn: Connection, claims: Sequence[tuple[BillDraft, UUID, int]]) -> list[VisitVoided]:
    """The void events of visits that were voided before they were claimed, now about their guests."""
    void = [(draft, guest) for draft, guest, _ in claims if draft.found.receipt and draft.found.receipt.voided_at]
    if not void:
        return []
    held: set[GuestKey] = {(draft.command.cafe_id, guest) for draft, guest in void}
    spans = await guests.spans(conn, held)
    dates = {_visit_of(draft): draft.found.receipt.visit_date for draft, _ in void if draft.found.receipt}
    stored = await visits.fetch(conn, {key: date for key, date in dates.items() if date})
    return [
        announce.voided(stored[_visit_of(draft)], _void_of(draft), spans[draft.command.cafe_id, guest])
        for draft, guest in void
    ]


def _void_of(draft: BillDraft) -> VoidVisit:
    known, command = draft.found.receipt, draft.command
    assert known is not None
    assert known.voided_at is not None
    return VoidVisit(
        cafe_id=command.cafe_id,
        device_id=command.device_id,
        receipt_number=command.receipt_number,
        correlation_id=command.correlation_id,
        event_id=command.event_id,
        voided_at=known.voided_at,
        reason=known.void_reason,
    )
