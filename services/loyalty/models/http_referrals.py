"""What staff and tills say and hear of guests who bring guests."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.loyalty.models.referrals import ReferralState
from shared.inputs.fields import Command, Matching, Phone, Text

ReferralCode = Annotated[str, Matching("[A-Z]{6}", 6, "شش حرف بزرگ لاتین، مانند HKMTRW")]


class ClaimReferral(Command):
    """A new guest and the code that they came with; `device_id` is the till's, as on its bills."""

    phone: Phone
    code: ReferralCode
    device_id: Annotated[str, Text(100, line=True)]


class ClaimReferralByStaff(Command):
    """The same by staff, who know the guest's id."""

    customer_id: UUID
    code: ReferralCode


class ShownClaim(BaseModel):
    """A claim as it stands. It counts with a bill until `ends_at`; `reason` says why one was cancelled."""

    model_config = ConfigDict(from_attributes=True)

    state: ReferralState
    reason: str | None
    claimed_at: datetime
    ends_at: datetime


class StaffReferral(ShownClaim):
    """The same with both guests."""

    referee_id: UUID
    referrer_id: UUID


class ShownReferrals(BaseModel):
    """A guest's code (null while the program gives nothing for it), by whom the guest was brought, and the newest
    hundred whom the guest has brought."""

    code: str | None
    brought_by: StaffReferral | None
    brought: list[StaffReferral]
