"""Bills as people of their cafe see them: in clear, all amounts in the cafe's unit of money."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from services.visit.handlers import words
from services.visit.models.http import EnteredVisit
from shared.persian.money import Unit, in_unit
from shared.security.crypto import Keys

ASKED = {"occurred_at", "total", "discount", "currency_unit", "items", "points_to_redeem", "table_number"}


def with_lines_in(row: Mapping[str, Any], unit: Unit, *, keys: Keys) -> dict[str, Any]:
    """A visit's row in clear, its lines in that unit; its other amounts are still in its own."""
    lines = _lines(row["items_ordered"], row["currency_unit"], unit)
    return {**words.in_clear(keys, row), "items_ordered": lines}


def without_amounts(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Lines of a bill for somebody who sees no amounts."""
    return [{**line, "amount": None} for line in lines]


def asked(body: EnteredVisit, unit: Unit) -> dict[str, Any]:
    """What a second person must know of a bill that waits."""
    shown = body.model_dump(include=ASKED)
    amounts = {name: in_unit(shown[name], body.currency_unit, unit) for name in ("total", "discount")}
    return shown | amounts | {"items": _lines(shown["items"], body.currency_unit, unit), "currency_unit": unit}


def _lines(lines: Iterable[Mapping[str, Any]], sent_in: Unit, unit: Unit) -> list[dict[str, Any]]:
    return [
        {**line, "amount": str(in_unit(Decimal(line["amount"]), sent_in, unit))}
        if line.get("amount") is not None
        else dict(line)
        for line in lines
    ]
