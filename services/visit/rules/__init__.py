"""What follows from what, without looking anything up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from typing import Any, Literal
from uuid import UUID

import msgspec

from services.visit.models import CorrectVisit, Draft, Gap, Guest, GuestKey, Known, Receipt, ReceiptKey, Span
from services.visit.rules.claiming import guest_change, keeps_its_guest, other_guest
from shared.consent import ASKED, TICK, Answer, counts_at
from shared.errors import Problem, Rejected
from shared.events.base import Item
from shared.events.pos import VisitBody
from shared.persian.text import latin_digits, persian_digits

Verdict = Literal["new", "repeated", "late_record", "correct", "superseded", "void"]

# Of more there are figures (sql/visit/0103): a day more on either side for other time zones.
DAYS_SHOWN = 90

_encode = msgspec.json.Encoder(order="deterministic").encode


def lines_of(body: VisitBody) -> list[Item]:
    """The bill's lines as the events carry them."""
    return [
        Item(name=line.name, quantity=line.quantity, amount=line.amount, sku=line.sku, category=line.category)
        for line in body.items
    ]


def without_words(draft: Draft) -> Draft:
    """The bill without anything that somebody wrote; its amounts, and that it is the same bill, stay."""
    emptied: dict[str, Any] = {
        "guest_name": None, "marketing_consent": None, "consent_asked_at": None, "table_number": None,
        "server_name": None, "notes": None, "attributes": {},
    }  # fmt: skip
    return replace(
        draft,
        command=replace(draft.command, body=draft.command.body.model_copy(update=emptied)),
        lines=[Item(name="", quantity=line.quantity, amount=line.amount) for line in draft.lines],
    )


def of_nobody(draft: Draft) -> Draft:
    """The bill when it is from before its guest was erased: nobody's, and without words. Any other as it is."""
    if not is_nobodys(draft):
        return draft
    bare = without_words(draft)
    nobodys: dict[str, Any] = {"phone": None, "points_to_redeem": 0, "redemption_id": None}
    body = bare.command.body.model_copy(update=nobodys)
    return replace(bare, command=replace(bare.command, body=body), phone_hash=None)


def is_nobodys(draft: Draft) -> bool:
    """Whether the guest whom the bill names was erased since."""
    erased_at = draft.found.erased_at
    return erased_at is not None and draft.own_id is not None and draft.command.body.occurred_at <= erased_at


def _is_guest(known: Known, draft: Draft, customer_id: UUID | None) -> bool:
    # Which bills of an erased guest became nobody's hangs on when they came, and is no fault of the till.
    was_erased = draft.found.erased_at is not None and draft.own_id is not None
    if keeps_its_guest(known, customer_id):
        return True
    return known.customer_id == customer_id or (was_erased and known.customer_id in (None, draft.own_id))


def item_count(body: VisitBody) -> int:
    """How many pieces were ordered: the sum of the quantities, a begun one (350 grams of nuts) counting whole.

    `total_items` counts only where the till does not list its lines.
    """
    if not body.items:
        return body.total_items or 0
    return int(sum((line.quantity for line in body.items), Decimal(0)).to_integral_value(ROUND_CEILING))


def content_of(body: VisitBody, lines: Sequence[Item]) -> bytes:
    """All that makes two bills the same bill, whatever the spelling of the phone or the order of keys."""
    # What came later to the contract stands only where a bill has it: bills of before keep their fingerprints.
    later = (body.consent_asked_at,) if body.consent_asked_at else ()
    return _encode(
        (
            body.branch, body.phone, body.guest_name, body.marketing_consent, body.occurred_at, lines, body.total_items,
            body.total, body.discount, body.currency_unit, body.payment_method, body.points_to_redeem,
            body.redemption_id, body.table_number, body.server_name, body.service_duration, body.notes,
            body.attributes, *later,
        )
    )  # fmt: skip


