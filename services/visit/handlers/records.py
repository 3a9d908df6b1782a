"""New bills: from their bodies to rows and events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from services.visit.handlers import announce, words
from services.visit.handlers.guests import customer_of, learn_again, learn_guests
from services.visit.models.values import Bill, BillDraft, BillOutcome, KnownReceipt, NewVisit, ReceiptKey, RecordVisit
from services.visit.rules import contents, numbering, verdicts
from services.visit.store import devices, guests, receipts, statistics
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import Rejected
from shared.messaging.outbox import emit
from shared.security.crypto import Keys, keyed_digest, phone_hash
from shared.security.ids import customer_id

FINGERPRINT_BYTES = 16


async def record(conn: Connection, commands: Sequence[RecordVisit], keys: Keys) -> list[BillOutcome]:
    """Takes in records whose devices are held. A receipt that comes twice in the batch is new once."""
    drafts = await draft_bills(conn, commands, keys)
    first: dict[ReceiptKey, int] = {}
    for index, draft in enumerate(drafts):
        first.setdefault(draft.command.key, index)
    reused = verdicts.event_ids_reused([drafts[index].command for index in first.values()])
    outcomes: dict[int, BillOutcome] = {}
    fresh: dict[int, BillDraft] = {}
    late: list[BillDraft] = []
    for index in first.values():
        draft = drafts[index]
        taken = draft.command.key in reused
        verdict = verdicts.event_id_reused() if taken else verdicts.verdict_on_record(draft, customer_of(draft))
        if verdict == "new":
            fresh[index] = draft
        elif verdict == "late_record":
            late.append(draft)
        outcomes[index] = refused(verdict) if isinstance(verdict, Rejected) else as_before(draft, "repeated")
    outcomes |= await take_in(conn, fresh, keys)
    if late:
        await receipts.note_records(conn, late)
        await emit(conn, await learn_again(conn, late, keys))
    # A refused bill leaves its receipt number free: the next bill of the batch with that number is tried.
    free = [
        index
        for index, draft in enumerate(drafts)
        if outcomes[first[draft.command.key]].status == "refused"
        and not draft.is_same(drafts[first[draft.command.key]])
    ]
    if free:
        outcomes |= zip(free, await record(conn, [commands[index] for index in free], keys), strict=True)
    return [
        outcomes.get(index) or _again(draft, drafts[first[draft.command.key]], outcomes[first[draft.command.key]])
        for index, draft in enumerate(drafts)
    ]


async def draft_bills(conn: Connection, commands: Sequence[Bill], keys: Keys) -> list[BillDraft]:
    """Each bill with what follows from its body and what the tables know of it."""
    hashes = [phone_hash(keys, each.cafe_id, each.body.phone) if each.body.phone else None for each in commands]
    own = [customer_id(keys, each.cafe_id, each.body.phone) if each.body.phone else None for each in commands]
    found, moment = await receipts.find(conn, commands, hashes, own), now()
    lines = [contents.lines_of(command.body) for command in commands]
    # Keyed: the body's other fields are in the tables, and from a plain digest the phone could be guessed.
    fingerprints = [
        keyed_digest(keys, "bill", command.cafe_id, contents.content_of(command.body, said))[:FINGERPRINT_BYTES]
        for command, said in zip(commands, lines, strict=True)
    ]
    drafts = [
        BillDraft(
            command=command,
            lines=lines[index],
            item_count=contents.item_count(command.body),
            fingerprint=fingerprints[index],
            phone_hash=hashes[index],
            own_id=own[index],
            found=found[index],
            heard_at=verdicts.heard_before(found[index].receipt, command, fingerprints[index]) or moment,
        )
        for index, command in enumerate(commands)
    ]
    return [contents.of_nobody(draft) for draft in drafts]


async def take_in(conn: Connection, drafts: Mapping[int, BillDraft], keys: Keys) -> dict[int, BillOutcome]:
    """Writes bills that no receipt stands for yet, and announces them; a void that came first is announced after."""
    outcomes: dict[int, BillOutcome] = {}
    placed = await with_branches(conn, drafts)
    outcomes |= {index: refused(draft) for index, draft in placed.items() if isinstance(draft, Rejected)}
    taken = {index: draft for index, draft in placed.items() if isinstance(draft, BillDraft)}
    if not taken:
        return outcomes
    learned = await learn_guests(conn, taken, keys)
    numbers = numbering.number_visits(taken, learned.customers, learned.counters)
    visits = {
        index: NewVisit(
            draft=draft,
            visit_id=(visit_id := new_id()),
            customer_id=learned.customers.get(index),
            visit_number=numbers.get(index),
            void=draft.found.receipt,
            words_sealed=words.sealed(keys, visit_id, draft.command.body),
            forgotten_at=draft.found.erased_at if contents.is_nobodys(draft) else None,
        )
        for index, draft in taken.items()
    }
    news = [*learned.news, *(announce.recorded(visit, keys) for visit in visits.values())]
    bills = [draft.command for draft in taken.values()]
    await receipts.insert(conn, list(visits.values()))
    await statistics.note(conn, [bill.cafe_id for bill in bills], [bill.body.occurred_at for bill in bills])
    await emit(conn, news)
    await _announce_voids(conn, visits.values())
    return outcomes | {
        index: BillOutcome("recorded", visit.visit_id, visit.customer_id, visit.visit_number)
        for index, visit in visits.items()
    }


async def _announce_voids(conn: Connection, visits: Iterable[NewVisit]) -> None:
    void = [(visit, visit.void) for visit in visits if visit.void]
    held = {(visit.draft.command.cafe_id, visit.customer_id) for visit, _ in void if visit.customer_id}
    spans = await guests.spans(conn, held) if held else {}
    await emit(
        conn,
        [
            announce.voided_before(
                visit,
                before,
                spans[visit.draft.command.cafe_id, visit.customer_id] if visit.customer_id else (None, None),
            )
            for visit, before in void
        ],
    )


async def with_branches(conn: Connection, drafts: Mapping[int, BillDraft]) -> dict[int, BillDraft | Rejected]:
    """The bills with the branch they name, or why that is none."""
    named = {draft.command.cafe_id for draft in drafts.values() if draft.command.body.branch}
    names = contents.branch_names(await devices.branches(conn, named)) if named else {}
    placed: dict[int, BillDraft | Rejected] = {}
    for index, draft in drafts.items():
        branch = contents.branch_of(draft.command.body.branch, names.get(draft.command.cafe_id, {}))
        placed[index] = (
            branch if isinstance(branch, Rejected) else replace(draft, branch_id=branch) if branch else draft
        )
    return placed


def _again(draft: BillDraft, first: BillDraft, outcome: BillOutcome) -> BillOutcome:
    if not draft.is_same(first):
        return refused(verdicts.receipt_conflict())
    return outcome if outcome.status == "refused" else replace(outcome, status="repeated")


def as_before(draft: BillDraft, status: Literal["repeated", "superseded"]) -> BillOutcome:
    """The visit that stands, unchanged."""
    return standing(draft.found.receipt, status)


def standing(
    known: KnownReceipt | None, status: Literal["repeated", "superseded", "corrected", "voided", "claimed"]
) -> BillOutcome:
    """An outcome of the visit that a receipt already has."""
    if known is None:
        return BillOutcome(status)
    return BillOutcome(status, known.visit_id, known.customer_id, known.visit_number)


def refused(why: Rejected) -> BillOutcome:
    """The command was not taken."""
    return BillOutcome("refused", refusal=why)
