"""Reports: how the cafe does over time. Each can be kept as a file, and printed."""

from functools import partial
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.files import table_file
from services.console.api.rendering import catalogue, look_of, page, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import reports
from services.console.rules.report_range import LENGTHS, SECTIONS, USUAL, SectionKey, Span, span_of
from services.console.rules.sheets import FileKind
from shared import clock

router = APIRouter(prefix="/c/{cafe_id}/reports", include_in_schema=False)
# A page stays short; the files hold all rows.
MOST_ROWS = 60


@router.get("")
async def show_first(request: Request, here: Here, months: int = USUAL, branch: UUID | None = None) -> Response:
    """The months: what reports begin with."""
    return await _show(request, here, "months", months, branch)


@router.get("/{section}.{kind}")
async def keep(
    request: Request,
    here: Here,
    section: SectionKey,
    kind: FileKind,
    months: int = USUAL,
    branch: UUID | None = None,
) -> Response:
    """One report's table as a file."""
    speech, span = speech_of(look_of(request), here), _span(request, here, months)
    say = partial(catalogue().say, look_of(request).language)
    report = await reports.make(upstream(request), here, section, span, branch, speech, say)
    name = f"{here.cafe.name} {report.sheet.name} {speech.day_typed(span.last)}"
    return await table_file(report.sheet, kind, name)


@router.get("/{section}")
async def show(
    request: Request, here: Here, section: SectionKey, months: int = USUAL, branch: UUID | None = None
) -> Response:
    """One report."""
    return await _show(request, here, section, months, branch)


async def _show(request: Request, here: Here, section: SectionKey, months: int, branch: UUID | None) -> Response:
    speech, span = speech_of(look_of(request), here), _span(request, here, months)
    say = partial(catalogue().say, look_of(request).language)
    chosen = next(each for each in SECTIONS if each.key == section)
    shown = await reports.show(
        upstream(request), here, section, span, branch if chosen.of_branch else None, speech, say
    )

    def address(of: str = section, length: int = span.months, place: UUID | None = branch, kind: str = "") -> str:
        asked: dict[str, Any] = {"months": length if length != USUAL else None, "branch": place}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return f"/c/{here.cafe.cafe_id}/reports/{of}{'.' + kind if kind else ''}{'?' + query if query else ''}"

    names = dict(shown.branches)
    data: dict[str, Any] = {
        "shown": shown,
        "section": chosen,
        "tabs": [(each.key, address(each.key), say(f"report_title.{each.key}")) for each in SECTIONS],
        "lengths": LENGTHS,
        "span": span,
        "branch": branch if chosen.of_branch else None,
        "place": names.get(branch, "") if branch and chosen.of_branch else "",
        "address": address,
        "most_rows": MOST_ROWS,
    }
    return page(request, "reports.html", here, nav="reports", **data)


def _span(request: Request, here: Here, months: int) -> Span:
    speech = speech_of(look_of(request), here)
    return span_of(months, speech.local_day(clock.now()), here.cafe.calendar)
