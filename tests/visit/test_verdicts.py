"""What is done with a record, a correction, a void, a claim: the judgements themselves, without a database."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.visit.models.values import BillDraft, CommandFacts, CorrectVisit, KnownGuest, KnownReceipt, RecordVisit
from services.visit.rules import claiming, contents, figures, learning, numbering, verdicts
from shared.consent import ASKED, TICK, Answer
from shared.errors import Rejected
from shared.events.pos import PosItem, VisitBody
from tests.visit.given import CAFE, NOON, OTHER_CAFE, correction, record

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SARA, REZA, VISIT = UUID(int=1), UUID(int=2), UUID(int=3)
MINE, LESS, MORE = b"m", b"a", b"z"
KNOWN = KnownReceipt(
    visit_id=VISIT, visit_date=NOON, customer_id=SARA, visit_number=1, fingerprint=MINE, corrected_at=None,
    corrected_fingerprint=None, voided_at=None, void_reason=None,
)  # fmt: skip
NOBODYS = replace(KNOWN, customer_id=None)
ONLY_CORRECTED = replace(KNOWN, fingerprint=None, corrected_at=NOON + 5 * MINUTE, corrected_fingerprint=MINE)
WAITING_VOID = replace(KNOWN, visit_id=None, fingerprint=None, voided_at=NOON + MINUTE)


def draft(
    known: KnownReceipt | None = None,
    *,
    command: RecordVisit | CorrectVisit | None = None,
    fingerprint: bytes = MINE,
    heard_at: datetime = NOON + DAY,
    own_id: UUID | None = None,
    **found: Any,
) -> BillDraft:
    facts = {"receipt": known, "guest": None, "event_reused": False, "erased_at": None} | found
    command = command or record()
    return BillDraft(
        command=command, lines=contents.lines_of(command.body), item_count=3, fingerprint=fingerprint, phone_hash=b"p",
        own_id=own_id, found=CommandFacts(**facts), heard_at=heard_at,
    )  # fmt: skip


def word(verdict: str | Rejected) -> str:
    return verdict.code if isinstance(verdict, Rejected) else verdict


@pytest.mark.parametrize(
    ("known", "facts", "guest", "verdict"),
    [
        (None, {}, SARA, "new"),
        (None, {"event_reused": True}, SARA, "event_id_reused"),
        (WAITING_VOID, {}, SARA, "new"),
        (WAITING_VOID, {"event_reused": True}, SARA, "event_id_reused"),
        (KNOWN, {}, SARA, "repeated"),
        (KNOWN, {"event_reused": True}, SARA, "repeated"),
        # The same bill again is the same bill, whoever its guest has become.
        (KNOWN, {}, REZA, "repeated"),
        (KNOWN, {"fingerprint": MORE}, SARA, "receipt_conflict"),
        (ONLY_CORRECTED, {"fingerprint": MORE}, SARA, "late_record"),
        (ONLY_CORRECTED, {"fingerprint": MORE}, REZA, "guest_change"),
        # The correction named a guest, and the record none: nobody says that it was not claimed.
        (ONLY_CORRECTED, {"fingerprint": MORE}, None, "late_record"),
        # Whose guest was erased since became nobody's, or still is their own.
        (replace(ONLY_CORRECTED, customer_id=None), {"erased_at": NOON, "own_id": SARA}, REZA, "late_record"),
        (ONLY_CORRECTED, {"erased_at": NOON, "own_id": SARA}, REZA, "late_record"),
        (ONLY_CORRECTED, {"erased_at": NOON, "own_id": REZA}, REZA, "guest_change"),
        (ONLY_CORRECTED, {"erased_at": NOON}, REZA, "guest_change"),
        (ONLY_CORRECTED, {"own_id": SARA}, REZA, "guest_change"),
    ],
)
def test_record_is_judged(known: KnownReceipt | None, facts: dict[str, Any], guest: UUID | None, verdict: str) -> None:
    assert word(verdicts.verdict_on_record(draft(known, **facts), guest)) == verdict


CORRECTED = replace(KNOWN, corrected_at=NOON + 5 * MINUTE, corrected_fingerprint=MINE)


@pytest.mark.parametrize(
    ("known", "minutes", "fingerprint", "guest", "verdict"),
    [
        (None, 5, MINE, SARA, "new"),
        (WAITING_VOID, 5, MINE, SARA, "new"),
        (KNOWN, 5, MINE, SARA, "correct"),
        (KNOWN, 5, MINE, REZA, "guest_change"),
        (KNOWN, 5, MINE, None, "guest_change"),
        (NOBODYS, 5, MINE, None, "correct"),
        (CORRECTED, 5, MINE, SARA, "repeated"),
        (CORRECTED, 4, MINE, SARA, "superseded"),
        (CORRECTED, 6, MINE, SARA, "correct"),
        # Of two at one moment the greater fingerprint stands, whichever came first.
        (CORRECTED, 5, LESS, SARA, "superseded"),
        (CORRECTED, 5, MORE, SARA, "correct"),
        (replace(KNOWN, voided_at=NOON), 5, MINE, SARA, "superseded"),
        (replace(CORRECTED, voided_at=NOON), 5, MINE, SARA, "repeated"),
        (replace(CORRECTED, voided_at=NOON), 6, MINE, SARA, "superseded"),
        # A claimed bill stays its guest's, when a correction names nobody.
        (replace(KNOWN, claimed_at=NOON), 5, MINE, None, "correct"),
        (replace(KNOWN, claimed_at=NOON), 5, MINE, REZA, "already_claimed"),
        (ONLY_CORRECTED, 6, MORE, None, "correct"),
        (NOBODYS, 7 * 24 * 60 + 1, MINE, REZA, "claim_too_late"),
        (NOBODYS, 7 * 24 * 60, MINE, REZA, "guest_change"),
    ],
)
def test_correction_is_judged(
    known: KnownReceipt | None, minutes: int, fingerprint: bytes, guest: UUID | None, verdict: str
) -> None:
    made = draft(known, command=correction(minutes), fingerprint=fingerprint, heard_at=NOON + 30 * DAY)
    assert word(verdicts.verdict_on_correction(made, guest)) == verdict


@pytest.mark.parametrize(
    ("known", "verdict"),
    [(None, "void"), (KNOWN, "void"), (replace(KNOWN, voided_at=NOON), "repeated"), (WAITING_VOID, "repeated")],
)
def test_void_is_judged(known: KnownReceipt | None, verdict: str) -> None:
    assert verdicts.verdict_on_void(known) == verdict


@pytest.mark.parametrize(
    ("known", "minutes", "may"),
    [
        (NOBODYS, 1, True),
        (NOBODYS, 7 * 24 * 60, True),
        (NOBODYS, 7 * 24 * 60 + 1, False),
        (KNOWN, 1, False),
        (None, 1, False),
        (replace(WAITING_VOID, customer_id=None), 1, False),
    ],
)
def test_bill_of_nobody_may_be_claimed_for_a_week(known: KnownReceipt | None, minutes: int, may: bool) -> None:
    assert claiming.may_be_claimed(draft(known, command=correction(minutes), heard_at=NOON + 30 * DAY)) is may
    assert not claiming.may_be_claimed(draft(known))


def test_first_claim_of_a_batch_is_the_one_made_first_whatever_the_order() -> None:
    at = (3, 2, 2, 5)
    drafts = [draft(NOBODYS, command=correction(minutes), fingerprint=bytes([9 - i])) for i, minutes in enumerate(at)]
    assert claiming.first_claims(drafts, [SARA] * 4) == {drafts[0].command.key: 2}
    assert claiming.first_claims(drafts[::-1], [SARA] * 4) == {drafts[0].command.key: 1}
    assert claiming.first_claims(drafts, [SARA, None, None, REZA]) == {drafts[0].command.key: 0}


def test_newest_correction_of_a_batch_stands_whatever_the_order() -> None:
    at = ((3, MORE), (5, LESS), (5, MORE), (4, MORE))
    drafts = [draft(KNOWN, command=correction(minutes), fingerprint=mark) for minutes, mark in at]
    assert verdicts.newest_corrections(drafts) == {drafts[0].command.key: 2}
    assert verdicts.newest_corrections(drafts[::-1]) == {drafts[0].command.key: 1}


def test_correction_of_a_clock_that_is_ahead_counts_from_when_it_was_heard() -> None:
    ahead = draft(KNOWN, command=correction(60), heard_at=NOON + 10 * MINUTE)
    assert ahead.corrected_at == NOON + 10 * MINUTE
    assert verdicts.is_dated_ahead(ahead)
    assert not verdicts.is_dated_ahead(draft(KNOWN, command=correction(60), heard_at=NOON + 60 * MINUTE))
    assert not verdicts.is_dated_ahead(draft(KNOWN, heard_at=NOON - MINUTE))


# --- numbering


def test_visits_are_numbered_by_their_own_moments_and_each_guest_apart() -> None:
    at = {0: 30, 1: 10, 2: 20, 3: 20, 4: 10}
    drafts = {
        place: draft(
            command=record(
                OTHER_CAFE if place == 4 else CAFE,
                occurred_at=(NOON + minutes * MINUTE).isoformat(),
                receipt_number=f"{9 - place}",
            )
        )
        for place, minutes in at.items()
    }
    guests = {0: SARA, 1: SARA, 2: SARA, 3: REZA, 4: SARA}
    last = {(CAFE, SARA): 12, (CAFE, REZA): 1, (OTHER_CAFE, SARA): 40}
    assert numbering.number_visits(drafts, guests, last) == {0: 12, 1: 10, 2: 11, 3: 1, 4: 40}


def test_two_visits_at_one_moment_are_numbered_by_their_receipts() -> None:
    drafts = {place: draft(command=record(receipt_number=number)) for place, number in enumerate("312")}
    assert numbering.number_visits(drafts, dict.fromkeys(drafts, SARA), {(CAFE, SARA): 3}) == {0: 3, 1: 1, 2: 2}


@pytest.mark.parametrize(
    ("gaps", "numbers", "remaining"),
    [
        ([(2, 9)], [5], [(2, 4), (6, 9)]),
        ([(2, 9)], [2, 9], [(3, 8)]),
        ([(2, 9)], [1, 10], [(2, 9)]),
        ([(2, 3)], [3, 2], []),
        ([(2, 4), (7, 7)], [3, 7], [(2, 2), (4, 4)]),
    ],
)
def test_gaps_lose_what_arrives(gaps: list[Any], numbers: list[int], remaining: list[Any]) -> None:
    assert numbering.without(gaps, numbers) == remaining


@pytest.mark.parametrize(
    ("asked", "redeemed", "refusal", "state"),
    [
        (0, 0, None, "none"),
        (0, 0, "insufficient_points", "none"),
        (50, 0, None, "pending"),
        (50, 49, None, "pending"),
        (50, 50, None, "completed"),
        (50, 0, "insufficient_points", "refused"),
    ],
)
def test_state_of_a_redemption(asked: int, redeemed: int, refusal: str | None, state: str) -> None:
    assert contents.redemption_of(asked, redeemed, refusal) == state


# --- what makes two bills the same

OTHER_VALUE: dict[str, Any] = {
    "branch": "VANAK",
    "phone": "09121110000",
    "guest_name": "سارا",
    "marketing_consent": True,
    "occurred_at": (NOON + MINUTE).isoformat(),
    "items": [{"name": "قهوه ترک", "quantity": 2, "amount": "120000"}],
    "total_items": 9,
    "total": "185001",
    "discount": "1",
    "currency_unit": "IRR",
    "payment_method": "cash",
    "points_to_redeem": 5,
    "redemption_id": str(VISIT),
    "table_number": "7",
    "server_name": "رضا",
    "service_duration": 40,
    "notes": "بدون شکر",
    "attributes": {"a": 1},
}
LINE = {"name": "چای", "quantity": 1, "amount": "5", "sku": "t", "category": "c"}
OTHER_LINE = {"name": "کیک", "quantity": 2, "amount": "6", "sku": "u", "category": "d"}


def content(**changes: Any) -> bytes:
    body = record(**changes).body
    return contents.content_of(body, contents.lines_of(body))


@pytest.mark.parametrize("field", sorted(set(VisitBody.model_fields) - {"consent_asked_at"}))
def test_bills_that_differ_in_any_field_are_two(field: str) -> None:
    # Points are asked for only of a redemption, and by a guest.
    more = {"points_to_redeem": 4} if field == "redemption_id" else {}
    assert content(**more, **{field: OTHER_VALUE[field]}) != content(**more)


def test_bills_that_differ_only_in_when_the_guest_was_asked_are_two() -> None:
    asked = [{"marketing_consent": True, "consent_asked_at": (NOON - n * MINUTE).isoformat()} for n in (1, 2)]
    assert len({content(marketing_consent=True), *(content(**each) for each in asked)}) == 3


@pytest.mark.parametrize("field", sorted(PosItem.model_fields))
def test_bills_whose_lines_differ_in_any_field_are_two(field: str) -> None:
    assert content(items=[LINE | {field: OTHER_LINE[field]}]) != content(items=[LINE])


def test_order_of_lines_makes_two_bills() -> None:
    assert content(items=[LINE, OTHER_LINE]) != content(items=[OTHER_LINE, LINE])


# --- what a bill tells of its guest


def ticked(granted: bool = True, asked: int | None = None, **changes: Any) -> BillDraft:
    said = {} if asked is None else {"consent_asked_at": (NOON + asked * MINUTE).isoformat()}
    return draft(command=record(marketing_consent=granted, **said), **changes)


@pytest.mark.parametrize(
    ("bill", "answer"),
    [
        (draft(), None),
        (ticked(), Answer(True, TICK, NOON)),
        (ticked(False), Answer(False, TICK, NOON)),
        (ticked(asked=-5), Answer(True, ASKED, NOON - 5 * MINUTE)),
        (ticked(heard_at=NOON - MINUTE), Answer(True, TICK, NOON - MINUTE)),
        # What was said before the guest was forgotten is forgotten, at that very moment too.
        (ticked(erased_at=NOON), None),
        (ticked(erased_at=NOON - MINUTE), Answer(True, TICK, NOON)),
        # A correction takes a yes back, and gives none.
        (draft(command=correction(marketing_consent=True)), None),
        (draft(command=correction(marketing_consent=False)), Answer(False, TICK, NOON)),
    ],
)
def test_answer_of_a_bill(bill: BillDraft, answer: Answer | None) -> None:
    assert learning.answer_of(bill) == answer


def test_guest_is_told_of_once_and_an_answer_only_when_it_counts() -> None:
    guest, told = learning.learn(KnownGuest(SARA), [ticked(False), draft()], is_new=True)
    assert [(each.name, each.answer) for each in told] == [(None, Answer(False, TICK, NOON))]
    again, more = learning.learn(guest, [ticked(False, asked=5, heard_at=NOON + DAY), ticked()], is_new=False)
    # A later no changes nothing for others, and a tick does not take it back.
    assert (more, again.answer) == ([], Answer(False, ASKED, NOON + 5 * MINUTE))
    _, yes = learning.learn(again, [ticked(asked=6)], is_new=False)
    assert [each.answer for each in yes] == [Answer(True, ASKED, NOON + 6 * MINUTE)]


def test_no_takes_a_yes_back_and_what_was_said_already_is_not_told_again() -> None:
    yes = KnownGuest(SARA, answer=Answer(True, TICK, NOON))
    assert learning.learn(yes, [ticked()], is_new=False) == (yes, [])
    refused, told = learning.learn(yes, [ticked(False)], is_new=False)
    assert [each.answer for each in told] == [refused.answer] == [Answer(False, TICK, NOON)]


def test_name_is_learned_once_from_the_earliest_visit() -> None:
    later = draft(command=record(guest_name="رضا", occurred_at=(NOON + MINUTE).isoformat()))
    guest, told = learning.learn(KnownGuest(SARA), [later, draft(command=record(guest_name="سارا"))], is_new=False)
    assert ([each.name for each in told], guest.name_known) == (["سارا"], True)
    assert learning.learn(guest, [later], is_new=False)[1] == []


@pytest.mark.parametrize(("days", "is_nobodys"), [(-1, False), (0, True), (1, True)])
def test_bill_from_before_the_erasure_is_nobodys(days: int, is_nobodys: bool) -> None:
    bill = draft(command=record(guest_name="سارا", notes="x"), erased_at=NOON + days * DAY, own_id=SARA)
    kept = contents.of_nobody(bill)
    assert contents.is_nobodys(bill) is is_nobodys
    assert (kept.command.body.phone is None, kept.phone_hash is None) == (is_nobodys, is_nobodys)
    assert (kept.command.body.guest_name, kept.command.body.notes) == ((None, None) if is_nobodys else ("سارا", "x"))
    assert kept.command.body.total == bill.command.body.total
    assert not contents.is_nobodys(replace(bill, own_id=None))


# --- days of the figures

TODAY = date(2026, 11, 24)
EARLIEST = TODAY - 90 * DAY


@pytest.mark.parametrize(
    ("first", "last", "shown"),
    [
        (None, None, (EARLIEST, TODAY + DAY)),
        (EARLIEST, TODAY, (EARLIEST, TODAY)),
        (TODAY, TODAY, (TODAY, TODAY)),
        (EARLIEST - DAY, None, (EARLIEST - DAY, TODAY + DAY)),
        (TODAY - 800 * DAY, TODAY, (TODAY - 800 * DAY, TODAY)),
        (TODAY - 801 * DAY, TODAY, "too_long"),
        (TODAY - 800 * DAY, None, "too_long"),
        (TODAY, TODAY - DAY, "ends_before_it_begins"),
        (None, EARLIEST - DAY, (EARLIEST - 91 * DAY, EARLIEST - DAY)),
        (TODAY + 9 * DAY, None, (TODAY + 9 * DAY, TODAY + 9 * DAY)),
    ],
)
def test_days_to_show(first: date | None, last: date | None, shown: Any) -> None:
    try:
        found: Any = figures.days_to_show(first, last, TODAY)
    except Rejected as refused:
        found = refused.code
    assert found == shown
