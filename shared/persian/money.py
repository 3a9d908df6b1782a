"""Money: a Decimal and its unit. Toman (IRT) and Rial (IRR) meet only through `in_unit`."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Literal

from shared.persian.text import persian_digits

Unit = Literal["IRT", "IRR"]

_RIAL_PER: Final[dict[Unit, Decimal]] = {"IRT": Decimal(10), "IRR": Decimal(1)}
_CENT: Final = Decimal("0.01")
_THOUSANDS: Final = "\u066c"


def in_unit(amount: Decimal, from_unit: Unit, to_unit: Unit) -> Decimal:
    """`amount` of `from_unit` expressed in `to_unit`, exactly (no rounding; 1 Toman is 10 Rial).

    Raises:
        TypeError: `amount` is not a Decimal (a float has already lost money).
    """
    _check(amount)
    if from_unit == to_unit:
        return amount
    return amount * _RIAL_PER[from_unit] / _RIAL_PER[to_unit]


def rounded(amount: Decimal) -> Decimal:
    """`amount` with the two decimals that the databases keep, half to even.

    Raises:
        TypeError: `amount` is not a Decimal.
    """
    _check(amount)
    return amount.quantize(_CENT, ROUND_HALF_EVEN)


def format_count(number: int) -> str:
    """A whole number (points, visits) in Persian digits with thousands separators."""
    return persian_digits(f"{number:,}".replace(",", _THOUSANDS))


def _check(amount: Decimal) -> None:
    if not isinstance(amount, Decimal):
        raise TypeError(f"money is a Decimal, not {type(amount).__name__}")
