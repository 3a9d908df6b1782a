"""Corrections and voids. Both may come before the bill they are about."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from services.visit.handlers import announce, claims, words
from services.visit.handlers.guests import customer_of, learn_again
from services.visit.handlers.records import as_before, draft_bills, refused, standing, take_in, with_branches
from services.visit.models.values import (
    BillDraft,
    BillOutcome,
    CorrectVisit,
    KnownReceipt,
    ReceiptKey,
    StoredVisit,
    VoidVisit,
)
from services.visit.rules import contents, verdicts
from services.visit.store import guests, receipts, statistics, visits
from shared.clock import now
from shared.consent import counts_at
from shared.database.db import Connection
from shared.errors import Rejected
from shared.messaging.outbox import emit
from shared.security.crypto import Keys

P = TypeVar("P", bound=Hashable)


async def correct(conn: Connection, commands: Sequence[CorrectVisit], keys: Keys) -> list[BillOutcome]:
    """Takes in corrections whose devices are held. One that comes before its record is the visit until then."""
    drafts = await claims.claim(conn, await draft_bills(conn, commands, keys), keys)
    newest = verdicts.newest_corrections(drafts)
    outcomes: dict[int, BillOutcome] = {}
    fresh: dict[int, BillDraft] = {}
    changed: dict[int, BillDraft] = {}
    for index in newest.values():
        verdict = verdicts.verdict_on_correction(drafts[index], customer_of(drafts[index]))
        if verdict == "new":
            fresh[index] = drafts[index]
        elif verdict == "correct":
            changed[index] = drafts[index]
        elif isinstance(verdict, Rejected):
            outcomes[index] = refused(verdict)
        else:
            outcomes[index] = as_before(drafts[index], "repeated" if verdict == "repeated" else "superseded")
    outcomes |= await take_in(conn, fresh, keys)
    outcomes |= await _overwrite(conn, changed, keys)
    heard = [drafts[index] for index in range(len(drafts)) if _is_heard(drafts[index], drafts, newest, outcomes)]
    await _remember(conn, heard, keys)
    free = [
        index
        for index, draft in enumerate(drafts)
        if _is_free(draft, outcomes[newest[draft.command.key]]) and not draft.is_same(drafts[newest[draft.command.key]])
    ]
    if free:
        outcomes |= zip(free, await correct(conn, [commands[index] for index in free], keys), strict=True)
    return [
        outcomes.get(index) or _outdone(draft, drafts[newest[draft.command.key]], outcomes[newest[draft.command.key]])
        for index, draft in enumerate(drafts)
    ]


def _is_free(draft: BillDraft, outcome: BillOutcome) -> bool:
    """Whether a correction other than the newest is judged alone: the newest was refused, or it names another guest."""
    return outcome.status == "refused" or customer_of(draft) not in (None, outcome.customer_id)


def _is_heard(
    draft: BillDraft, drafts: Sequence[BillDraft], newest: Mapping[ReceiptKey, int], outcomes: Mapping[int, BillOutcome]
) -> bool:
    index = newest[draft.command.key]
    whose = (customer_of(drafts[index]), outcomes[index].customer_id)
    return outcomes[index].status != "refused" and customer_of(draft) in whose


async def _remember(conn: Connection, drafts: Sequence[BillDraft], keys: Keys) -> None:
    """Keeps what corrections say beside the bill, whether or not they stand: a guest's no, and being dated ahead."""
    ahead: dict[ReceiptKey, dict[str, datetime]] = {}
    for draft in drafts:
        if verdicts.is_dated_ahead(draft) and isinstance(draft.command, CorrectVisit):
            ahead.setdefault(draft.command.key, {})[verdicts.mark_of(draft.command, draft.fingerprint)] = draft.heard_at
    if ahead:
        await receipts.note_ahead(conn, ahead)
    await emit(conn, await learn_again(conn, drafts, keys))


def _outdone(draft: BillDraft, winner: BillDraft, outcome: BillOutcome) -> BillOutcome:
    if outcome.status == "refused":
        return outcome
    return replace(outcome, status="repeated" if draft.is_same(winner) else "superseded")


