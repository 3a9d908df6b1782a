"""Amounts of approval policies: kept in whole Toman, written and shown in the cafe's unit of money."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

from services.identity.models.http import Cafe, PolicyStep, SetPolicy
from shared.errors import Problem, Rejected
from shared.inputs.amounts import INSIDE, inside
from shared.inputs.bounds import MOST_OF_UNIT, too_much
from shared.persian.money import Unit, in_unit
from shared.security.approval import Policy

C = TypeVar("C", bound=Cafe)

_AMOUNTS: Final = ("amount", "staff_amount")


def kept(wanted: SetPolicy, own_unit: Unit) -> Policy:
    """The policy that somebody of a cafe with that unit asks for.

    Raises Rejected for amounts that are no whole Toman or above the bound of their unit.
    """
    unit = wanted.currency_unit or own_unit
    problems = [each for name in _AMOUNTS if (each := _problem(name, getattr(wanted, name), unit))]
    if problems:
        raise Rejected("invalid_input", problems[0].en, problems[0].fa, problems=problems)
    amount, staff_amount = (int(inside(Decimal(getattr(wanted, name)), unit)) for name in _AMOUNTS)
    return Policy(wanted.when, wanted.points, amount, staff_amount)


def shown(policy: Mapping[str, Any], unit: Unit) -> dict[str, Any]:
    """A policy as it is kept, for somebody of a cafe with that unit."""
    return {name: _shown(value, unit) if name in _AMOUNTS else value for name, value in policy.items()}


def shown_step(step: PolicyStep, unit: Unit) -> PolicyStep:
    """A step of a change of the policy, in that unit."""
    both = {"before": shown(step.before, unit), "after": shown(step.after, unit)}
    return step.model_copy(update={**both, "currency_unit": unit})


def shown_cafe(cafe: C) -> C:
    """A cafe as its people see it: the amounts of its policy in its own unit."""
    amounts = {name: _shown(getattr(cafe, name), cafe.currency_unit) for name in map("approval_{}".format, _AMOUNTS)}
    return cafe.model_copy(update=amounts)


def _shown(amount: int, unit: Unit) -> int:
    return int(in_unit(Decimal(amount), INSIDE, unit))


def _problem(name: str, amount: int, unit: Unit) -> Problem | None:
    if amount > MOST_OF_UNIT[unit]:
        most = too_much()
        return Problem(name, most.type, most.message(), (most.context or {})["fa"])
    if inside(Decimal(amount), unit) % 1:
        en, fa = "Must be whole Toman; 1 Toman is 10 Rial.", "باید تومان بدون اعشار باشد؛ هر تومان ده ریال است."
        return Problem(name, "whole_toman", en, fa)
    return None
