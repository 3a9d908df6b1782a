"""Bills of nobody, and the guests who are said to have paid them. The first claim that is heard stands, for good."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from services.visit.models.values import BillDraft, KnownReceipt, ReceiptKey
from shared.errors import Problem, Rejected

CLAIM_WITHIN: Final = timedelta(days=7)


def first_claims(drafts: Sequence[BillDraft], customers: Sequence[UUID | None]) -> dict[ReceiptKey, int]:
    """Receipt of a bill of nobody -> index of the correction that claims it; of several that come together the one that
    was made first.

    Args:
        customers: whom each draft names.
    """
    first: dict[ReceiptKey, int] = {}
    for index, (draft, customer_id) in enumerate(zip(drafts, customers, strict=True)):
        if customer_id is None or not may_be_claimed(draft):
            continue
        other = first.setdefault(draft.command.key, index)
        if _made(draft) < _made(drafts[other]):
            first[draft.command.key] = index
    return first


def may_be_claimed(draft: BillDraft) -> bool:
    """Whether the bill is nobody's so far, and the correction came soon enough after it."""
    known = draft.found.receipt
    return known is not None and known.visit_id is not None and known.customer_id is None and is_soon_enough(draft)


def is_soon_enough(draft: BillDraft) -> bool:
    """Whether the correction was made within the time in which a bill can be claimed."""
    return draft.corrected_at is not None and draft.corrected_at - draft.command.body.occurred_at <= CLAIM_WITHIN


def _made(draft: BillDraft) -> tuple[datetime, bytes]:
    assert draft.corrected_at is not None
    return draft.corrected_at, draft.fingerprint


def keeps_its_guest(known: KnownReceipt, customer_id: UUID | None) -> bool:
    """Whether a bill that names nobody leaves the visit to its guest: the visit was claimed, or the record that could
    say otherwise has not come yet."""
    return customer_id is None and (known.claimed_at is not None or known.fingerprint is None)


def other_guest(draft: BillDraft, customer_id: UUID | None) -> Rejected:
    """Why a correction may not name that guest."""
    known = draft.found.receipt
    if known is not None and customer_id is not None:
        if known.claimed_at is not None:
            return already_claimed()
        if known.customer_id is None and not is_soon_enough(draft):
            return claim_too_late()
    return guest_change()


def guest_change() -> Rejected:
    """A correction is about the bill, not about whose it is."""
    return _refusal(
        "guest_change",
        "The record and its correction name different guests. To move a bill to another guest, void it and record it"
        " under a new receipt number.",
        "مهمان این صورت‌حساب با اصلاحیه‌اش یکی نیست. برای جابه‌جایی به مهمان دیگر، آن را باطل و با شمارهٔ تازه ثبت کنید.",
    )


def already_claimed() -> Rejected:
    """Somebody else was named first."""
    return _refusal(
        "already_claimed",
        "This bill was nobody's and has been claimed by another guest: the first claim stands. If that was a mistake,"
        " void the bill and record it under a new receipt number.",
        "این صورت‌حساب بی‌نام بود و پیش‌تر برای مهمان دیگری ثبت شده است: نخستین ثبت می‌ماند. اگر اشتباه بوده، آن را باطل و"
        " با شمارهٔ تازه ثبت کنید.",
    )


def claim_too_late() -> Rejected:
    """The time in which a bill of nobody can be claimed has passed."""
    return _refusal(
        "claim_too_late",
        f"A bill without a guest can be claimed within {CLAIM_WITHIN.days} days of the visit.",
        "صورت‌حساب بی‌نام را تنها تا ۷ روز پس از بازدید می‌توان به نام مهمان زد.",
        status=410,
    )


def void_cannot_be_claimed() -> Rejected:
    """Nobody paid a bill that never was."""
    return _refusal(
        "voided", "This bill was voided and can't be claimed.", "این صورت‌حساب باطل شده است و به نام کسی زده نمی‌شود."
    )


def claim_waits() -> Rejected:
    """Another claim of the same bill waits for a second person."""
    return _refusal(
        "claim_waits",
        "A claim of this bill by another guest waits for a manager; decide about that one first.",
        "ثبت این صورت‌حساب برای مهمان دیگری در انتظار تأیید مدیر است؛ نخست دربارهٔ آن تصمیم بگیرید.",
    )


def _refusal(code: str, en: str, fa: str, *, status: int = 409) -> Rejected:
    return Rejected(code, en, fa, status=status, problems=[Problem("phone", code, en, fa)])
