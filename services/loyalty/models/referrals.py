"""Guests who bring guests."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

ReferralState = Literal["waiting", "completed", "cancelled", "lapsed"]
RefusedReferral = Literal[
    "unknown_code", "own_code", "already_referred", "existing_guest", "referral_circle", "referrer_too_new",
    "referrals_of_month", "same_device",
]  # fmt: skip


class ReferralTerms(msgspec.Struct, frozen=True):
    """What both get, and when it counts. `minimum` in thousandths of a Toman."""

    referrer: int
    referee: int
    minimum: int
    within_days: int
    referrer_visits: int
    per_month: int | None


class ReferralClaim(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a guest comes with a code. `referrer_id` None: nobody has that code."""

    referee_id: UUID
    referrer_id: UUID | None
    was_referred: bool = False
    has_bills: bool = False
    is_circle: bool = False
    visits: int = 0
    of_month: int = 0
    is_same_device: bool = False


class Referral(msgspec.Struct, frozen=True, kw_only=True):
    """A guest whom another has brought, and what became of it."""

    cafe_id: UUID
    referee_id: UUID
    referrer_id: UUID
    claimed_at: datetime
    ends_at: datetime
    program_version: int
    created_by: UUID | None = None
    till_key_id: str | None = None
    state: ReferralState = "waiting"
    reason: str | None = None
    visit_id: UUID | None = None
    round: int = 0
    check_at: datetime | None = None
