"""In which tier a standing is, and how a guest falls when a tier period ends.

The published rule: a tier that the points of this tier period and the one before no longer reach is lost with the
period's end. A program may soften that on the day the period ends: with `tier_grace_days` the tier holds for so many
days more, and with `downgrade` one_step it then falls by one step a period at most. What a period's end has promised
stays so until the next one, whatever rules are published meanwhile.
"""

from datetime import date, timedelta

from msgspec.structs import replace

from services.loyalty.models.accounts import Program, Standing, TierStep
from services.loyalty.models.programs import LADDER
from shared.events.base import Tier

_DAY = timedelta(days=1)


def step_for(program: Program, points: int) -> TierStep:
    """The highest step reached with `points` in one period."""
    for step in reversed(program.steps):
        if points >= step.threshold:
            return step
    return program.steps[0]


def step_of(program: Program, standing: Standing) -> TierStep:
    """The step on which a standing is: by its points, or the one that it keeps, whichever is higher."""
    by_points = step_for(program, max(standing.period_points, standing.previous_points))
    if standing.kept is None:
        return by_points
    kept = _at_most(program, LADDER.index(standing.kept))
    return kept if kept.threshold > by_points.threshold else by_points


def after_period(program: Program, before: Standing, after: Standing, first_day: date) -> Standing:
    """`after`, the standing in the period that begins on `first_day`, with what it keeps of `before`."""
    if not softens(program):
        return after if before.kept is None else replace(after, kept=None, kept_until=None)
    held = step_of(program, before).tier
    if program.grace_days:
        return _keeping(program, after, held, first_day + (program.grace_days - 1) * _DAY)
    return _keeping(program, after, _beneath(program, held), None)


def after_grace(program: Program, standing: Standing) -> Standing:
    """The standing once the days of grace are over."""
    assert standing.kept is not None
    if not program.falls_by_step:
        return replace(standing, kept=None, kept_until=None)
    return _keeping(program, standing, _beneath(program, standing.kept), None)


def softens(program: Program) -> bool:
    """Whether a period's end leaves anything of a tier that the points no longer reach."""
    return program.grace_days > 0 or program.falls_by_step


def _keeping(program: Program, standing: Standing, tier: Tier, until: date | None) -> Standing:
    by_points = step_for(program, max(standing.period_points, standing.previous_points))
    if LADDER.index(tier) <= LADDER.index(by_points.tier):
        return replace(standing, kept=None, kept_until=None)
    return replace(standing, kept=tier, kept_until=until)


def _beneath(program: Program, tier: Tier) -> Tier:
    return _at_most(program, LADDER.index(tier) - 1).tier


def _at_most(program: Program, place: int) -> TierStep:
    return next((each for each in reversed(program.steps) if LADDER.index(each.tier) <= place), program.steps[0])
