"""What a cafe's messages cost in a month, against its budget."""

from datetime import date
from typing import Any
from uuid import UUID

from services.campaign.messages.store import cafes, spending
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound
from shared.persian.calendar import local_date, month_of


async def of_month(conn: Connection, cafe_id: UUID, day: date | None) -> dict[str, Any]:
    """The month of `day` in the cafe's calendar, this one without: every day of it until today, and the budget.

    Raises `NotFound` for a cafe that nobody has told of.
    """
    rules = (await cafes.cafe_rules(conn, [cafe_id])).get(cafe_id)
    if rules is None:
        raise NotFound("cafe", "این کافه")
    first, last = month_of(day or local_date(now(), rules.time_zone), rules.calendar)
    days = await spending.of_days(conn, cafe_id, first, last)
    return {
        "first": first,
        "last": last,
        "messages": sum(each["messages"] for each in days),
        "spent": sum(each["spent"] for each in days),
        "expected": sum(each["expected"] for each in days),
        "budget": rules.monthly_budget,
        "days": days,
        "currency_unit": "IRR",
    }
