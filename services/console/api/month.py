"""The picker of a day: a month of the cafe's calendar, for whatever field asks for a day."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.console.api.rendering import look_of, page, speech_of
from services.console.api.visiting import Here
from services.console.rules.month import YEARS, month_grid
from shared import clock

router = APIRouter(prefix="/c/{cafe_id}/month", include_in_schema=False)

Field = Annotated[str, Query(pattern="^[a-z][a-z0-9_-]{0,40}$")]


@router.get("")
async def show(request: Request, here: Here, field: Field, shown: date | None = None) -> Response:
    """The month of the day `shown`, at first that of today. What the field holds does not come here: it may be a
    birthday."""
    speech = speech_of(look_of(request), here)
    today = speech.local_day(clock.now())
    day = shown if shown and abs(shown.year - today.year) <= YEARS + 1 else today
    return page(request, "month_part.html", here, grid=month_grid(speech, day, today), field=field, today=today)
