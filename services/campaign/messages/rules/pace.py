"""When: quiet hours, late triggers, and how often a provider is asked."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.campaign.messages.models.values import CafeRules
from shared.persian.calendar import day_bounds, local_date

# A provider answers a look-up by our own id for this long; by its own id for two days.
LOCAL_ID_WINDOW: Final = timedelta(hours=12)
RECEIPT_WINDOW: Final = timedelta(hours=48)
# Longer than any call may take: before that, a message in the state "sending" may still be on its way.
UNKNOWN_AFTER: Final = timedelta(seconds=45)
CONTACT_PATIENCE: Final = timedelta(hours=1)
# What can't be sent is looked at a last time this long before it expires.
LAST_CHANCE: Final = timedelta(seconds=5)
BUSY_WAIT: Final = timedelta(seconds=30)
SHORTEST_WAIT: Final = timedelta(minutes=2)
# What a message cost is known when its call has ended.
SHORTEST_WAIT_FOR_A_PRICE: Final = timedelta(seconds=2)
# A profile that is still under way arrives in a moment or, when something is broken, much later.
SHORTEST_WAIT_FOR_CONTACT: Final = timedelta(seconds=1)
_RECEIPT_PAUSES: Final = (
    (timedelta(minutes=2), timedelta(seconds=20)),
    (timedelta(minutes=15), timedelta(minutes=2)),
    (timedelta(hours=2), timedelta(minutes=15)),
    (RECEIPT_WINDOW, timedelta(hours=2)),
)


def quiet_until(cafe: CafeRules, moment: datetime) -> datetime | None:
    """The end of the quiet hours that `moment` falls in, by the cafe's own clock; None outside of them.

    Equal bounds mean that there are no quiet hours.
    """
    local = moment.astimezone(ZoneInfo(cafe.time_zone))
    clock, start, end = local.time(), cafe.quiet_from, cafe.quiet_until
    if start == end:
        return None
    inside = start <= clock < end if start < end else clock >= start or clock < end
    if not inside:
        return None
    day = local.date() if clock < end else local.date() + timedelta(days=1)
    return datetime.combine(day, end, ZoneInfo(cafe.time_zone))


def has_clock(cafe: CafeRules) -> bool:
    """Whether anybody knows the cafe's time zone."""
    try:
        ZoneInfo(cafe.time_zone)
    except (KeyError, OSError, ValueError):
        return False
    return True


def held_by(before: CafeRules, after: CafeRules, moment: datetime) -> datetime | None:
    """Until when messages are held by quiet hours that the cafe had before; None if it has the same hours, or they hold
    nothing."""
    hours = [(cafe.time_zone, cafe.quiet_from, cafe.quiet_until) for cafe in (before, after)]
    return quiet_until(before, moment) if hours[0] != hours[1] and has_clock(before) else None


def next_day(cafe: CafeRules, moment: datetime) -> datetime:
    """The next local midnight: when daily limits begin anew."""
    return day_bounds(local_date(moment, cafe.time_zone), cafe.time_zone)[1]


def try_again(queued_at: datetime, moment: datetime, shortest: timedelta = SHORTEST_WAIT) -> datetime:
    """When to look again at a message that can't go now: sooner while it is young."""
    return moment + max(shortest, (moment - queued_at) / 2)


def next_receipt_check(sent_at: datetime, moment: datetime) -> datetime | None:
    """When to ask about delivery again; None once the provider has forgotten the message."""
    age = moment - sent_at
    for until, pause in _RECEIPT_PAUSES:
        if age < until:
            return moment + pause
    return None
