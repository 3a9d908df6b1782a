"""What a club owes its guests, by the month in which it lapses."""

from collections.abc import Mapping
from datetime import date
from uuid import UUID

from services.loyalty.models.http_liability import Liability, LiabilityMonth
from services.loyalty.rules.club import total, worth
from services.loyalty.store import club, programs
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound
from shared.inputs.amounts import INSIDE
from shared.persian.calendar import Calendar, month_of
from shared.security.access import unit_of


async def show(conn: Connection, cafe_id: UUID) -> Liability:
    """The points that guests hold, by the month in which they lapse, and those that never do.

    Raises NotFound for a cafe that nobody has told of.
    """
    moment = now()
    today = await club.local_date(conn, cafe_id, moment)
    if today is None:
        raise NotFound("cafe", "این کافه")
    _, calendar = (await programs.load_calendars(conn, [cafe_id]))[cafe_id]
    unit, price = await unit_of(conn, cafe_id), await programs.price_of_point(conn, cafe_id, moment)
    outstanding = total(await club.figures(conn, cafe_id, today, today), "outstanding")
    months = by_month(await club.ending(conn, cafe_id), today, calendar)
    never = max(0, outstanding - sum(months.values()))
    row = {
        "outstanding": outstanding,
        "worth": worth(outstanding, price),
        "point_worth": price,
        "never": never,
        "never_worth": worth(never, price),
        "currency_unit": INSIDE,
        "months": [
            LiabilityMonth.of(
                {
                    "first": first,
                    "last": last,
                    "points": points,
                    "worth": worth(points, price),
                    "currency_unit": INSIDE,
                },
                unit,
            )
            for (first, last), points in sorted(months.items())
        ],
    }
    return Liability.of(row, unit)


def by_month(days: Mapping[date, int], today: date, calendar: Calendar) -> dict[tuple[date, date], int]:
    """Points by first and last day of the month that their day is in; what is over and not yet taken lapses now."""
    months: dict[tuple[date, date], int] = {}
    for day, points in days.items():
        span = month_of(max(day, today), calendar)
        months[span] = months.get(span, 0) + points
    return months
