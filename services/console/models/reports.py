"""Figures of a cafe over time, as reports show them. Shares are in percent."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec


class DayFigures(msgspec.Struct, frozen=True):
    """One day with visits."""

    stat_date: date
    unique_customers: int
    total_visits: int
    total_revenue: Decimal
    avg_order_value: Decimal
    avg_rating: Decimal | None


class MonthOfCafe(msgspec.Struct, frozen=True):
    """One month of the cafe's calendar, the running one until now."""

    month_starts: date
    is_running: bool
    visits: int
    revenue: Decimal
    avg_order: Decimal | None
    avg_rating: Decimal | None
    guests: int
    new_guests: int
    returning_guests: int


class HourOfWeek(msgspec.Struct, frozen=True):
    """All visits of one hour of one weekday."""

    visits: int
    revenue: Decimal | None


class WeekHours(msgspec.Struct, frozen=True):
    """Weekdays, Saturday first, each with its 24 hours."""

    first: date
    last: date
    weekdays: tuple[tuple[HourOfWeek, ...], ...]


class CameAgain(msgspec.Struct, frozen=True):
    """How many came again within so many days; None while that is not known."""

    days: int
    share: Decimal | None
    share_of_new: Decimal | None
    share_of_returning: Decimal | None


class ReturnFigures(msgspec.Struct, frozen=True):
    """Guests of one month, and how many came again."""

    month_starts: date
    guests: int
    new_guests: int
    returning_guests: int
    again: tuple[CameAgain, ...]


class CohortCell(msgspec.Struct, frozen=True):
    """How many of a cohort came in that month."""

    month_starts: date
    guests: int
    share: Decimal


class CohortFigures(msgspec.Struct, frozen=True):
    """Guests whose first visit is of one month, and the months from then on."""

    first_month_starts: date
    guests: int
    months: tuple[CohortCell, ...]


class ClubHalf(msgspec.Struct, frozen=True):
    """Bills with a guest, or without; `share` is of all revenue."""

    visits: int
    revenue: Decimal
    avg_order: Decimal | None
    share_of_visits: Decimal | None
    share: Decimal | None


class KnownAndUnknown(msgspec.Struct, frozen=True):
    """Known guests beside bills of nobody."""

    known: ClubHalf
    unknown: ClubHalf


class BranchFigures(msgspec.Struct, frozen=True):
    """What one branch took in; without an id what belongs to none. `share` is of all revenue."""

    branch_id: UUID | None
    name: str | None
    visits: int
    revenue: Decimal
    avg_order: Decimal | None
    avg_rating: Decimal | None
    known_visits: int
    share: Decimal | None


class SideBySide(msgspec.Struct, frozen=True):
    """All branches of a cafe, the dearest first."""

    branches: tuple[BranchFigures, ...]


class DishFigures(msgspec.Struct, frozen=True):
    """One dish; `repeat_share` is of the guests who had it."""

    name: str
    quantity: Decimal
    revenue: Decimal
    share: Decimal | None
    bills: int
    guests: int
    repeat_share: Decimal | None


class OtherDishes(msgspec.Struct, frozen=True):
    """What has no name that several guests share."""

    quantity: Decimal
    revenue: Decimal


class DishesFigures(msgspec.Struct, frozen=True):
    """Dishes of whole months, the dearest first."""

    first: date
    last: date
    items: tuple[DishFigures, ...]
    others: OtherDishes


class StepOfRatings(msgspec.Struct, frozen=True):
    """Ratings of a day, a week or a month."""

    date: date
    responses: int
    average: Decimal | None
    low: int
