"""What a program says beside its earning, as owners write it: what is given without a bill, and what waits."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.events.base import Tier
from shared.inputs.bounds import PointsOrNone
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
