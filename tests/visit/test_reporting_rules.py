"""Shares, averages, and when a share can be known."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from services.visit.models.counted import DaySums
from services.visit.rules.reporting import NOTHING, average, has_passed, percent, without

ENDS = date(2026, 10, 22)


@pytest.mark.parametrize(
    ("part", "whole", "found"),
    [(1, 3, "33.33"), (0, 5, "0.00"), (5, 5, "100.00"), (0, 0, None), (Decimal("0.5"), Decimal(4), "12.50")],
)
def test_share_of_nothing_is_none_and_of_something_has_two_decimals(part, whole, found: str | None) -> None:
    assert percent(part, whole) == (None if found is None else Decimal(found))


def test_average_of_nothing_is_none() -> None:
    assert (average(10, 4), average(Decimal(0), 0)) == (Decimal("2.50"), None)


def test_share_is_known_once_everybody_had_the_time() -> None:
    last = ENDS + timedelta(days=30)
    assert not has_passed(ENDS, 30, last)
    assert has_passed(ENDS, 30, last + timedelta(days=1))


def test_what_is_left_beside_parts() -> None:
    whole = DaySums(10, Decimal(100), 6, Decimal(60), 4, 18)
    parts = [DaySums(3, Decimal(30), 2, Decimal(20), 1, 5), DaySums(4, Decimal(40), 4, Decimal(40), 3, 13)]
    assert without(whole, parts) == DaySums(3, Decimal(30), 0, Decimal(0), 0, 0)
    assert without(whole, [whole]) == NOTHING
