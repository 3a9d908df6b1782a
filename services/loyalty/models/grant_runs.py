"""Points for many guests at once."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

GrantRunKind = Literal["bonus", "opening"]
GrantRunState = Literal["pending", "approved", "declined", "done"]


class GrantRun(msgspec.Struct, frozen=True, kw_only=True):
    """What many guests get: of segments as a bonus, or as what they had before the program. `given`: to how many of
    `guests` so far; who had it before gets nothing."""

    cafe_id: UUID
    run_id: UUID
    kind: GrantRunKind
    segment_keys: list[str]
    reason: str | None
    guests: int
    total_points: int
    budget_points: int | None
    state: GrantRunState
    given: int = 0
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None = None
    decided_at: datetime | None = None

    @property
    def occasion(self) -> str:
        """A guest has one opening balance, and one bonus of a run."""
        return "opening" if self.kind == "opening" else f"bonus:{self.run_id}"
