"""Which days' figures can be asked for."""

from datetime import date, timedelta

from shared.errors import Problem, Rejected
from shared.persian.text import persian_digits

# Figures are kept for one day more on either side (sql/visit/0103), for other time zones.
DAYS_SHOWN = 90


def days_to_show(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    """First and last day of the figures that are asked for: all that are kept, unless somebody names one.

    `today` is the day in UTC. Elsewhere it may be a day sooner or later; there are figures for that day too.

    Raises `Rejected` for a day before the kept ones, or a last day before the first.
    """
    earliest = today - timedelta(days=DAYS_SHOWN)
    if first and first < earliest:
        en = f"There are daily figures of the last {DAYS_SHOWN} days; ask for days since {earliest}."
        fa = f"آمار روزانه برای {persian_digits(str(DAYS_SHOWN))} روز گذشته موجود است؛ از {earliest} به بعد را بخواهید."
        raise Rejected("too_early", en, fa, problems=[Problem("from", "too_early", en, fa)])
    if last and last < (first or earliest):
        en = f"The last day must not lie before the first, {first or earliest}."
        fa = f"روز پایان نباید پیش از روز آغاز، {first or earliest}، باشد."
        raise Rejected("ends_before_it_begins", en, fa, problems=[Problem("to", "ends_before_it_begins", en, fa)])
    return first or earliest, last or today + timedelta(days=1)
