"""What a club's figures mean."""

from collections.abc import Sequence

from services.loyalty.models.figures import ClubFigure, TierFigures
from services.loyalty.models.programs import LADDER


def total(figures: Sequence[ClubFigure], what: str) -> int:
    """The sum of a figure over all tiers."""
    return sum(each.amount for each in figures if each.what == what)


def tier_counts(figures: Sequence[ClubFigure], steps: Sequence[str]) -> list[TierFigures]:
    """The tiers from the lowest up: those of the program in force, and any other where somebody stands or moved."""
    found = {(each.what, each.tier): each.amount for each in figures}
    counts = [
        TierFigures(
            tier=tier,
            guests=found.get(("members", tier), 0),
            up=found.get(("risen", tier), 0),
            down=found.get(("fallen", tier), 0),
        )
        for tier in LADDER
    ]
    return [each for each in counts if each.tier in steps or each.guests or each.up or each.down]


def worth(points: int, toman_per_point: int | None) -> int | None:
    """What so many points are worth, in Toman; None while a point has no price."""
    return None if toman_per_point is None else points * toman_per_point
