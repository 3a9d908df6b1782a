"""What the live stream carries, and what is read of an event to make it: ids, kinds and moments."""

from datetime import datetime
from uuid import UUID

import msgspec


class Traces(msgspec.Struct, frozen=True, gc=False):
    """What is read of an event's body; all else in it is passed over unread."""

    cafe_id: UUID
    occurred_at: datetime
    visit_id: UUID | None = None
    customer_id: UUID | None = None
    user_id: UUID | None = None
    session_id: UUID | None = None
    sessions_from: int = 0
    role: str | None = None


class Sign(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """That something happened: what kind of thing, when, and at which visit and guest. What it was is asked of the
    APIs, by the person who sees it."""

    kind: str
    at: datetime
    visit: UUID | None = None
    guest: UUID | None = None