def judge_record(draft: Draft, customer_id: UUID | None) -> Verdict | Rejected:
    """What to do with a record of `customer_id` (None: anonymous), or why its receipt or event id is taken."""
    known = draft.found.receipt
    if known is None or known.visit_id is None:
        return event_id_reused() if draft.found.event_reused else "new"
    if known.fingerprint == draft.fingerprint:
        return "repeated"
    if known.fingerprint is not None:
        return receipt_conflict()
    return "late_record" if _is_guest(known, draft, customer_id) else guest_change()


def judge_correction(draft: Draft, customer_id: UUID | None) -> Verdict | Rejected:
    """What to do with a correction, or why it may not be: it would move the visit to another guest.

    Of two at the same moment the one with the greater fingerprint wins, so that both orders of arrival end alike.
    """
    known, corrected_at = draft.found.receipt, draft.corrected_at
    assert corrected_at is not None
    if known is None or known.visit_id is None:
        return "new"
    if not _is_guest(known, draft, customer_id):
        return other_guest(draft, customer_id)
    if known.corrected_at == corrected_at and known.corrected_fingerprint == draft.fingerprint:
        return "repeated"
    if known.voided_at is not None or _stands(known, corrected_at, draft.fingerprint):
        return "superseded"
    return "correct"


def _stands(known: Known, corrected_at: datetime, fingerprint: bytes) -> bool:
    if known.corrected_at is None or known.corrected_fingerprint is None:
        return False
    return (known.corrected_at, known.corrected_fingerprint) > (corrected_at, fingerprint)


def judge_void(known: Known | None) -> Verdict:
    """What to do with a void: it is terminal, so a second one changes nothing."""
    return "repeated" if known is not None and known.voided_at is not None else "void"


def branch_names(branches: Iterable[tuple[UUID, UUID, str]]) -> dict[UUID, dict[str, UUID]]:
    """Cafe -> its branches by code and by id, from (cafe, branch, code)."""
    names: dict[UUID, dict[str, UUID]] = {}
    for cafe_id, branch_id, code in branches:
        own = names.setdefault(cafe_id, {})
        own[_branch_key(code)] = own[str(branch_id)] = branch_id
    return names


def branch_of(text: str | None, names: Mapping[str, UUID]) -> UUID | Rejected | None:
    """The branch that a till names by code or by id, whatever its keyboard; None when it names none or the cafe has
    none."""
    if text is None or not names:
        return None
    return names.get(_branch_key(text)) or unknown_branch()


def _branch_key(text: str) -> str:
    return latin_digits(text).strip().casefold()


@dataclass(frozen=True)
class Told:
    """What a visit tells about its guest that was not known: their existence, their name, their answer on marketing."""

    draft: Draft
    name: str | None
    answer: Answer | None


def learn(guest: Guest, drafts: Iterable[Draft], *, is_new: bool) -> tuple[Guest, list[Told]]:
    """What a guest's visits tell, in the order of the visits themselves.

    A no that is known is not told again: should a yes from before it come into force, it is told then (reactions).
    """
    told = []
    for draft in sorted(drafts, key=lambda each: each.command.body.occurred_at):
        body = draft.command.body
        name = body.guest_name if body.guest_name and not guest.name_known else None
        answer, known = answer_of(draft), guest.answer
        if answer and known and answer.rank <= known.rank:
            answer = None
        is_told = answer is not None and (known is None or known.granted or answer.granted)
        if name or is_told or is_new:
            told.append(Told(draft, name, answer if is_told else None))
        if answer:
            guest = replace(guest, answer=answer)
        if name:
            guest = replace(guest, name_known=True)
        is_new = False
    return guest, told


