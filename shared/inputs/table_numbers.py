"""Table numbers in a form that events may carry."""

import re
from functools import lru_cache

from shared.persian.text import latin_digits

_TABLE = re.compile(r"(?:میز|table|tbl)?[ -]?([A-Za-z\u0622-\u06cc]?)[ -]?([0-9]{1,3})([A-Za-z]?)", re.IGNORECASE)


def table_code(text: str | None) -> str | None:
    """A table's number as events may carry it: digits with one letter at most. A table with a name has none there."""
    return _table_code(text) if text else None


@lru_cache(maxsize=8192)
def _table_code(text: str) -> str | None:
    found = _TABLE.fullmatch(latin_digits(text).strip())
    return "".join(part or "" for part in found.groups()) if found else None
