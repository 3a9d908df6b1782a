"""Tables that are kept as files."""

import asyncio
import io
from collections.abc import Sequence
from typing import Any, Final

import xlsxwriter
from fastapi.responses import Response, StreamingResponse

from services.console.rules.sheets import (
    MEDIA,
    MOST_ROWS_OF_WORKBOOK,
    Cell,
    Column,
    ColumnKind,
    FileKind,
    Sheet,
    csv_chunks,
    disposition,
    is_formula,
)

_FORMATS: Final[dict[ColumnKind, dict[str, Any]]] = {
    "text": {},
    "day": {},
    "number": {"num_format": "#,##0.##"},
    "amount": {"num_format": "#,##0"},
    "share": {"num_format": "0.0%"},
}
_WIDTHS: Final[dict[ColumnKind, int]] = {"text": 26, "day": 18, "number": 14, "amount": 18, "share": 12}
_HEAD: Final = {"bold": True, "bottom": 1, "bg_color": "#F3ECE2", "text_wrap": True, "valign": "top"}
# A spreadsheet refuses longer names of sheets, and these letters in them.
_NAME: Final = 31
_NOT_IN_NAMES: Final = str.maketrans("[]:*?/\\'", "-" * 8)


class TooManyRows(Exception):
    """So many rows are kept as CSV only."""


async def table_file(sheet: Sheet, kind: FileKind, name: str) -> Response:
    """The table as a file called `name`, which no browser and no cache keeps otherwise.

    Raises:
        TooManyRows: a workbook of more than `MOST_ROWS_OF_WORKBOOK` rows.
    """
    headers = {"Content-Disposition": disposition(name, kind)}
    if kind == "csv":
        return StreamingResponse(csv_chunks(sheet), headers=headers, media_type=MEDIA[kind])
    made = await asyncio.to_thread(workbook, [sheet])
    return Response(made, headers=headers, media_type=MEDIA[kind])


def workbook(sheets: Sequence[Sheet]) -> bytes:
    """The tables as one workbook: numbers are numbers, a text is never a formula, and the titles stay while one
    scrolls. It takes its time, so it belongs into a thread.

    Raises:
        TooManyRows: one of them has more than `MOST_ROWS_OF_WORKBOOK` rows.
    """
    into = io.BytesIO()
    with xlsxwriter.Workbook(into, {"constant_memory": True}) as book:
        for sheet in sheets:
            _write(book, sheet)
    return into.getvalue()


def _write(book: Any, sheet: Sheet) -> None:
    page = book.add_worksheet(sheet.name.translate(_NOT_IN_NAMES)[:_NAME])
    if sheet.leftwards:
        page.right_to_left()
    page.freeze_panes(1, 0)
    formats = {kind: book.add_format(how) for kind, how in _FORMATS.items()}
    quoted = book.add_format({"quote_prefix": True})
    head = book.add_format(_HEAD)
    for place, column in enumerate(sheet.columns):
        page.set_column(place, place, _WIDTHS[column.kind])
        page.write_string(0, place, column.title, head)
    for line, row in enumerate(sheet.rows, start=1):
        if line > MOST_ROWS_OF_WORKBOOK:
            raise TooManyRows
        for place, (column, cell) in enumerate(zip(sheet.columns, row, strict=True)):
            _write_cell(page, (line, place), column, cell, (formats, quoted))


def _write_cell(
    page: Any, at: tuple[int, int], column: Column, cell: Cell, looks: tuple[dict[ColumnKind, Any], Any]
) -> None:
    formats, quoted = looks
    if cell is None:
        return
    if isinstance(cell, str):
        # Marked as text also for whoever edits the cell.
        page.write_string(*at, cell, quoted if is_formula(cell) else None)
    else:
        page.write_number(*at, cell, formats[column.kind])
