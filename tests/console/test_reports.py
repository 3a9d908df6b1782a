"""Reports in the console: what the APIs tell, as pages and as files."""

import csv
import io
from datetime import date
from decimal import Decimal
from urllib.parse import unquote

import openpyxl
import pytest

from services.console.models.reports import DayFigures
from tests.console.house import CAFE, console

DAYS = (
    DayFigures(date(2026, 11, 29), 3, 4, Decimal(740000), Decimal(185000), Decimal("4.50")),
    DayFigures(date(2026, 11, 30), 0, 1, Decimal(90000), Decimal(90000), None),
)


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
async def test_days_are_kept_as_a_file(kind: str) -> None:
    async with console("manager") as (client, told, _):
        told.answers[f"/cafes/{CAFE}/statistics/days"] = DAYS
        answer = await client.get(f"/c/{CAFE}/reports/days.{kind}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, no-store"
    name = unquote(answer.headers["content-disposition"].partition("UTF-8''")[2])
    assert name.startswith("کافه روز به روز")
    assert name.endswith(f".{kind}")
    if kind == "csv":
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
        assert rows[1] == ["۱۴۰۵/۰۹/۰۸", "یکشنبه", "4", "3", "740000", "185000", "4.50"]
        assert rows[2][-1] == ""
    else:
        [page] = openpyxl.load_workbook(io.BytesIO(answer.content)).worksheets
        assert page.sheet_view.rightToLeft
        assert [cell.value for cell in page[2]] == ["۱۴۰۵/۰۹/۰۸", "یکشنبه", 4, 3, 740000, 185000, 4.5]
