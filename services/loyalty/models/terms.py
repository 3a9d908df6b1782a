"""What a program says beside its earning, as owners write it: what is given without a bill, and what waits."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.events.base import Tier
from shared.inputs.bounds import MOST_TOMAN, PointsOrNone
from shared.inputs.fields import Command, Whole


class BirthdayTerm(Command):
    """Points for a guest's birthday, once a year of the cafe's calendar, by the tier that the guest has on the day. A
    tier that is left out, or has 0, gets none."""

    points: Annotated[dict[Tier, PointsOrNone], Field(min_length=1, max_length=4)]

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if not any(self.points.values()):
            raise PydanticCustomError(
                "gives_nothing",
                "Gives nobody anything; give a tier some points, or leave the birthday out.",
                {"fa": "به هیچ‌کس امتیازی نمی‌دهد؛ برای دست‌کم یک سطح امتیاز بگذارید یا تولد را نفرستید."},
            )
        return self


class PendingTerm(Command):
    """A bill that earns more than `above_points` is looked at first: its points are in the balance at once and can be
    spent `hours` after it. What a referral gives waits as long."""

    hours: Annotated[int, Whole(1, 720)]
    above_points: PointsOrNone


class ReferralTerm(Command):
    """Points for a guest who brings another and for the one who is brought, once a bill of theirs of at least
    `minimum_bill` Toman comes within `within_days`. The referrer has come `referrer_visits` times before, and brings at
    most `per_month` in a month of the cafe's calendar."""

    referrer: PointsOrNone
    referee: PointsOrNone
    minimum_bill: Annotated[int, Whole(0, MOST_TOMAN)] = 0
    within_days: Annotated[int, Whole(1, 365)] = 30
    referrer_visits: Annotated[int, Whole(0, 1000)] = 1
    per_month: Annotated[int, Whole(1, 1000)] | None = 10

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if not (self.referrer or self.referee):
            raise PydanticCustomError(
                "gives_nothing",
                "Gives nobody anything; give one of the two some points, or leave the referral out.",
                {"fa": "به هیچ‌یک امتیازی نمی‌دهد؛ برای یکی از دو طرف امتیاز بگذارید یا معرفی را نفرستید."},
            )
        return self
