"""Who is signed in, as the browser's cookie keeps it: sealed, so that neither the browser nor anybody on the way reads
or changes it. The console itself keeps nothing."""

from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from services.console.models.people import CafeOfPerson, SignedIn


class SealedSession(msgspec.Struct, frozen=True, array_like=True):
    """What the cookie holds. Times in seconds since 1970; `csrf` must come back with each form."""

    access_token: str
    access_until: float
    refresh_token: str
    refresh_until: float
    user_id: UUID
    csrf: str


@dataclass(frozen=True)
class Access:
    """With what a call is made: the person's token, or a guest's own link, the address they are at, and what links the
    calls of one page."""

    token: str | None
    address: str
    correlation_id: UUID
    device: str = ""
    guest_link: str = field(default="", repr=False)


@dataclass(frozen=True)
class Visitor:
    """The person behind a request, signed in, and with what their calls are made."""

    session: SealedSession
    access: Access
    caller: SignedIn


@dataclass(frozen=True)
class Insider(Visitor):
    """A visitor in one cafe of theirs."""

    cafe: CafeOfPerson