def answer_of(draft: Draft) -> Answer | None:
    """What the bill says its guest answered on marketing, if it counts: not from before the guest's erasure.

    A correction can take a yes back and give none: it comes later than the question, and may come again.
    """
    body = draft.command.body
    if body.marketing_consent is None or (body.marketing_consent and isinstance(draft.command, CorrectVisit)):
        return None
    at = counts_at(body.consent_asked_at or body.occurred_at, draft.heard_at)
    if draft.found.erased_at is not None and at <= draft.found.erased_at:
        return None
    return Answer(body.marketing_consent, ASKED if body.consent_asked_at else TICK, at)


def heard_before(known: Known | None, command: Receipt, fingerprint: bytes) -> datetime | None:
    """When a correction first came whose date lay ahead then; a repeat must not make it younger."""
    if known is None or not isinstance(command, CorrectVisit):
        return None
    return known.dated_ahead.get(mark_of(command, fingerprint))


def mark_of(command: CorrectVisit, fingerprint: bytes) -> str:
    """What a correction dated ahead is recognised by."""
    return f"{fingerprint.hex()} {command.corrected_at.isoformat()}"


def is_dated_ahead(draft: Draft) -> bool:
    """Whether a correction bears any date that has not come yet."""
    if not isinstance(draft.command, CorrectVisit):
        return False
    body = draft.command.body
    dates = (draft.command.corrected_at, body.occurred_at, body.consent_asked_at or body.occurred_at)
    return max(dates) > draft.heard_at


def number_visits(
    drafts: Mapping[int, Draft], customers: Mapping[int, UUID], last_numbers: Mapping[GuestKey, int]
) -> dict[int, int]:
    """Position of a draft -> the number of the visit among its guest's.

    Args:
        customers: position of a draft -> its guest.
        last_numbers: the counters after they were raised by these visits.
    """
    order = sorted(customers, key=lambda place: (drafts[place].command.body.occurred_at, drafts[place].command.key))
    left: dict[GuestKey, int] = {}
    for place in customers:
        guest = (drafts[place].command.cafe_id, customers[place])
        left[guest] = left.get(guest, 0) + 1
    numbers = {}
    for place in order:
        guest = (drafts[place].command.cafe_id, customers[place])
        left[guest] -= 1
        numbers[place] = last_numbers[guest] - left[guest]
    return numbers


def follow_sequence(known: Span, numbers: Iterable[int]) -> tuple[Span, list[Gap], list[int]]:
    """A device's numbering after these numbers: the lowest and the highest, the ranges it skipped, and numbers between
    those known before.

    A device is followed between the lowest and the highest number it has sent, in whatever order. One whose lowest was
    never kept is followed upwards only.
    """
    lowest, highest = known
    sent = sorted(set(numbers))
    if highest is None:
        lowest, highest, sent = sent[0], sent[0], sent[1:]
    below = [number for number in sent if lowest is not None and number < lowest]
    above = [number for number in sent if number > highest]
    late = [number for number in sent if number <= highest and (lowest is None or number >= lowest)]
    ends = [*below, *([lowest] if lowest is not None else [])]
    skipped = [(one + 1, other - 1) for line in (ends, [highest, *above]) for one, other in pairwise(line)]
    return (ends[0] if ends else None, max([highest, *above])), [gap for gap in skipped if gap[0] <= gap[1]], late


def without(gaps: Iterable[Gap], numbers: Iterable[int]) -> list[Gap]:
    """The gaps that remain when these numbers have arrived."""
    arrived = sorted(set(numbers))
    remaining = []
    for start, end in gaps:
        begin = start
        for number in arrived:
            if begin <= number <= end:
                if begin < number:
                    remaining.append((begin, number - 1))
                begin = number + 1
        if begin <= end:
            remaining.append((begin, end))
    return remaining


def redemption_of(asked: int, redeemed: int, refusal: str | None) -> Literal["none", "pending", "completed", "refused"]:
    """What became of the points that a bill asks to spend; loyalty's answer comes a moment after the bill."""
    if not asked:
        return "none"
    if refusal is not None:
        return "refused"
    return "completed" if redeemed >= asked else "pending"


