"""Which days' figures can be asked for."""

from datetime import date, timedelta

from shared.errors import Problem, Rejected
from shared.persian.text import persian_digits

# Without a first day; and the longest that can be asked for at once.
DAYS_SHOWN = 90
MOST_DAYS = 800


def days_to_show(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """First and last day of the figures that are asked for: the last 90, unless somebody names one.

    `today` is the day in UTC. Elsewhere it may be a day sooner or later; there are figures for that day too.

    Raises `Rejected` for a last day before the first, or more days than are shown at once.
    """
    tomorrow = today + timedelta(days=1)
    end = last or max(first or tomorrow, tomorrow)
    begin = first or min(end, today) - timedelta(days=DAYS_SHOWN)
    if end < begin:
        en = f"The last day must not lie before the first, {begin}."
        fa = f"روز پایان نباید پیش از روز آغاز، {begin}، باشد."
        raise Rejected("ends_before_it_begins", en, fa, problems=[Problem("to", "ends_before_it_begins", en, fa)])
    if (end - begin).days > MOST_DAYS:
        en = f"At most {MOST_DAYS} days are shown at once; ask for days since {end - timedelta(days=MOST_DAYS)}."
        fa = (
            f"هر بار حداکثر {persian_digits(str(MOST_DAYS))} روز نشان داده می‌شود؛ "
            f"از {end - timedelta(days=MOST_DAYS)} به بعد را بخواهید."
        )
        raise Rejected("too_long", en, fa, problems=[Problem("from", "too_long", en, fa)])
    return begin, end
