"""Points for the guests of a segment."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec


class BonusSeen(msgspec.Struct, frozen=True):
    """How many guests would get how much now, and what it is worth."""

    guests: int
    total_points: int
    worth: Decimal | None
    currency_unit: str


class BonusRun(msgspec.Struct, frozen=True):
    """Points for many guests: `given` to so many of `guests` so far."""

    run_id: UUID
    segment_keys: tuple[str, ...]
    reason: str | None
    guests: int
    total_points: int
    state: str
    given: int
    created_at: datetime
