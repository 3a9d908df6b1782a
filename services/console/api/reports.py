"""Reports: how the cafe does over time. Each table can be kept as a file."""

from datetime import UTC, datetime, timedelta
from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.files import table_file
from services.console.api.rendering import catalogue, look_of, speech_of
from services.console.api.visiting import Here, upstream
from services.console.rules import report_tables
from services.console.rules.sheets import FileKind
from services.console.store import reports

router = APIRouter(prefix="/c/{cafe_id}/reports", include_in_schema=False)
DAYS = 90


@router.get("/days.{kind}")
async def keep_days(request: Request, here: Here, kind: FileKind) -> Response:
    """The figures of each day of the last three months, as a file."""
    speech = speech_of(look_of(request), here)
    today = speech.local_day(datetime.now(UTC))
    first = today - timedelta(days=DAYS - 1)
    days = await reports.days_in_full(upstream(request), here.access, here.cafe.cafe_id, first, today)
    say = partial(catalogue().say, look_of(request).language)
    sheet = report_tables.of_days(days, speech, say)
    return await table_file(sheet, kind, f"{here.cafe.name} {sheet.name} {speech.day_typed(today)}")
