"""Which referrals are taken, and what becomes of them.

The published rule: a referral counts when the new guest's first bill of at least the minimum happens within the days,
and no bill of theirs was before the claim, and the referrer has paid none on the same till within ten minutes of it.
It is a function of the claim and the bills that stand: a void takes both sides' points back, whenever it is heard of.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.models.accounts import Visit
from services.loyalty.models.referrals import Referral, ReferralClaim, ReferralTerms, RefusedReferral
from services.loyalty.rules.tiers import order_of

# Without letters that are taken for another one, or for a digit.
LETTERS: Final = "ABCDEFGHJKMNPQRSTUVWXYZ"
CODE_LENGTH: Final = 6
# The guest comes with the code while the first bill is being paid.
NEAR: Final = timedelta(minutes=10)
# How long after the days a bill may still be on its way.
_LATE: Final = timedelta(days=1)
_SOONEST, _LATEST = timedelta(minutes=1), timedelta(hours=1)


def code_for(customer_id: UUID, attempt: int) -> str:
    """The guest's code, the next one when somebody else has it."""
    number = int.from_bytes(hashlib.sha256(customer_id.bytes + bytes([attempt])).digest())
    letters = []
    for _ in range(CODE_LENGTH):
        number, place = divmod(number, len(LETTERS))
        letters.append(LETTERS[place])
    return "".join(letters)


def refusal(terms: ReferralTerms, claim: ReferralClaim) -> RefusedReferral | None:
    """Why the claim is not taken; None when it is."""
    if claim.referrer_id is None:
        return "unknown_code"
    checks: tuple[tuple[RefusedReferral, bool], ...] = (
        ("own_code", claim.referrer_id == claim.referee_id),
        ("already_referred", claim.was_referred),
        ("existing_guest", claim.has_bills),
        ("referral_circle", claim.is_circle),
        ("referrer_too_new", claim.visits < terms.referrer_visits),
        ("referrals_of_month", terms.per_month is not None and claim.of_month >= terms.per_month),
        ("same_device", claim.is_same_device),
    )
    return next((reason for reason, holds in checks if holds), None)


def deciding_bill(referral: Referral, terms: ReferralTerms, bills: Iterable[Visit]) -> Visit | RefusedReferral | None:
    """The bill by which it counts, why it never will, or None while there is no such bill."""
    standing = sorted((bill for bill in bills if bill.state != "voided"), key=order_of)
    if standing and standing[0].occurred_at < referral.claimed_at - NEAR:
        return "existing_guest"
    return next(
        (bill for bill in standing if bill.amount >= terms.minimum and bill.occurred_at <= referral.ends_at), None
    )


def decided(
    referral: Referral, found: Visit | RefusedReferral | None, *, is_same_device: bool, moment: datetime
) -> Referral:
    """The referral as it stands by what was found."""
    final = referral.ends_at + _LATE
    if isinstance(found, str):
        return replace(referral, state="cancelled", reason=found, visit_id=None, check_at=None)
    if found is None:
        if moment > final:
            return replace(referral, state="lapsed", reason=None, visit_id=None, check_at=None)
        pause = min(max((moment - referral.claimed_at) / 8, _SOONEST), _LATEST)
        return replace(referral, state="waiting", reason=None, visit_id=None, check_at=moment + pause)
    # An older bill may still come, from a till that was offline.
    check_at = final if moment <= final else None
    if is_same_device:
        return replace(referral, state="cancelled", reason="same_device", visit_id=found.visit_id, check_at=check_at)
    is_new = referral.state != "completed"
    return replace(
        referral, state="completed", reason=None, visit_id=found.visit_id, round=referral.round + is_new,
        check_at=check_at,
    )  # fmt: skip


def occasion(referral: Referral, other: UUID) -> str:
    """What a guest gets points for: with whom, and the how-manieth time."""
    return f"referral:{other}:{referral.round}"
