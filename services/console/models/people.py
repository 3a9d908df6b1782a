"""What identity says of people and their cafes."""

from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

import msgspec

from shared.events.identity import Role


class Tokens(msgspec.Struct, frozen=True):
    """What a sign-in gives: a token for some minutes, and one that gets the next."""

    access_token: str
    expires_in: int
    user_id: UUID
    session_id: UUID
    refresh_token: str
    refresh_expires_in: int
    device_token: str | None = None


class CafeOfPerson(msgspec.Struct, frozen=True):
    """One cafe of a person, with what their screens need to know of it."""

    cafe_id: UUID
    name: str
    time_zone: str
    calendar: Literal["jalali", "gregorian"]
    currency_unit: Literal["IRT", "IRR"]
    language: Literal["fa", "en"]
    quiet_from: str
    quiet_until: str
    is_active: bool
    version: int
    role: Role


class SignedIn(msgspec.Struct, frozen=True):
    """Who is signed in."""

    user_id: UUID
    login: str
    cafes: tuple[CafeOfPerson, ...]


class Colleague(msgspec.Struct, frozen=True):
    """A person with access to the cafe."""

    user_id: UUID
    display_name: str
    role: Role
    changed_at: datetime


class LeaderOfCafe(msgspec.Struct, frozen=True):
    """Whom to ask for what one's own role does not allow."""

    display_name: str
    role: Role


class OpenInvitation(msgspec.Struct, frozen=True):
    """An invitation, and the code once: in the answer that made it."""

    invitation_id: UUID
    login: str
    display_name: str
    role: Role
    state: str
    expires_at: datetime
    code: str | None = None
    link: str | None = None


class InvitationFound(msgspec.Struct, frozen=True):
    """What an invitation says to the person who has its code."""

    cafe_name: str
    display_name: str
    role: Role
    login: str
    expires_at: datetime


class ResetCode(msgspec.Struct, frozen=True):
    """A one-time code by which a person chooses a new password."""

    expires_at: datetime
    code: str
    link: str | None = None


class OpenSession(msgspec.Struct, frozen=True):
    """Where a person is signed in."""

    session_id: UUID
    device_name: str
    address: str
    created_at: datetime
    last_used_at: datetime
    is_current: bool


class KeyOfTill(msgspec.Struct, frozen=True):
    """The key of a till; `api_key` itself only in the answer that made it."""

    key_id: str
    device_name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    api_key: str | None = None


class BranchOfCafe(msgspec.Struct, frozen=True):
    """A branch, as tills name it by `code`."""

    branch_id: UUID
    version: int
    code: str
    name: str
    is_active: bool


class WaitingMatter(msgspec.Struct, frozen=True):
    """What waits for a second person; any service has some."""

    kind: str
    id: UUID
    what: dict[str, object]
    asked_by: UUID
    asked_at: datetime
    may_decide: bool
    decide_at: str
    version: int | None = None
    points: int | None = None
    amount: Decimal | None = None
    currency_unit: str | None = None
    reason_en: str | None = None
    reason_fa: str | None = None
