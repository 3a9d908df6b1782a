"""When points lapse. All who give points ask here."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from services.loyalty.models.accounts import Plan, Program
from services.loyalty.models.time_terms import LapseKind
from shared.persian.calendar import Calendar, day_bounds, local_date, month_of, year_of

_DAY = timedelta(days=1)
_LEAST = timedelta(microseconds=1)


def expiry(plan: Plan, program: Program, moment: datetime) -> datetime | None:
    """The moment from which points that `program` gave at `moment` are gone; None when they never lapse.

    The end of a month or year is midnight on the cafe's wall after its last day: that day the points still count.
    """
    lapse = program.lapse
    if lapse is None:
        return None
    if lapse.kind == "days":
        return moment + timedelta(days=lapse.number)
    return _end(local_date(moment, plan.time_zone), lapse.kind, lapse.number, plan.calendar, plan.time_zone)


def last_moment(expires_at: datetime) -> datetime:
    """The last moment at which points that are gone from `expires_at` on still count: what ends with a month ends in
    it."""
    return expires_at - _LEAST


def by_calendar(plan: Plan) -> bool:
    """Whether points of any version lapse by the cafe's calendar, so that another calendar moves their end."""
    return any(each.lapse is not None and each.lapse.kind != "days" for each in plan.programs)


@lru_cache(maxsize=8192)
def _end(day: date, kind: LapseKind, after: int, calendar: Calendar, tz: str) -> datetime:
    span_of = month_of if kind == "month_end" else year_of
    last = span_of(day, calendar)[1]
    for _ in range(after):
        last = span_of(last + _DAY, calendar)[1]
    return day_bounds(last, tz)[1].astimezone(UTC)
