"""Bars of a chart, so that the template only draws them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

WIDTH, HEIGHT = 720, 140


@dataclass(frozen=True)
class Bar:
    """One bar: where it stands and how high it is, in units of the drawing."""

    x: float
    y: float
    width: float
    height: float
    middle: float


def bars(values: Sequence[Decimal | int], *, rightwards: bool) -> tuple[Bar, ...]:
    """One bar a value over the whole width, the largest as high as the drawing; nothing is two units high.

    `rightwards`: whether the first value stands at the left, as a page that is read from the left wants it.
    """
    if not values:
        return ()
    top = max(*values, 1)
    room = WIDTH / len(values)
    width = round(room * 0.64, 1)
    made = []
    for index, value in enumerate(values):
        place = index if rightwards else len(values) - 1 - index
        height = max(2.0, round(float(Decimal(value) / Decimal(top)) * HEIGHT, 1))
        left = round(place * room + (room - width) / 2, 1)
        made.append(Bar(left, round(HEIGHT - height, 1), width, height, round(left + width / 2, 1)))
    return tuple(made)
