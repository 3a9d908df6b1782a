"""Upper bounds for amounts of money and numbers of points.

They are the same at every edge, so that no sum of accepted values can fail further in.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic_core import PydanticCustomError

from shared.inputs.fields import Reader, Whole, fault
from shared.persian.money import Unit
from shared.persian.text import latin_digits

# For a bill, a discount, a line, a price, a cost, a budget: a thousand times the largest of them in the world.
MOST_TOMAN: Final = 10**12
MOST_RIAL: Final = 10 * MOST_TOMAN
MOST_OF_UNIT: Final[Mapping[Unit, int]] = {"IRT": MOST_TOMAN, "IRR": MOST_RIAL}

# Points of one bill, one adjustment, one redemption, one rule. The narrowest column for them is an int4.
MOST_POINTS: Final = 10**9

_CENT: Final = Decimal("0.01")
_DIGITS: Final = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?")


def too_much() -> PydanticCustomError:
    """What is said of an amount above the bound, whatever its unit."""
    return fault(
        "too_large",
        "At most 1,000,000,000,000 Toman, which are 10,000,000,000,000 Rial; look at the unit and the zeros.",
        "حداکثر ۱٬۰۰۰ میلیارد تومان، یعنی ۱۰٬۰۰۰ میلیارد ریال؛ واحد پول و صفرها را بررسی کنید.",
    )


def exact(value: Any) -> Decimal:
    """An exact number within the bound in either direction, from digits in a string, an int or a Decimal.

    Raises PydanticCustomError for a binary float, for what is no number, and for what is beyond the bound.
    """
    if type(value) is int:
        value = Decimal(value)
    if isinstance(value, str) and _DIGITS.fullmatch(digits := latin_digits(value).strip().replace("\u066b", ".")):
        value = Decimal(digits)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise fault(
            "exact_number",
            "Send an exact number: digits in a string or a JSON number, without separators or units.",
            "عدد دقیق بفرستید: رقم‌ها در یک رشته یا عدد JSON، بدون جداکننده و واحد.",
        )
    if abs(value) > MOST_RIAL:
        raise too_much()
    return value


def within(points: int) -> int:
    """`points` of one bill or one redemption, cut to the bound in either direction: for what was accepted before there
    was a bound."""
    return max(-MOST_POINTS, min(points, MOST_POINTS))


@dataclass(frozen=True)
class Amount(Reader):
    """An amount from zero to the bound, exact: a whole number, or digits in a string with at most two decimals."""

    def read(self, value: Any) -> Any:
        """The amount."""
        amount = exact(value)
        if amount < 0:
            raise fault("negative", "Not below zero.", "نباید منفی باشد.")
        if amount != amount.quantize(_CENT):
            raise fault("two_decimals", "At most two decimals.", "حداکثر دو رقم اعشار.")
        return amount

    def document(self) -> dict[str, Any]:
        digits = len(str(MOST_RIAL)) - 1
        return {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MOST_RIAL},
                {"type": "string", "pattern": rf"^[0-9]{{1,{digits}}}(?:\.[0-9]{{1,2}})?$"},
            ]
        }


# In Rial, as providers bill, or in a unit that the model checks by itself.
Rial = Annotated[Decimal, Amount()]
Points = Annotated[int, Whole(1, MOST_POINTS)]
# Of a threshold: none is one as well.
PointsOrNone = Annotated[int, Whole(0, MOST_POINTS)]
