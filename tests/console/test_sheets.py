"""Tables as files: what a spreadsheet reads is what was shown, and nothing in it is a formula."""

import csv
import io
from decimal import Decimal
from urllib.parse import unquote

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.api.files import TooManyRows, table_file, workbook
from services.console.rules.sheets import (
    MOST_ROWS_OF_WORKBOOK,
    Column,
    Sheet,
    csv_chunks,
    disarmed,
    disposition,
    is_formula,
)

COLUMNS = (
    Column("ماه", "day"),
    Column("شعبه"),
    Column("بازدید", "number"),
    Column("فروش", "amount"),
    Column("سهم", "share"),
)
ROWS = (
    ("آذر ۱۴۰۵", "ونک", 1200, Decimal("1850000.50"), Decimal("0.125")),
    ("دی ۱۴۰۵", '=HYPERLINK("http://x","y")', -3, None, Decimal(0)),
    ("+1", "\t=1+1", 0, Decimal(-5), None),
)
ARMED = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u200f=1", "＝1", "\u2068+98"]


def sheet(**more) -> Sheet:
    return Sheet(**{"name": "گزارش ماه‌ها", "columns": COLUMNS, "rows": ROWS, "leftwards": True} | more)


@pytest.mark.parametrize("text", ARMED)
def test_what_looks_like_a_formula_is_disarmed(text: str) -> None:
    assert is_formula(text)
    assert disarmed(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "ونک", "a=1", "1-2", "'=1", "۵", "کافه - ونک"])
def test_what_looks_like_none_is_left(text: str) -> None:
    assert disarmed(text) == text


def test_csv_is_read_back_with_its_mark_its_numbers_and_without_formulas() -> None:
    whole = b"".join(csv_chunks(sheet()))
    assert whole.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(whole.decode("utf-8-sig"), newline="")))
    assert rows[0] == [column.title for column in COLUMNS]
    assert rows[1] == ["آذر ۱۴۰۵", "ونک", "1200", "1850000.50", "0.125"]
    assert rows[2] == ["دی ۱۴۰۵", '\'=HYPERLINK("http://x","y")', "-3", "", "0"]
    assert rows[3] == ["'+1", "'\t=1+1", "0", "-5", ""]


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=2, max_size=2)))
def test_any_text_comes_back_from_csv_as_it_was_but_for_the_apostrophe(rows: list[list[str]]) -> None:
    given_columns = (Column("a"), Column("b"))
    whole = b"".join(csv_chunks(Sheet("x", given_columns, rows, leftwards=False)))
    read = list(csv.reader(io.StringIO(whole.decode("utf-8-sig"), newline="")))
    assert read[1:] == [[disarmed(cell) for cell in row] for row in rows]
    assert not [cell for row in read for cell in row if is_formula(cell)]


def test_long_csv_comes_in_pieces_and_loses_nothing() -> None:
    pieces = list(csv_chunks(Sheet("x", (Column("n", "number"),), ([n] for n in range(2500)), leftwards=False)))
    assert len(pieces) == 3
    assert b"".join(pieces).decode("utf-8-sig").split() == ["n", *map(str, range(2500))]


@pytest.mark.parametrize("leftwards", [True, False])
def test_workbook_is_read_back(leftwards: bool) -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook([sheet(leftwards=leftwards), sheet(name="دو")])))
    assert book.sheetnames == ["گزارش ماه‌ها", "دو"]
    page = book["گزارش ماه‌ها"]
    assert bool(page.sheet_view.rightToLeft) is leftwards
    assert page.freeze_panes == "A2"
    assert [cell.value for cell in page[1]] == [column.title for column in COLUMNS]
    assert [cell.value for cell in page[2]] == ["آذر ۱۴۰۵", "ونک", 1200, 1850000.5, 0.125]
    assert [cell.value for cell in page[3]] == ["دی ۱۴۰۵", '=HYPERLINK("http://x","y")', -3, None, 0]
    # Text stays text, also when somebody edits the cell: the mark of a formula is missing, that of a quote is there.
    assert {cell.data_type for row in page.iter_rows(min_row=2) for cell in row} == {"s", "n"}
    assert page["B3"].quotePrefix
    assert not page["B2"].quotePrefix
    assert (page["D2"].number_format, page["E2"].number_format) == ("#,##0", "0.0%")


def test_name_of_a_sheet_is_one_that_a_spreadsheet_takes() -> None:
    book = openpyxl.load_workbook(io.BytesIO(workbook([sheet(name="a/b:[c]" + "د" * 40)])))
    assert book.sheetnames == ["a-b--c-" + "د" * 24]


def test_workbook_of_more_rows_than_it_takes_is_refused() -> None:
    many = ([n] for n in range(MOST_ROWS_OF_WORKBOOK + 1))
    with pytest.raises(TooManyRows):
        workbook([Sheet("x", (Column("n", "number"),), many, leftwards=False)])


@pytest.mark.parametrize(
    ("name", "plain"), [("گزارش ماه‌ها", "servaan"), ('a/b "c"; %d', "a-b -c- d"), ("..", "servaan")]
)
def test_file_has_its_name_in_any_script(name: str, plain: str) -> None:
    header = disposition(name, "csv")
    assert header.isascii()
    assert header.startswith(f"attachment; filename=\"{plain}.csv\"; filename*=UTF-8''")
    kept = unquote(header.partition("UTF-8''")[2])
    assert not set('/\\:"') & set(kept)
    assert kept.endswith(".csv")


async def test_file_is_answered_with_its_kind_and_name() -> None:
    answer = await table_file(sheet(), "xlsx", "گزارش")
    assert answer.media_type == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert "attachment" in answer.headers["content-disposition"]
    assert openpyxl.load_workbook(io.BytesIO(bytes(answer.body))).sheetnames == ["گزارش ماه‌ها"]
