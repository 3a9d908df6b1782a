"""The three system segments, and what a guest's bits say."""

from dataclasses import dataclass
from typing import Any, Final

from shared.events.base import Segment

SLOTS = 63


@dataclass(frozen=True)
class SystemSegment:
    """A segment every cafe has from its first day; its slot never changes."""

    slot: int
    key: str
    name: str
    criteria: dict[str, Any]
    segment: Segment
    color: str
    icon: str


SYSTEM: Final = (
    SystemSegment(
        0,
        "new_customers",
        "مشتریان جدید",
        {"created_within_days": 30, "visit_count": {"max": 3}},
        "new",
        "#3B82F6",
        "sparkles",
    ),
    SystemSegment(
        1,
        "regular_customers",
        "مشتریان منظم",
        {"monthly_visits": {"min": 4}, "last_visit_days": {"max": 14}},
        "regular",
        "#10B981",
        "repeat",
    ),
    SystemSegment(
        2,
        "vip_customers",
        "مشتریان VIP",
        {"lifetime_spent": {"min": 500_000}, "tier_level": ["gold", "platinum"]},
        "vip",
        "#F59E0B",
        "crown",
    ),
)


def segment_of(mask: int | None) -> Segment:
    """The one segment shown on a guest: vip before regular before new, otherwise occasional.

    A guest never evaluated (`mask` None) is new, as the column's default says.
    """
    if mask is None:
        return "new"
    for system in reversed(SYSTEM):
        if mask >> system.slot & 1:
            return system.segment
    return "occasional"


def slots_of(mask: int) -> list[int]:
    """The numbers of the bits that are set."""
    slots = []
    while mask:
        lowest = mask & -mask
        slots.append(lowest.bit_length() - 1)
        mask ^= lowest
    return slots


def first_free(taken: set[int]) -> int | None:
    """The lowest slot nobody has, or None when a cafe has as many segments as there are bits."""
    return next((slot for slot in range(len(SYSTEM), SLOTS) if slot not in taken), None)
