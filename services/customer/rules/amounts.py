"""Amounts in criteria: written and shown in the cafe's unit of money, kept in Toman like what guests spent."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from services.customer.rules.attributes import ATTRIBUTES, AttributeKind
from services.customer.rules.criteria import parse
from shared.inputs.amounts import INSIDE
from shared.persian.money import Unit, in_unit


def kept(criteria: Mapping[str, Any], unit: Unit) -> dict[str, Any]:
    """Criteria that somebody of a cafe with that unit wrote, as they are kept.

    Raises Rejected for criteria that can't be understood.
    """
    parse(criteria, unit=unit)
    return _converted(criteria, unit, INSIDE)


def shown(criteria: Mapping[str, Any], unit: Unit) -> dict[str, Any]:
    """Criteria as they are kept, for somebody of a cafe with that unit."""
    return _converted(criteria, INSIDE, unit)


def _converted(part: Mapping[str, Any], here: Unit, there: Unit) -> dict[str, Any]:
    return {name: _entry(name, value, here, there) for name, value in part.items()} if here != there else dict(part)


def _entry(name: str, value: Any, here: Unit, there: Unit) -> Any:
    if name in ("all", "any"):
        return [_converted(part, here, there) for part in value]
    if name == "not":
        return _converted(value, here, there)
    if ATTRIBUTES[name].kind is not AttributeKind.MONEY:
        return value
    return {bound: _amount(each, here, there) for bound, each in value.items()}


def _amount(written: int | str, here: Unit, there: Unit) -> int | str:
    amount = in_unit(Decimal(written), here, there)
    return int(amount) if isinstance(written, int) and amount % 1 == 0 else f"{amount.normalize():f}"
