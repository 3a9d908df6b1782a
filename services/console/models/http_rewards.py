"""The form in which a reward is written."""

from typing import Annotated

from pydantic import BaseModel, Field

Line = Annotated[str, Field(max_length=300)]
Several = Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=60)]


class RewardForm(BaseModel):
    """What stands in the form of a reward, as people type it. `valid_until` is a day that is included."""

    name: Line = ""
    kind: Line = "item"
    cost_points: Line = ""
    value: Line = ""
    minimum_bill: Line = ""
    stock: Line = ""
    least_tier: Line = ""
    branches: Several = []
    weekdays: Several = []
    from_time: Line = ""
    until_time: Line = ""
    valid_from: Line = ""
    valid_until: Line = ""
    per_guest: Line = ""
    per_guest_days: Line = ""
    categories: Line = ""
    names: Line = ""
    skus: Line = ""
