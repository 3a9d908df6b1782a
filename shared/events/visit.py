"""Published by `visit`, keyed by the guest (by the visit when the guest is unknown)."""

from datetime import datetime
from decimal import Decimal
from typing import ClassVar
from uuid import UUID

from shared.events.base import Code, CurrencyUnit, Emptied, EmptiedObject, Event, Identifier, Item, Sealed


class VisitEvent(Event, frozen=True, kw_only=True):
    """A state of one visit. `occurred_at` is the moment of the visit; amounts are in `currency_unit`."""

    topic: ClassVar[str] = "visit.events"

    visit_id: UUID
    customer_id: UUID | None
    device_id: Identifier
    receipt_number: Identifier
    branch_id: UUID | None = None
    final_amount: Decimal
    currency_unit: CurrencyUnit

    @property
    def key(self) -> UUID:
        return self.customer_id or self.visit_id


class VisitRecorded(VisitEvent, frozen=True, kw_only=True):
    """A bill was taken in. `table_number` is there when it is a number, with a letter at most."""

    type: ClassVar[str] = "visit.recorded"
    visit_number: int | None = None
    total_amount: Decimal
    discount_amount: Decimal
    payment_method: Code | None = None
    items: list[Item] = []
    table_number: Identifier | None = None
    points_to_redeem: int = 0
    redemption_id: UUID | None = None
    attributes: EmptiedObject = {}


class VisitClaimed(VisitRecorded, frozen=True, kw_only=True):
    """A visit of nobody became this guest's, as if it had been from the beginning: recorded as it stands now. What is
    corrected or voided later names the guest as well. The answer to a claim is never a message."""

    type: ClassVar[str] = "visit.claimed"
    claimed_at: datetime


class VisitCorrected(VisitEvent, frozen=True, kw_only=True):
    """The new state whole, and what it replaced. The moment of the visit itself may have moved.
    `points_to_redeem` is null in events from before it was said; they change no redemption."""

    type: ClassVar[str] = "visit.corrected"
    total_amount: Decimal
    discount_amount: Decimal
    payment_method: Code | None = None
    items: list[Item] = []
    points_to_redeem: int | None = None
    redemption_id: UUID | None = None
    previous_final_amount: Decimal
    previous_currency_unit: CurrencyUnit
    previous_occurred_at: datetime
    first_visit_at: datetime
    last_visit_at: datetime
    corrected_at: datetime


class VisitVoided(VisitEvent, frozen=True, kw_only=True):
    """The visit never was. `first_visit_at`/`last_visit_at` are the guest's remaining ones, None when none is left."""

    type: ClassVar[str] = "visit.voided"
    voided_at: datetime
    reason: Emptied | None = None
    first_visit_at: datetime | None = None
    last_visit_at: datetime | None = None


class DeviceGapDetected(Event, frozen=True, kw_only=True):
    """A till's own numbering skipped: the visits between were not received (yet)."""

    type: ClassVar[str] = "device.gap_detected"
    topic: ClassVar[str] = "visit.events"
    key_field: ClassVar[str] = "cafe_id"
    device_id: Identifier
    missing_from: int
    missing_to: int


class ContactLearned(Event, frozen=True, kw_only=True):
    """A guest seen for the first time, or a new answer to the consent question. Kept 7 days; the phone is sealed.

    The answer was given at `consent_at` (at `occurred_at` when missing). A yes without `consent_asked` is a tick that
    stands on each bill. `is_correction`: it was said about the bill later.
    """

    type: ClassVar[str] = "contact.learned"
    topic: ClassVar[str] = "visit.contacts"
    customer_id: UUID
    phone_sealed: Sealed
    name_sealed: Sealed | None = None
    marketing_consent: bool | None = None
    consent_at: datetime | None = None
    consent_asked: bool = False
    is_correction: bool = False


class ConsentRefused(Event, frozen=True, kw_only=True):
    """A no that a till said at `occurred_at`, nothing new then; a yes from before it has come into force since."""

    type: ClassVar[str] = "contact.refused"
    topic: ClassVar[str] = "visit.contacts"
    customer_id: UUID


EVENTS = (
    VisitRecorded, VisitClaimed, VisitCorrected, VisitVoided, DeviceGapDetected, ContactLearned, ConsentRefused,
)  # fmt: skip
