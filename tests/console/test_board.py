"""The big board hangs where everybody reads it."""

from decimal import Decimal

import pytest

from services.console.models import work
from shared.clock import now
from tests.console.house import CAFE, console

REVENUE = Decimal(7654321)


@pytest.mark.parametrize(
    ("role", "address", "shown"),
    [
        ("owner", "", False),
        ("owner", "?money=true", True),
        ("staff", "?money=true", False),
    ],
)
async def test_board_shows_revenue_only_when_it_is_asked_for_and_to_staff_never(
    role: str, address: str, shown: bool
) -> None:
    async with console(role) as (client, told, _):
        before = work.EarlierDay(visits=1, guests=1, revenue=Decimal(1))
        told.answers[f"/cafes/{CAFE}/statistics/today"] = work.TodayFigures(
            as_of=now(),
            visits=3,
            guests=2,
            new_guests=1,
            revenue=REVENUE,
            hours=(work.HourFigures(0),) * 24,
            week_ago=before,
        )
        answer = await client.get(f"/c/{CAFE}/board{address}")
        assert answer.status_code == 200
        assert ("۷٬۶۵۴٬۳۲۱" in answer.text) == shown
