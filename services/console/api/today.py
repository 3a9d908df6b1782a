"""The day: how it goes, and what is to be done."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.rendering import look_of, page, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import today
from services.console.store.upstream import Away
from shared import clock

router = APIRouter(prefix="/c/{cafe_id}", include_in_schema=False)


@router.get("/today")
async def show(request: Request, here: Here) -> Response:
    """Today beside the same day of last week."""
    speech = speech_of(look_of(request), here)
    day = speech.local_day(clock.now())
    shown = await today.show(upstream(request), here, day)
    values = [] if isinstance(shown.days, Away) else [each.total_visits if each else 0 for each in shown.days]
    hours = [] if isinstance(shown.today, Away) else [each.visits for each in shown.today.hours]
    data: dict[str, Any] = {
        "shown": shown,
        "visits": shown.visits,
        "day": day,
        "hours": hours,
        "values_of_days": values,
    }
    data["hour_words"] = [speech.digits(hour) for hour in range(24)]
    data["day_words"] = [speech.day(each, year=False) for each in today.days_until(day)]
    data["day_marks"] = [each.split(" ")[0] for each in data["day_words"]]
    return page(request, "today.html", here, nav="today", **data)


@router.get("/today/numbers")
async def show_numbers(request: Request, here: Here) -> Response:
    """The figures of today: a part of its page, which asks for it each minute."""
    return page(request, "today_numbers.html", here, shown=await today.numbers(upstream(request), here))


@router.get("/newest")
async def show_newest(request: Request, here: Here) -> Response:
    """The newest visits: a part of the page of today, which asks for it when something happens."""
    return page(request, "newest_part.html", here, visits=await today.newest(upstream(request), here))


@router.get("/waiting")
async def count_waiting(request: Request, here: Here) -> Response:
    """How much waits for a second person: a part of the page of today."""
    count = await today.count_waiting(upstream(request), here)
    return page(request, "waiting_part.html", here, count=count)
