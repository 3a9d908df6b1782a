"""The form in which a reward is written."""

from typing import Annotated

from pydantic import BaseModel, Field

FormLine = Annotated[str, Field(max_length=300)]
Several = Annotated[list[Annotated[str, Field(max_length=40)]], Field(max_length=60)]


class RewardForm(BaseModel):
    """What stands in the form of a reward, as people type it. `valid_until` is a day that is included."""

    name: FormLine = ""
    kind: FormLine = "item"
    cost_points: FormLine = ""
    value: FormLine = ""
    minimum_bill: FormLine = ""
    stock: FormLine = ""
    least_tier: FormLine = ""
    branches: Several = []
    weekdays: Several = []
    from_time: FormLine = ""
    until_time: FormLine = ""
    valid_from: FormLine = ""
    valid_until: FormLine = ""
    per_guest: FormLine = ""
    per_guest_days: FormLine = ""
    categories: FormLine = ""
    names: FormLine = ""
    skus: FormLine = ""
