"""The SQL twins of the Persian kit answer as Python does, because they are made from the same tables."""

import json
from pathlib import Path

from shared.persian import phone, text
from tests.support import Databases

CASES = Path(__file__).parent / "cases"
COMMON = Path(__file__).parents[2] / "sql" / "common"


def test_newest_migration_holds_the_functions_made_from_the_tables() -> None:
    # Whoever changes a table in Python adds a migration with the function's new text.
    for made, name in ((text.sql_functions(), "crm.search_key"), (phone.sql_function(), "crm.canonical_phone")):
        defining = [path for path in sorted(COMMON.glob("*.sql")) if f"FUNCTION {name}(" in path.read_text()]
        assert made in defining[-1].read_text().replace("CREATE OR REPLACE FUNCTION", "CREATE FUNCTION")


async def test_sql_search_key_agrees_on_every_case(database: Databases) -> None:
    pool = await database("identity")
    cases = json.loads((CASES / "texts.json").read_text())["search_key"]
    rows = await pool.fetch(
        "SELECT crm.search_key(t) AS key, crm.name_key(t) AS name FROM unnest($1::text[]) AS t",
        [raw for raw, _ in cases],
    )
    assert [row["key"] for row in rows] == [expected for _, expected in cases]
    assert [row["name"] for row in rows] == [text.name_key(raw) for raw, _ in cases]


async def test_sql_canonical_phone_agrees_on_iranian_numbers_and_judges_no_others(database: Databases) -> None:
    pool = await database("identity")
    cases = json.loads((CASES / "phones.json").read_text())
    expected = (
        dict(cases["same"]) | dict.fromkeys([raw for raw, _ in cases["foreign"]]) | dict.fromkeys(cases["invalid"])
    )
    rows = await pool.fetch("SELECT t, crm.canonical_phone(t) AS phone FROM unnest($1::text[]) AS t", list(expected))
    assert {row["t"]: row["phone"] for row in rows} == expected
