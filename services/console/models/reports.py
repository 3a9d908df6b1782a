"""Figures of a cafe over time, as reports show them."""

from datetime import date
from decimal import Decimal

import msgspec


class DayFigures(msgspec.Struct, frozen=True):
    """One day with visits."""

    stat_date: date
    unique_customers: int
    total_visits: int
    total_revenue: Decimal
    avg_order_value: Decimal
    avg_rating: Decimal | None
