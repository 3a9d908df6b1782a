"""Several statements that write, in one round trip: on a busy machine each round trip waits for its turn."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from shared.database.db import Connection

_PARAMETER = re.compile(r"\$(\d+)")
_WITH = "WITH "


class Write(NamedTuple):
    """An INSERT, UPDATE or DELETE and the values of its parameters, `$1` first."""

    sql: str
    args: Sequence[Any]


async def write(conn: Connection, *writes: Write | None) -> None:
    """Sends the writes that are not None as one statement.

    Each sees the tables as they were before, so no two may write the same row, and none sees what another wrote.
    References between them are checked when all are done.

    Raises ValueError when more than one of them has common table expressions of its own.
    """
    wanted = [each for each in writes if each is not None]
    if wanted:
        # What brings its own expressions comes last, where they can be told together with the others.
        wanted.sort(key=lambda each: _begins_with(each.sql))
        sql = _joined(tuple((each.sql, len(each.args)) for each in wanted))
        await conn.execute(sql, *[value for each in wanted for value in each.args])


@lru_cache(maxsize=256)
def _joined(statements: tuple[tuple[str, int], ...]) -> str:
    if sum(_begins_with(sql) for sql, _ in statements) > 1:
        raise ValueError("only one of the statements may begin with WITH")
    numbered, before = [], 0
    for sql, count in statements:
        numbered.append(_PARAMETER.sub(lambda found, before=before: f"${int(found[1]) + before}", sql.strip()))  # type: ignore[misc]
        before += count
    *others, last = numbered
    if not others:
        return last
    expressions = [f"w{place} AS (\n{sql}\n)" for place, sql in enumerate(others)]
    if _begins_with(last):
        return _WITH + ",\n".join([*expressions, last.removeprefix(_WITH)])
    return _WITH + ",\n".join(expressions) + "\n" + last


def _begins_with(sql: str) -> bool:
    return sql.lstrip().startswith(_WITH)
