"""The big board: numbers and visits of today on a wall, without a name, and without money unless somebody wants it."""

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.rendering import look_of, page, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import board, today
from services.console.rules import roles
from services.console.store.upstream import Away

router = APIRouter(prefix="/c/{cafe_id}/board", include_in_schema=False)


@router.get("")
async def show(request: Request, here: Here, money: bool = False) -> Response:
    """The board. `money`: with the revenue, for who may see it."""
    shown = await board.show(upstream(request), here)
    data = _numbers(request, here, shown.numbers, money=money) | {"visits": shown.visits}
    # Bright walls tire the eye of a room.
    return page(request, "board.html", here, look=replace(look_of(request), theme="dark"), **data)


@router.get("/numbers")
async def show_numbers(request: Request, here: Here, money: bool = False) -> Response:
    """Figures and hours: a part of the board, which asks for it when something happens."""
    numbers = await today.numbers(upstream(request), here)
    return page(request, "board_numbers.html", here, **_numbers(request, here, numbers, money=money))


@router.get("/newest")
async def show_newest(request: Request, here: Here) -> Response:
    """The newest visits: a part of the board."""
    return page(request, "board_feed.html", here, visits=await today.newest(upstream(request), here))


def _numbers(request: Request, here: Here, numbers: today.Numbers, *, money: bool) -> dict[str, Any]:
    speech = speech_of(look_of(request), here)
    hours = () if isinstance(numbers.today, Away) else tuple(each.visits for each in numbers.today.hours)
    words = [speech.digits(hour) for hour in range(24)]
    with_money = money and roles.may(here.cafe.role, "see_money")
    return {"shown": numbers, "hours": hours, "hour_words": words, "money": with_money}
