"""Temporary tables beside the live ones, in which a rebuild counts: made, compared row by row, and copied over rows
that differ.

They are temporary tables under the live tables' own names, so the statements of a store write to them unchanged, nobody
else sees them, and they are gone with their session, however it ends.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from shared.database.db import Connection

EXAMPLES = 5
OPTIONS = "SELECT reloptions FROM pg_class WHERE oid = $1::text::regclass"


@dataclass(frozen=True)
class Table:
    """A table that follows from events.

    Args:
        columns: what is compared and written beside the key.
        alike: for some columns, SQL over `{row}`: rows are also equal when this is. For what depends on the moment of
            writing.
        part: the rows themselves follow from something else, only these columns from events.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    alike: Mapping[str, str] = field(default_factory=dict)
    part: bool = False


@dataclass(frozen=True)
class Difference:
    """How one live table differs from what the events say: numbers of rows, and the keys of a few."""

    table: str
    missing: int
    extra: int
    different: int
    examples: Sequence[str]

    @property
    def rows(self) -> int:
        """How many rows differ in any way."""
        return self.missing + self.extra + self.different


async def make(conn: Connection, tables: Sequence[Table]) -> None:
    """Makes the empty shadows of the tables, for this session only. From now on their plain names mean the shadows."""
    for table in tables:
        live, key = f"public.{table.name}", ", ".join(table.key)
        if table.part:
            names = ", ".join((*table.key, *table.columns))
            await conn.execute(
                f"CREATE TEMPORARY TABLE {table.name} AS SELECT {names} FROM {live} WITH NO DATA"  # noqa: S608
            )
            await conn.execute(f"ALTER TABLE {table.name} ADD PRIMARY KEY ({key})")
            continue
        options = await conn.fetchval(OPTIONS, live)
        await conn.execute(
            f"CREATE TEMPORARY TABLE {table.name} ("
            f"LIKE {live} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED, PRIMARY KEY ({key}))"
            + (f" WITH ({', '.join(options)})" if options else "")
        )


async def analyze(conn: Connection, tables: Sequence[Table]) -> None:
    """Tells the planner what is in the shadows; nothing does so by itself."""
    for table in tables:
        await conn.execute(f"ANALYZE pg_temp.{table.name}")


async def hold(conn: Connection, tables: Sequence[Table]) -> None:
    """Locks the live tables against writing until the transaction ends; everybody may read."""
    names = ", ".join(f"public.{table.name}" for table in tables)
    await conn.execute(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE")


async def compare(conn: Connection, table: Table) -> Difference:
    """Notes the keys of the rows that differ, until the transaction ends, and counts them."""
    key = ", ".join(table.key)
    live_is_missing, shadow_is_missing = f"live.{table.key[0]} IS NULL", f"shadow.{table.key[0]} IS NULL"
    await conn.execute(f"""
        CREATE TEMPORARY TABLE {_differing(table)} ON COMMIT DROP AS
        SELECT {key},
               CASE WHEN {live_is_missing} THEN 'missing' WHEN {shadow_is_missing} THEN 'extra' ELSE 'different' END
                   AS how
        FROM public.{table.name} AS live
        {"" if table.part else "FULL"} JOIN pg_temp.{table.name} AS shadow USING ({key})
        WHERE {live_is_missing} OR {shadow_is_missing} OR {" OR ".join(_unequal(table))}
    """)  # noqa: S608
    rows = await conn.fetch(f"SELECT how, count(*) AS rows FROM {_differing(table)} GROUP BY how")  # noqa: S608
    counts = {row["how"]: row["rows"] for row in rows}
    some = await conn.fetch(f"SELECT how, {key} FROM {_differing(table)} LIMIT {EXAMPLES}") if rows else []  # noqa: S608
    examples = [" ".join(str(value) for value in row.values()) for row in some]
    return Difference(
        table.name, counts.get("missing", 0), counts.get("extra", 0), counts.get("different", 0), examples
    )


async def swap(conn: Connection, table: Table) -> None:
    """Makes the live rows equal to the shadow. Only rows that `compare` noted are written, so all else stays whole."""
    key, names = ", ".join(table.key), ", ".join(table.columns)
    noted = _differing(table)
    await conn.execute(f"ANALYZE {noted}")
    same = " AND ".join(f"live.{column} = noted.{column}" for column in table.key)
    await conn.execute(
        f"DELETE FROM public.{table.name} AS live USING {noted} AS noted WHERE noted.how = 'extra' AND {same}"  # noqa: S608
    )
    shadow = ", ".join(f"shadow.{column}" for column in table.columns)
    await conn.execute(f"""
        UPDATE public.{table.name} AS live SET ({names}) = ROW({shadow})
        FROM {noted} AS noted JOIN pg_temp.{table.name} AS shadow USING ({key})
        WHERE noted.how = 'different' AND {same}
    """)  # noqa: S608
    await conn.execute(f"""
        INSERT INTO public.{table.name} ({key}, {names})
        SELECT {key}, {shadow} FROM {noted} AS noted JOIN pg_temp.{table.name} AS shadow USING ({key})
        WHERE noted.how = 'missing' ORDER BY {key}
    """)  # noqa: S608


async def cafes(conn: Connection, tables: Sequence[Table]) -> list[UUID]:
    """The cafes of all rows that `compare` noted."""
    noted = " UNION ".join(f"SELECT cafe_id FROM {_differing(table)}" for table in tables)  # noqa: S608
    return [row["cafe_id"] for row in await conn.fetch(noted)] if tables else []


def _differing(table: Table) -> str:
    return f"pg_temp.{table.name}_differs"


def _unequal(table: Table) -> list[str]:
    tests = []
    for column in table.columns:
        test = f"live.{column} IS DISTINCT FROM shadow.{column}"
        if column in table.alike:
            live, shadow = (table.alike[column].format(row=row) for row in ("live", "shadow"))
            test = f"({test} AND {live} IS DISTINCT FROM {shadow})"
        tests.append(test)
    return tests
