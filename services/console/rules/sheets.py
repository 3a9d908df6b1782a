"""Tables as files for a spreadsheet: their rows, and cells that no spreadsheet takes for a formula."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal
from urllib.parse import quote

FileKind = Literal["csv", "xlsx"]
# `share`: a part of one, shown in percent. `day`: text, as the cafe's calendar writes it.
ColumnKind = Literal["text", "day", "number", "amount", "share"]
Cell = str | int | Decimal | None

MEDIA: Final[dict[FileKind, str]] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
# A workbook is made in memory, and takes some 0.1 ms a row.
MOST_ROWS_OF_WORKBOOK: Final = 50_000
# What a spreadsheet may read as the beginning of a formula, also in the width of East Asian letters.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_CHUNK: Final = 1000
# By these marks Excel knows UTF-8.
BYTE_ORDER_MARK: Final = "\ufeff"


@dataclass(frozen=True)
class Column:
    """The title of a column, and what its cells are."""

    title: str
    kind: ColumnKind = "text"


@dataclass(frozen=True)
class Sheet:
    """One table. `leftwards`: its first column stands at the right, as Persian is read. `rows` may be read once."""

    name: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Cell]]
    leftwards: bool


def is_formula(text: str) -> bool:
    """Whether a spreadsheet could take this text for a formula."""
    return text.lstrip(" \u00a0\u200b\u200c\u200e\u200f\u2066\u2067\u2068\u2069\ufeff").startswith(_FORMULA) or (
        text.startswith(_FORMULA)
    )


def disarmed(text: str) -> str:
    """The text behind an apostrophe where it could be taken for a formula: a cell of CSV has nothing else to say that
    it is text (OWASP, CSV injection)."""
    return f"'{text}" if is_formula(text) else text


def csv_row(cells: Sequence[Cell]) -> str:
    """One line of CSV (RFC 4180). Numbers are written plainly, with a point and no thousands."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow([_plain(cell) for cell in cells])
    return written.getvalue()


def csv_chunks(sheet: Sheet) -> Iterator[bytes]:
    """The table as CSV, in pieces; the first begins with the mark by which Excel knows UTF-8."""
    lines = [BYTE_ORDER_MARK, csv_row([column.title for column in sheet.columns])]
    for row in sheet.rows:
        lines.append(csv_row(row))
        if len(lines) >= _CHUNK:
            yield "".join(lines).encode()
            lines = []
    yield "".join(lines).encode()


def disposition(name: str, kind: FileKind) -> str:
    """The header `Content-Disposition` of a file that is kept under `name`, in any script (RFC 6266, RFC 8187)."""
    kept = "".join("-" if letter in '\\/:*?"<>|' or ord(letter) < 32 else letter for letter in name).strip(" .-") or "-"
    plain = "".join(letter for letter in kept if letter.isascii() and letter not in "'%;").strip(" -") or "servaan"
    return f"attachment; filename=\"{plain}.{kind}\"; filename*=UTF-8''{quote(f'{kept}.{kind}', safe='')}"


def _plain(cell: Cell) -> str:
    if cell is None:
        return ""
    return disarmed(cell) if isinstance(cell, str) else format(cell, "f") if isinstance(cell, Decimal) else str(cell)
