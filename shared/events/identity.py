"""Published by `identity`, keyed by cafe."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from shared.events.base import Code, CurrencyUnit, Event, Identifier, OwnName, Sealed

Role = Literal["owner", "manager", "staff"]
ApprovalWhen = Literal["always", "when_two", "above"]


class IdentityEvent(Event, frozen=True, kw_only=True):
    topic: ClassVar[str] = "identity.events"
    key_field: ClassVar[str] = "cafe_id"


class CafeChanged(IdentityEvent, frozen=True, kw_only=True):
    """The whole of what other services need of a cafe; the highest `version` wins."""

    type: ClassVar[str] = "cafe.changed"
    version: int
    name: OwnName
    time_zone: Code
    calendar: Literal["jalali", "gregorian"]
    currency_unit: CurrencyUnit
    quiet_from: Code = "22:00"
    quiet_until: Code = "09:00"
    is_active: bool = True
    approval_when: ApprovalWhen = "when_two"
    approval_points: int = 1_000
    approval_amount: int = 10_000_000
    approval_staff_amount: int = 2_000_000


class BranchChanged(IdentityEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "branch.changed"
    version: int
    branch_id: UUID
    code: Identifier
    name: OwnName
    is_active: bool = True


class AccessGranted(IdentityEvent, frozen=True, kw_only=True):
    """With the tokens that were ended before: a cafe that hears of the person only now must refuse them too."""

    type: ClassVar[str] = "access.granted"
    version: int
    user_id: UUID
    role: Role
    sessions_from: int = 0
    ended_sessions: list[UUID] = []


class AccessRevoked(IdentityEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "access.revoked"
    version: int
    user_id: UUID


class SessionsEnded(IdentityEvent, frozen=True, kw_only=True):
    """Tokens of a person are refused from now on: those of one session, or all of a generation below `sessions_from`.

    One event for each cafe of the person, so that it reaches each where the role is read.
    """

    type: ClassVar[str] = "sessions.ended"
    user_id: UUID
    sessions_from: int
    session_id: UUID | None = None


class ApiKeyCreated(IdentityEvent, frozen=True, kw_only=True):
    """`key_hash` is hex SHA-256 of the whole key; `signing_key_sealed` opens only with the keyring."""

    type: ClassVar[str] = "api_key.created"
    key_id: Identifier
    key_hash: Sealed
    signing_key_sealed: Sealed
    scopes: list[Code]
    device_name: OwnName
    expires_at: datetime | None = None


class ApiKeyRevoked(IdentityEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "api_key.revoked"
    key_id: Identifier


EVENTS = (CafeChanged, BranchChanged, AccessGranted, AccessRevoked, SessionsEnded, ApiKeyCreated, ApiKeyRevoked)
