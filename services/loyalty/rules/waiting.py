"""From when on points can be spent."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from services.loyalty.models.accounts import Counted, Plan, Program, Visit
from services.loyalty.rules import tiers


def available_at(program: Program, visit: Visit, points: int) -> datetime | None:
    """From when on the points of a bill can be spent; None when they don't wait."""
    waiting = program.waiting
    return None if waiting is None or points <= waiting.above else visit.occurred_at + waiting.time


def moments(plan: Plan, bills: Iterable[Counted], lost: Mapping[UUID, int]) -> dict[UUID, datetime]:
    """The moments from which on the points of the bills count that wait, by visit; of a voided bill by what it would
    have earned."""
    if all(program.waiting is None for program in plan.programs):
        return {}
    found = {}
    for counted in bills:
        visit = counted.visit
        points = counted.points if counted.earning else lost.get(visit.visit_id, 0)
        at = available_at(tiers.in_force(plan, visit.occurred_at), visit, points)
        if at is not None:
            found[visit.visit_id] = at
    return found
