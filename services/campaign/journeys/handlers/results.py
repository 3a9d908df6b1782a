"""What journeys did lately, and for whom."""

from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from services.campaign.journeys.handlers.texts import show_journey
from services.campaign.journeys.rules.results import JourneyDays, of_journey
from services.campaign.journeys.store import results
from services.campaign.messages.rules.results import in_both
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected

DAYS: Final = 30
MOST_DAYS: Final = 366


async def of_journeys(conn: Connection, cafe_id: UUID, since: date | None, until: date | None) -> list[JourneyDays]:
    """Every journey's figures over these days, both included; of the last 30 without them.

    Raises `NotFound` for a cafe that nobody has told of, and `Rejected` for days in the wrong order or too many.
    """
    today = await results.today(conn, cafe_id, now())
    if today is None:
        raise NotFound("cafe", "این کافه")
    until = until or today
    since = since or until - timedelta(days=DAYS - 1)
    if since > until or (until - since).days >= MOST_DAYS:
        said = f"`since` comes first, and {MOST_DAYS} days are the most.", "نخست since و سپس until؛ حداکثر ۳۶۶ روز."
        raise Rejected("invalid_input", *said, problems=[Problem("since", "wrong_days", *said)])
    grown = await results.of_days(conn, cafe_id, since, until)
    return [of_journey(each, grown.get(each, {})) for each in await results.ids(conn, cafe_id)]


async def newest_messages(conn: Connection, cafe_id: UUID, journey_id: UUID, limit: int) -> list[dict[str, Any]]:
    """The journey's newest messages, each with why it did not go or waits.

    Raises `NotFound`.
    """
    await show_journey(conn, cafe_id, journey_id)
    return [{**row, **in_both(row["reason"])} for row in await results.newest(conn, cafe_id, journey_id, limit)]