async def _overwrite(conn: Connection, drafts: Mapping[int, BillDraft], keys: Keys) -> dict[int, BillOutcome]:
    placed = await with_branches(conn, drafts)
    taken = {index: draft for index, draft in placed.items() if isinstance(draft, BillDraft)}
    stored = await _hold(conn, {index: (draft.command.key, draft.found.receipt) for index, draft in taken.items()})
    outcomes = {index: refused(draft) for index, draft in placed.items() if isinstance(draft, Rejected)}
    outcomes |= {index: refused(verdicts.archived()) for index in taken if index not in stored}
    if not stored:
        return outcomes
    kept = [
        contents.without_words(taken[index]) if visit.is_forgotten else taken[index] for index, visit in stored.items()
    ]
    sealed = [
        words.sealed(keys, visit.visit_id, draft.command.body)
        for visit, draft in zip(stored.values(), kept, strict=True)
    ]
    await visits.correct(conn, list(stored.values()), kept, sealed)
    await receipts.note_corrections(conn, kept)
    spans = await _spans(conn, stored.values())
    news = [
        announce.corrected(visit, draft, span, draft.corrected_at, keys)
        for visit, draft, span in zip(stored.values(), kept, spans, strict=True)
        if draft.corrected_at
    ]
    await _note_days(conn, stored.values(), [draft.command.body.occurred_at for draft in kept])
    await emit(conn, news)
    return outcomes | {index: standing(taken[index].found.receipt, "corrected") for index in stored}


async def void(conn: Connection, commands: Sequence[VoidVisit]) -> list[BillOutcome]:
    """Takes in voids whose devices are held. One that comes before its record waits for it."""
    found = await receipts.find(conn, commands, [None] * len(commands), [None] * len(commands))
    known = {command.key: each.receipt for command, each in zip(commands, found, strict=True)}
    moment = now()
    first: dict[ReceiptKey, VoidVisit] = {}
    places: dict[ReceiptKey, int] = {}
    for index, command in enumerate(commands):
        if verdicts.verdict_on_void(known[command.key]) == "void":
            first.setdefault(command.key, replace(command, voided_at=counts_at(command.voided_at, moment)))
            places.setdefault(command.key, index)
    stored = await _hold(conn, {key: (key, known[key]) for key in first if known[key]})
    for key, visit in stored.items():
        if visit.is_forgotten:
            first[key] = replace(first[key], reason=None)
    archived = {key for key in first if known[key] and key not in stored}
    taken = [command for key, command in first.items() if key not in archived]
    if taken:
        await receipts.note_voids(conn, taken)
    if stored:
        await visits.void(conn, list(stored.values()), [first[key] for key in stored])
        spans = await _spans(conn, stored.values())
        news = [
            announce.voided(visit, first[key], span) for (key, visit), span in zip(stored.items(), spans, strict=True)
        ]
        await _note_days(conn, stored.values())
        await emit(conn, news)
    return [
        refused(verdicts.archived())
        if command.key in archived
        else standing(known[command.key], "voided" if places.get(command.key) == index else "repeated")
        for index, command in enumerate(commands)
    ]


async def _hold(
    conn: Connection, receipts_of: Mapping[P, tuple[ReceiptKey, KnownReceipt | None]]
) -> dict[P, StoredVisit]:
    """Holds the guests of these visits, and returns the visits as they are; archived ones are missing."""
    held = {(key[0], known.customer_id) for key, known in receipts_of.values() if known and known.customer_id}
    if held:
        await guests.lock(conn, held)
    places = {
        (key[0], known.visit_id): known.visit_date
        for key, known in receipts_of.values()
        if known and known.visit_id and known.visit_date
    }
    stored = await visits.fetch(conn, places)
    return {
        index: stored[key[0], known.visit_id]
        for index, (key, known) in receipts_of.items()
        if known and known.visit_id and (key[0], known.visit_id) in stored
    }


async def _note_days(conn: Connection, stored: Iterable[StoredVisit], moved_to: Sequence[datetime] = ()) -> None:
    """The days of these visits, and those that they were moved to."""
    stored = list(stored)
    cafes = [visit.cafe_id for visit in stored]
    moments = [visit.visit_date for visit in stored]
    await statistics.note(conn, [*cafes, *cafes[: len(moved_to)]], [*moments, *moved_to])


async def _spans(conn: Connection, stored: Iterable[StoredVisit]) -> list[announce.VisitSpan]:
    stored = list(stored)
    keys = {(visit.cafe_id, visit.customer_id) for visit in stored if visit.customer_id}
    spans = await guests.spans(conn, keys) if keys else {}
    return [spans[visit.cafe_id, visit.customer_id] if visit.customer_id else (None, None) for visit in stored]
