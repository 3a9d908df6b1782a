"""Shares and averages of what was counted, and when a share can be known."""

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from services.visit.models.counted import DaySums

WINDOWS: Final = (30, 60, 90)
_CENT: Final = Decimal("0.01")
NOTHING: Final = DaySums(0, Decimal(0), 0, Decimal(0), 0, 0)


def percent(part: Decimal | int, whole: Decimal | int) -> Decimal | None:
    """The part in percent of the whole, with two decimals; None of nothing."""
    return (Decimal(100) * part / whole).quantize(_CENT, ROUND_HALF_EVEN) if whole else None


def average(total: Decimal | int, count: int) -> Decimal | None:
    """The average with two decimals; None of nothing."""
    return (Decimal(total) / count).quantize(_CENT, ROUND_HALF_EVEN) if count else None


def without(whole: DaySums, parts: list[DaySums]) -> DaySums:
    """What is left of the whole beside its parts."""
    return DaySums(
        whole.visits - sum(part.visits for part in parts),
        whole.revenue - sum((part.revenue for part in parts), Decimal(0)),
        whole.known_visits - sum(part.known_visits for part in parts),
        whole.known_revenue - sum((part.known_revenue for part in parts), Decimal(0)),
        whole.rating_count - sum(part.rating_count for part in parts),
        whole.rating_sum - sum(part.rating_sum for part in parts),
    )


def has_passed(month_ends: date, days: int, today: date) -> bool:
    """Whether everybody who came in that month has had so many days to come again, the last of them before today."""
    return month_ends + timedelta(days=days) < today
