"""What to do with a record, a correction or a void, and why one is refused."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.visit.models.values import BillDraft, CorrectVisit, KnownReceipt, Receipt, ReceiptKey
from services.visit.rules.claiming import guest_change, keeps_its_guest, other_guest
from shared.errors import Problem, Rejected

CommandVerdict = Literal["new", "repeated", "late_record", "correct", "superseded", "void"]


def _is_guest(known: KnownReceipt, draft: BillDraft, customer_id: UUID | None) -> bool:
    # When an erased guest's bills came decides which of them became nobody's; that is no fault of the till.
    was_erased = draft.found.erased_at is not None and draft.own_id is not None
    if keeps_its_guest(known, customer_id):
        return True
    return known.customer_id == customer_id or (was_erased and known.customer_id in (None, draft.own_id))


def verdict_on_record(draft: BillDraft, customer_id: UUID | None) -> CommandVerdict | Rejected:
    """What to do with a record of `customer_id` (None: anonymous), or why its receipt or event id is taken."""
    known = draft.found.receipt
    if known is None or known.visit_id is None:
        return event_id_reused() if draft.found.event_reused else "new"
    if known.fingerprint == draft.fingerprint:
        return "repeated"
    if known.fingerprint is not None:
        return receipt_conflict()
    return "late_record" if _is_guest(known, draft, customer_id) else guest_change()


def verdict_on_correction(draft: BillDraft, customer_id: UUID | None) -> CommandVerdict | Rejected:
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


def _stands(known: KnownReceipt, corrected_at: datetime, fingerprint: bytes) -> bool:
    if known.corrected_at is None or known.corrected_fingerprint is None:
        return False
    return (known.corrected_at, known.corrected_fingerprint) > (corrected_at, fingerprint)


def verdict_on_void(known: KnownReceipt | None) -> CommandVerdict:
    """What to do with a void: it is terminal, so a second one changes nothing."""
    return "repeated" if known is not None and known.voided_at is not None else "void"


def heard_before(known: KnownReceipt | None, command: Receipt, fingerprint: bytes) -> datetime | None:
    """When this correction was first heard, if it was dated ahead then; a repeat must not make it younger."""
    if known is None or not isinstance(command, CorrectVisit):
        return None
    return known.dated_ahead.get(mark_of(command, fingerprint))


def mark_of(command: CorrectVisit, fingerprint: bytes) -> str:
    """What a correction dated ahead is recognised by."""
    return f"{fingerprint.hex()} {command.corrected_at.isoformat()}"


def is_dated_ahead(draft: BillDraft) -> bool:
    """Whether a correction bears any date that has not come yet."""
    if not isinstance(draft.command, CorrectVisit):
        return False
    body = draft.command.body
    dates = (draft.command.corrected_at, body.occurred_at, body.consent_asked_at or body.occurred_at)
    return max(dates) > draft.heard_at


def newest_corrections(drafts: Sequence[BillDraft]) -> dict[ReceiptKey, int]:
    """Receipt -> index of its correction that stands, when a batch corrects one receipt more than once."""
    best: dict[ReceiptKey, int] = {}
    for index, draft in enumerate(drafts):
        other = best.setdefault(draft.command.key, index)
        if _rank(draft) > _rank(drafts[other]):
            best[draft.command.key] = index
    return best


def _rank(draft: BillDraft) -> tuple[datetime, bytes]:
    assert draft.corrected_at is not None
    return draft.corrected_at, draft.fingerprint


def event_ids_reused(commands: Iterable[Receipt]) -> set[ReceiptKey]:
    """Receipts whose event id belongs to an earlier receipt of the batch."""
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
