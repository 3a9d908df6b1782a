"""What time does to points and tiers, as owners write it and as counting uses it."""

from typing import Annotated, Literal, Self

import msgspec
from pydantic import Field, model_validator

from shared.inputs.fields import Command, Whole, fault

LapseKind = Literal["days", "month_end", "year_end"]
Downgrade = Literal["by_points", "one_step"]
MOST_MONTHS = 120
MOST_YEARS = 10

GraceDays = Annotated[
    int,
    Whole(0, 90),
    Field(
        description="days that a tier still holds after the tier period in which its points no longer reach it began"
    ),
]


class ExpiryRule(Command):
    """When points lapse. `days`: so many days after the bill, to the minute. `month_end` and `year_end`: with the last
    day of the cafe's calendar month or year that comes `after` so many others; 0 is the one in which they were earned.
    """

    kind: Literal["days", "month_end", "year_end", "never"]
    days: Annotated[int, Whole(1, 3660)] | None = None
    after: Annotated[int, Whole(0, MOST_MONTHS), Field(description="months, or years, 10 at most")] = 0

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.kind == "days") != (self.days is not None):
            raise fault(
                "days_and_kind",
                "Write days when kind is days, and only then.",
                "اگر نوع days است تعداد روز را بنویسید و در نوع‌های دیگر ننویسید.",
            )
        most = {"month_end": MOST_MONTHS, "year_end": MOST_YEARS}.get(self.kind, 0)
        if self.after > most:
            raise fault(
                "after_and_kind",
                f"after is for month_end (120 at most) and year_end (10 at most); for {self.kind} at most {most}.",
                "after تنها برای پایان ماه (حداکثر ۱۲۰) و پایان سال (حداکثر ۱۰) است.",
            )
        return self


WarnDays = Annotated[tuple[Annotated[int, Whole(1, 90)], ...], Field(max_length=5)]


class WarnRule(Command):
    """How many days before it happens guests are told, each time once: that points lapse, and that a tier ends."""

    points_days: WarnDays = ()
    tier_days: WarnDays = ()


class Warns(msgspec.Struct, frozen=True):
    """Days before which guests are told."""

    points_days: tuple[int, ...]
    tier_days: tuple[int, ...]


def warns_of(rule: WarnRule) -> Warns | None:
    """What the rules say; None when nobody is told of anything."""
    if not (rule.points_days or rule.tier_days):
        return None
    return Warns(tuple(sorted(set(rule.points_days))), tuple(sorted(set(rule.tier_days))))


class Lapse(msgspec.Struct, frozen=True):
    """When points of a program lapse: `number` days after they were earned, or with the end of the month or year that
    follows after so many others."""

    kind: LapseKind
    number: int


def lapse_of(expiry: ExpiryRule | None, days: int | None) -> Lapse | None:
    """What the rules say: by `expiry`, or, where there is none, by the `days` of older rules. None: never."""
    if expiry is None:
        return Lapse("days", days) if days else None
    if expiry.kind == "never":
        return None
    return Lapse("days", expiry.days or 0) if expiry.kind == "days" else Lapse(expiry.kind, expiry.after)
