"""What explaining a guest's segments reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Defined:
    """A segment in force."""

    id: UUID
    key: str
    name: str
    criteria: str


@dataclass(frozen=True)
class GuestRow:
    """What one guest's row says: which conditions hold and when time alone changes each, in the order in which they
    were asked, and the values of attributes by their names. A guest who is not `registered` is in no segment."""

    registered: bool
    held: Sequence[bool]
    changes_at: Sequence[datetime | None]
    values: Mapping[str, Any]


@dataclass(frozen=True)
class MoveRow:
    """A guest came into a segment, or left it."""

    entered: bool
    at: datetime
    segment_id: UUID
    key: str
    name: str
    reason: str
    event_id: UUID | None
    visit_id: UUID | None
