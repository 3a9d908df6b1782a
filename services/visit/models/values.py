"""Commands of tills and people, what is known of them, and how each one ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple
from uuid import UUID

from shared.consent import Answer, counts_at
from shared.errors import Rejected
from shared.events.base import Item
from shared.events.pos import VisitBody

# cafe, device, receipt number: what a visit is recognised by, for ever.
ReceiptKey = tuple[UUID, str, str]
# cafe, device
DeviceKey = tuple[UUID, str]
# cafe, keyed hash of the phone
PhoneKey = tuple[UUID, bytes]
# cafe, guest
GuestKey = tuple[UUID, UUID]
# cafe, visit
VisitKey = tuple[UUID, UUID]
# first and last missing number of a device
Gap = tuple[int, int]
# lowest and highest number that a device has sent; a device that was followed upwards only has no lowest
SequenceSpan = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Which bill a command is about, and where the command came from."""

    cafe_id: UUID
    device_id: str
    receipt_number: str
    correlation_id: UUID
    event_id: UUID | None = None
    device_sequence: int | None = None
    created_by: UUID | None = None

    @property
    def key(self) -> ReceiptKey:
        """What the bill is recognised by."""
        return self.cafe_id, self.device_id, self.receipt_number

    @property
    def device(self) -> DeviceKey:
        """Whose numbering it belongs to."""
        return self.cafe_id, self.device_id


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordVisit(Receipt):
    """This bill was made."""

    body: VisitBody


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectVisit(Receipt):
    """The bill should have been `body`, whole."""

    body: VisitBody
    corrected_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimVisit(CorrectVisit):
    """Somebody of the staff says whose the bill of nobody is. Of `body` only the guest and the moment of the visit
    count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidVisit(Receipt):
    """The bill never was."""

    voided_at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskEntry:
    """A bill entered, voided or claimed for a guest by hand, or one that waits for a second person. `amount` is Toman;
    `points` are those that a void gives back. `decided_by` is None when nobody else was needed."""

    id: UUID
    cafe_id: UUID
    kind: Literal["bill", "void", "claim"]
    customer_id: UUID | None
    visit_id: UUID | None
    amount: Decimal
    points: int = 0
    body_sealed: str | None = field(default=None, repr=False)
    state: Literal["pending", "entered", "declined"] = "pending"
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitQuery:
    """Which visits a list shows: since a moment, before a point in the list, and only those that match all else that is
    given. `least_amount` is Toman."""

    since: datetime
    before: tuple[datetime, UUID]
    customer_id: UUID | None
    branch_id: UUID | None
    least_amount: Decimal | None
    highest_rating: int | None
    with_voided: bool
    limit: int
    receipt_number: str | None
    device_id: str | None
    unknown_guest: bool


class CountedHour(NamedTuple):
    """Visits of one hour of a day in one branch; `revenue` in Toman. Those that are not of today are of a week
    before."""

    is_today: bool
    hour: int
    branch_id: UUID | None
    visits: int
    revenue: Decimal


BillCommand = RecordVisit | CorrectVisit | ClaimVisit | VoidVisit
Bill = RecordVisit | CorrectVisit


@dataclass(frozen=True, slots=True)
class KnownGuest:
    """What is known of the guest of a number. `answer` is the one about advertising that counts, as far as is known."""

    customer_id: UUID
    name_known: bool = False
    answer: Answer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownReceipt:
    """The row of a receipt. Without a `visit_id` it is a void that waits for its record; without a `fingerprint` only
    a correction or a void has come so far. `dated_ahead` says when corrections were first heard that bore a later date.
    `claimed_at`: the bill was nobody's until then.
    """

    visit_id: UUID | None
    visit_date: datetime | None
    customer_id: UUID | None
    visit_number: int | None
    fingerprint: bytes | None
    corrected_at: datetime | None
    corrected_fingerprint: bytes | None
    voided_at: datetime | None
    void_reason: str | None
    claimed_at: datetime | None = None
    dated_ahead: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFacts:
    """All that the tables say about one command. `erased_at`: when its guest was last erased, if ever."""

    receipt: KnownReceipt | None
    guest: KnownGuest | None
    event_reused: bool
    erased_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillDraft:
    """A bill with everything derived from its body; `fingerprint` is the keyed digest of the body, `own_id` the id that
    follows from its number alone, `heard_at` when the bill first came."""

    command: Bill
    lines: list[Item]
    item_count: int
    fingerprint: bytes
    phone_hash: bytes | None
    own_id: UUID | None
    found: CommandFacts
    heard_at: datetime
    branch_id: UUID | None = None

    @property
    def corrected_at(self) -> datetime | None:
        """When the bill was corrected, if this is a correction, as far as the till's clock can be believed."""
        if not isinstance(self.command, CorrectVisit):
            return None
        return counts_at(self.command.corrected_at, self.heard_at)

    def is_same(self, other: "BillDraft") -> bool:
        """Whether both say the same, and were said at the same moment if they are corrections."""
        return (self.corrected_at, self.fingerprint) == (other.corrected_at, other.fingerprint)

    @property
    def phone_key(self) -> PhoneKey | None:
        """Where the guest is looked up."""
        return None if self.phone_hash is None else (self.command.cafe_id, self.phone_hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVisit:
    """A visit on its way into the tables. `void` is the void that came before it; `forgotten_at` is when its guest was
    erased, if that was later than the bill."""

    draft: BillDraft
    visit_id: UUID
    customer_id: UUID | None
    visit_number: int | None
    void: KnownReceipt | None
    words_sealed: str | None
    forgotten_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVisit:
    """What a correction or a void replaces."""

    cafe_id: UUID
    visit_id: UUID
    visit_date: datetime
    customer_id: UUID | None
    branch_id: UUID | None
    final_amount: Decimal
    currency_unit: Literal["IRT", "IRR"]
    is_forgotten: bool


@dataclass(frozen=True, slots=True)
class BillOutcome:
    """How a command ended. `refusal` says why it was not taken.

    `superseded`: true, but a later correction or the void stands; nothing changed. A void that came before its record
    has no `visit_id` yet.
    """

    status: Literal["recorded", "repeated", "corrected", "superseded", "voided", "claimed", "refused"]
    visit_id: UUID | None = None
    customer_id: UUID | None = None
    visit_number: int | None = None
    refusal: Rejected | None = field(default=None, compare=False)
