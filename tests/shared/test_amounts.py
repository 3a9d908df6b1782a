"""Amounts of an answer go from unit to unit whole, and back."""

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.inputs.amounts import Money, Priced

AMOUNTS = st.decimals("-1e13", "1e13", places=2)


class Shown(Priced):
    paid: Money
    back: Money | None
    rating: Decimal


@given(AMOUNTS, st.none() | AMOUNTS, st.sampled_from(["IRT", "IRR", None]), st.sampled_from(["IRT", "IRR"]))
def test_amounts_and_nothing_else_change_with_the_unit(paid: Decimal, back: Decimal | None, of: Any, unit: Any) -> None:
    row = {"paid": paid, "back": back, "rating": Decimal("4.5"), "currency_unit": of}
    shown = Shown.of(row, unit)
    times = Decimal(1) if of in (None, unit) else Decimal(10) if unit == "IRR" else Decimal("0.1")
    assert (shown.currency_unit, shown.paid, shown.rating) == (unit, paid * times, Decimal("4.5"))
    assert shown.back == (None if back is None else back * times)
    assert shown.shown_in(of or unit).model_dump() == Shown.of(row, of or unit).model_dump()
