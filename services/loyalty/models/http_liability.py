"""What a club owes, as it is answered."""

from datetime import date

from shared.inputs.amounts import Money, Priced


class LiabilityMonth(Priced):
    """Points that lapse in a month of the cafe's calendar unless they are spent before, and their worth today."""

    first: date
    last: date
    points: int
    worth: Money | None


class Liability(Priced):
    """The points that guests can spend, what they are worth today, in which month they lapse, the soonest first, and
    how many never do: `outstanding` is the sum. A minute behind at most. The worths are null while a point has no
    price."""

    outstanding: int
    worth: Money | None
    point_worth: Money | None
    never: int
    never_worth: Money | None
    months: list[LiabilityMonth]
