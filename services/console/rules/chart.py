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


def bars(values: Sequence[Decimal | int], *, rightwards: bool, top: Decimal | int | None = None) -> tuple[Bar, ...]:
    """One bar a value over the whole width, the largest as high as the drawing; nothing is two units high.

    `rightwards`: whether the first value stands at the left, as a page that is read from the left wants it. `top`:
    what is as high as the drawing, where that is none of these values.
    """
    if not values:
        return ()
    highest = max(*values, top or 1)
    room = WIDTH / len(values)
    width = round(room * 0.64, 1)
    made = []
    for index, value in enumerate(values):
        place = index if rightwards else len(values) - 1 - index
        height = max(2.0, round(float(Decimal(value) / Decimal(highest)) * HEIGHT, 1))
        left = round(place * room + (room - width) / 2, 1)
        made.append(Bar(left, round(HEIGHT - height, 1), width, height, round(left + width / 2, 1)))
    return tuple(made)


@dataclass(frozen=True)
class DrawnLine:
    """A line through one point a value, and the ground below it, as SVG writes them. `end`: where the newest is."""

    points: str
    area: str
    end: tuple[float, float]


def line(values: Sequence[Decimal | int], *, rightwards: bool) -> DrawnLine | None:
    """A line over the whole width, from nothing to the largest value; None for less than two values."""
    if len(values) < 2:
        return None
    top, room = max(*values, 1), WIDTH / (len(values) - 1)
    made = []
    for index, value in enumerate(values):
        place = index if rightwards else len(values) - 1 - index
        made.append((round(place * room, 1), round(HEIGHT - float(Decimal(value) / Decimal(top)) * (HEIGHT - 6), 1)))
    points = " ".join(f"{x},{y}" for x, y in made)
    return DrawnLine(points, f"{made[0][0]},{HEIGHT} {points} {made[-1][0]},{HEIGHT}", made[-1])


@dataclass(frozen=True)
class Share:
    """One part of a whole: where its piece of the bar stands, and how much of the whole it is, in percent."""

    x: float
    width: float
    percent: int


def shares(parts: Sequence[Decimal | int], *, rightwards: bool) -> tuple[Share, ...]:
    """The parts side by side over the whole width; nothing at all when they are all zero."""
    whole = sum(parts)
    if not whole:
        return ()
    made, before = [], 0.0
    for part in parts:
        width = float(Decimal(part) / Decimal(whole)) * WIDTH
        left = before if rightwards else WIDTH - before - width
        made.append(Share(round(left, 1), round(width, 1), percent(part, whole)))
        before += width
    return tuple(made)


def percent(part: Decimal | int, whole: Decimal | int) -> int:
    """How much of the whole a part is, in percent; of nothing it is nothing."""
    return round(Decimal(part) * 100 / Decimal(whole)) if whole else 0


def level(value: Decimal | int, top: Decimal | int) -> int:
    """How strong the colour of a cell is, from 0 (nothing) to 5 (the largest)."""
    return 0 if value <= 0 or top <= 0 else 1 + min(4, int(Decimal(value) * 5 / Decimal(top)))
