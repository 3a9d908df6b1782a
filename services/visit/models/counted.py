"""What is counted of days and months, in Toman."""

from datetime import date
from decimal import Decimal
from typing import NamedTuple


class DaySums(NamedTuple):
    """What some days add up to, in Toman. `known_` is of bills with a guest."""

    visits: int
    revenue: Decimal
    known_visits: int
    known_revenue: Decimal
    rating_count: int
    rating_sum: int


class Month(NamedTuple):
    """A month of the cafe's calendar, both days in it, and what its days add up to until now."""

    starts: date
    ends: date
    sums: DaySums


class Comers(NamedTuple):
    """Guests of a month, and those of them who had never come before."""

    guests: int
    new_guests: int


class Again(NamedTuple):
    """Guests of a month: new ones, or those who had come before; and how many came again within 30, 60 and
    90 days."""

    month: date
    is_new: bool
    guests: int
    within: tuple[int, int, int]
