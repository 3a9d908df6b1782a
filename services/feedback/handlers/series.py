"""Ratings over time."""

from datetime import date, datetime, timedelta
from uuid import UUID

from services.feedback import rules
from services.feedback.models.http import RatedStep
from services.feedback.models.values import SeriesStep
from services.feedback.store import series as store
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.persian.calendar import day_bounds, local_date
from shared.persian.text import persian_digits

DAYS_SHOWN = 90
MOST_DAYS = 800


async def by_steps(
    conn: Connection, cafe_id: UUID, since: date | None, until: date | None, step: SeriesStep, moment: datetime
) -> list[RatedStep]:
    """Ratings of these local days by steps, the last 90 days when not given.

    Raises:
        NotFound: a cafe that nobody has told of.
        Rejected: a last day before the first, or too many days.
    """
    here = await store.here(conn, cafe_id)
    if here is None:
        raise NotFound("cafe", "این کافه")
    time_zone, calendar = here
    last = until or max(since or date.min, local_date(moment, time_zone))
    first = since or last - timedelta(days=DAYS_SHOWN - 1)
    _require_order(first, last)
    begins, ends = day_bounds(first, time_zone)[0], day_bounds(last, time_zone)[1]
    days = await store.rated_days(conn, cafe_id, begins, ends, time_zone)
    return [
        RatedStep(
            date=each.day,
            responses=each.responses,
            average=rules.average_stars(each),
            low=each.low,
        )
        for each in rules.by_steps(days, first, last, step, calendar)
    ]


def _require_order(first: date, last: date) -> None:
    if last < first:
        en = f"The last day must not lie before the first, {first}."
        fa = f"روز پایان نباید پیش از روز آغاز، {first}، باشد."
        raise Rejected("ends_before_it_begins", en, fa, problems=[Problem("until", "ends_before_it_begins", en, fa)])
    if (last - first).days > MOST_DAYS:
        earliest = last - timedelta(days=MOST_DAYS)
        en = f"At most {MOST_DAYS} days are shown at once; ask for days since {earliest}."
        fa = f"هر بار حداکثر {persian_digits(str(MOST_DAYS))} روز نشان داده می‌شود؛ از {earliest} به بعد را بخواهید."
        raise Rejected("too_long", en, fa, problems=[Problem("since", "too_long", en, fa)])
