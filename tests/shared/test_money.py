"""Money is exact, and Toman and Rial never mix silently."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.persian import money

AMOUNTS = st.decimals("-1e13", "1e13", places=2)


@given(amount=AMOUNTS)
def test_in_unit_returns_to_the_same_amount(amount: Decimal) -> None:
    rial = money.in_unit(amount, "IRT", "IRR")
    assert rial == amount * 10
    assert money.in_unit(rial, "IRR", "IRT") == amount
    assert money.in_unit(amount, "IRT", "IRT") is amount


@pytest.mark.parametrize("call", [money.rounded, lambda amount: money.in_unit(amount, "IRR", "IRT")])
def test_a_float_is_refused(call: object) -> None:
    with pytest.raises(TypeError, match="float"):
        call(12.5)  # type: ignore[operator]


def test_format_count_in_persian() -> None:
    assert [money.format_count(number) for number in (0, 999, 1500, 1_250_000)] == ["۰", "۹۹۹", "۱٬۵۰۰", "۱٬۲۵۰٬۰۰۰"]


def test_rounded_to_the_stored_decimals() -> None:
    assert [money.rounded(Decimal(value)) for value in ("0.125", "0.135", "7")] == [
        Decimal("0.12"),
        Decimal("0.14"),
        Decimal("7.00"),
    ]
