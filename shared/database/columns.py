"""Rows as columns, which is how a statement takes many at once (`unnest`)."""

from collections.abc import Collection
from operator import attrgetter, itemgetter
from typing import Any


def columns(rows: Collection[Any], *fields: str | int) -> tuple[list[Any], ...]:
    """A list for each field, in the order of the rows: `columns(moves, "guest.cafe_id", "reason")`; of tuples by index.

    Without rows there are as many empty lists; `zip` would give none.
    """
    return tuple(list(map(attrgetter(each) if isinstance(each, str) else itemgetter(each), rows)) for each in fields)
