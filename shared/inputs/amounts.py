"""Amounts at the edge of HTTP: people of a cafe read and write them in its own unit of money.

Inside, what is summed or compared is Toman, and a bill keeps the unit that its till sent. So a cafe may change its unit
whenever it likes: what it wrote before keeps its worth and is shown in the new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Final, Self, get_args

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema

from shared.persian.money import Unit, in_unit

# Of what is summed and compared.
INSIDE: Final[Unit] = "IRT"
DESCRIPTION: Final = "an amount in `currency_unit`"


@dataclass(frozen=True)
class _InItsUnit:
    """Marks the amounts of an answer, also in its document."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(schema) | {"description": DESCRIPTION}


Money = Annotated[Decimal, _InItsUnit()]


class Priced(BaseModel):
    """An answer with amounts: each `Money` in it is in `currency_unit`, the cafe's."""

    currency_unit: Unit

    @classmethod
    def of(cls, row: Mapping[str, Any], unit: Unit) -> Self:
        """The answer of a row whose amounts are in its own `currency_unit`, shown in `unit`. A row without amounts may
        have no unit."""
        return cls.model_validate({**row, "currency_unit": row["currency_unit"] or unit}).shown_in(unit)

    def shown_in(self, unit: Unit) -> Self:
        """The same amounts in another unit, exactly."""
        if unit == self.currency_unit:
            return self
        amounts = {name: getattr(self, name) for name in _amounts_of(type(self))}
        changed = {name: in_unit(each, self.currency_unit, unit) for name, each in amounts.items() if each is not None}
        return self.model_copy(update={**changed, "currency_unit": unit})

    def without_amounts(self) -> Self:
        """The same for somebody who sees no amounts: each is null."""
        return self.model_copy(update=dict.fromkeys(_amounts_of(type(self))))


def inside(amount: Decimal, unit: Unit) -> Decimal:
    """The amount in Toman, as it is kept and compared, of what somebody wrote in `unit`."""
    return in_unit(amount, unit, INSIDE)


@cache
def _amounts_of(kind: type[Priced]) -> tuple[str, ...]:
    return tuple(name for name, field in kind.model_fields.items() if _is_amount(field))


def _is_amount(field: FieldInfo) -> bool:
    marks = [field.metadata, *(getattr(part, "__metadata__", ()) for part in get_args(field.annotation))]
    return any(_InItsUnit() in each for each in marks)
