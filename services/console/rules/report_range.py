"""Which time a report is of: whole months of the cafe's calendar, the last one until today."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from shared.persian.calendar import Calendar, month_of

SectionKey = Literal["months", "days", "hours", "return", "cohorts", "club", "branches", "dishes", "ratings"]
RATING_STEP: Final[dict[int, str]] = {1: "day", 3: "week"}


@dataclass(frozen=True)
class Section:
    """One report. `of_branch`: whether it can be asked of one branch alone."""

    key: SectionKey
    icon: str
    of_branch: bool


SECTIONS: Final = (
    Section("months", "chart-column", of_branch=True),
    Section("days", "calendar", of_branch=True),
    Section("hours", "clock", of_branch=True),
    Section("return", "undo-2", of_branch=False),
    Section("cohorts", "users", of_branch=False),
    Section("club", "id-card", of_branch=True),
    Section("branches", "store", of_branch=False),
    Section("dishes", "coffee", of_branch=True),
    Section("ratings", "star", of_branch=False),
)
LENGTHS: Final = (1, 3, 6, 12, 24)
USUAL: Final = 12


@dataclass(frozen=True)
class Span:
    """So many months until today: from the first day of the first one."""

    months: int
    first: date
    last: date

    @property
    def weeks(self) -> int:
        """About as many whole weeks."""
        return max(4, min(104, (self.last - self.first).days // 7))

    @property
    def rating_step(self) -> str:
        """By what ratings are put together, so that there are some twenty."""
        return RATING_STEP.get(self.months, "month")


def span_of(months: int, today: date, calendar: Calendar) -> Span:
    """The last `months` months, the running one among them; as many as usual when there is no such choice."""
    chosen = months if months in LENGTHS else USUAL
    first = month_of(today, calendar)[0]
    for _ in range(chosen - 1):
        first = month_of(first - timedelta(days=1), calendar)[0]
    return Span(chosen, first, today)