def newest_corrections(drafts: Sequence[Draft]) -> dict[ReceiptKey, int]:
    """Receipt -> position of its correction that stands, when a batch corrects one receipt more than once."""
    best: dict[ReceiptKey, int] = {}
    for place, draft in enumerate(drafts):
        other = best.setdefault(draft.command.key, place)
        if _rank(draft) > _rank(drafts[other]):
            best[draft.command.key] = place
    return best


def _rank(draft: Draft) -> tuple[datetime, bytes]:
    assert draft.corrected_at is not None
    return draft.corrected_at, draft.fingerprint


def event_ids_reused(commands: Iterable[Receipt]) -> set[ReceiptKey]:
    """Receipts of a batch whose event id an earlier receipt of the batch has already."""
    owner: dict[tuple[UUID, UUID], ReceiptKey] = {}
    return {
        command.key
        for command in commands
        if command.event_id and owner.setdefault((command.cafe_id, command.event_id), command.key) != command.key
    }


def receipt_conflict() -> Rejected:
    """The number already belongs to another bill."""
    return _conflict(
        "receipt_conflict",
        "receipt_number",
        "This device has already sent another bill under this receipt number. Numbers are never used again: put the"
        " business date before the number, or send a correction.",
        "این دستگاه پیش‌تر صورت‌حساب دیگری با همین شماره فرستاده است. شماره‌ها تکرار نمی‌شوند: تاریخ روز را پیش از"
        " شماره بیاورید یا اصلاحیه بفرستید.",
    )


def event_id_reused() -> Rejected:
    """The event id already belongs to another bill."""
    return _conflict(
        "event_id_reused",
        "event_id",
        "This event id (ce_id or Idempotency-Key) was already used for another receipt; make a new one for each bill.",
        "این شناسهٔ رویداد پیش‌تر برای رسید دیگری به کار رفته است؛ برای هر صورت‌حساب شناسهٔ تازه بسازید.",
    )


def unknown_branch() -> Rejected:
    """The cafe has branches, and this is none of them."""
    en = "This cafe has no branch with that code or id; leave the field out or send a code that the cafe knows."
    fa = "این کافه شعبه‌ای با این کد یا شناسه ندارد؛ این فیلد را نفرستید یا کد شعبه را درست کنید."
    return Rejected("unknown_branch", en, fa, problems=[Problem("branch", "unknown_branch", en, fa)])


def days_to_show(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """First and last day of the figures that are asked for: all that are kept, unless somebody names one.

    `today` is that of UTC: anywhere it is a day sooner or later, of which there are figures too.

    Raises `Rejected` for a day before the kept ones, or a last day before the first.
    """
    earliest = today - timedelta(days=DAYS_SHOWN)
    if first and first < earliest:
        en = f"There are daily figures of the last {DAYS_SHOWN} days; ask for days since {earliest}."
        fa = f"آمار روزانه برای {persian_digits(str(DAYS_SHOWN))} روز گذشته موجود است؛ از {earliest} به بعد را بخواهید."
        raise Rejected("too_early", en, fa, problems=[Problem("from", "too_early", en, fa)])
    if last and last < (first or earliest):
        en = f"The last day must not lie before the first, {first or earliest}."
        fa = f"روز پایان نباید پیش از روز آغاز، {first or earliest}، باشد."
        raise Rejected("ends_before_it_begins", en, fa, problems=[Problem("to", "ends_before_it_begins", en, fa)])
    return first or earliest, last or today + timedelta(days=1)


def archived() -> Rejected:
    """The visit's month was detached."""
    return Rejected(
        "archived",
        "This visit is in the archive and can't be changed any more.",
        "این بازدید بایگانی شده است و دیگر تغییر نمی‌کند.",
        status=409,
    )


def _conflict(code: str, where: str, en: str, fa: str) -> Rejected:
    return Rejected(code, en, fa, status=409, problems=[Problem(where, code, en, fa)])
