"""`crm rehearse` at a terminal: the check first, then the report; loud when the books are not what the rules say."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.database import db
from tests.loyalty import books
from tests.loyalty.examples import CAFE, NOON, guest_number, recorded

DRAFT: dict[str, Any] = {"rules": {"tier_period": "jalali_year", "earn_per_toman": 500, "toman_per_point": 10}}


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    path = tmp_path / "draft.json"
    path.write_text(json.dumps(DRAFT))
    return path


async def crm_rehearse(*words: str) -> tuple[int | None, list[str], str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.crm.main", "rehearse", *words,
        env={**os.environ, "CRM_HOME": "/nonexistent", "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complained = await process.communicate()
    return process.returncode, said.decode().splitlines(), complained.decode()


async def test_check_is_the_first_line_and_the_report_follows(pool: db.Pool, draft: Path) -> None:
    await books.take_in(pool, recorded(1, 300_000), recorded(2, 50_000, guest=guest_number(2)))
    code, said, complained = await crm_rehearse("--cafe", str(CAFE), "--rules", str(draft))
    assert code == 0, complained
    assert said[0] == (
        "check: counting by the rules in force reproduces the books: 0 of 2 visits differ, 0 of 0 redemptions"
    )
    text = "\n".join(said)
    assert "points issued: 350 now, 700 by the draft (+350)" in text
    assert "worth nothing (points have no price) now, 7,000 Toman by the draft" in text
    assert "bronze  silver       1" in text
    assert str(guest_number(2)) in text
    assert not await pool.fetchval("SELECT count(*) FROM rehearsals")


async def test_books_that_say_something_else_end_it_with_one(pool: db.Pool, draft: Path) -> None:
    await books.take_in(pool, recorded(1, 300_000))
    await pool.execute("UPDATE visit_earnings SET points = 299")
    code, said, _ = await crm_rehearse("--cafe", str(CAFE), "--rules", str(draft))
    assert code == 1
    assert "does not reproduce the books: 1 of 1 visits differ" in said[0]
    assert said[1].endswith("books 299, counted 300")


async def test_draft_that_could_not_be_published_is_refused(pool: db.Pool, tmp_path: Path) -> None:
    await books.take_in(pool, recorded(1, 300_000, NOON))
    path = tmp_path / "draft.json"
    for document in ('{"rules": {"tier_period": "sometimes"}}', '{"rules": {"tier_period": "gregorian_year"}}', "[]"):
        path.write_text(document)
        assert (await crm_rehearse("--cafe", str(CAFE), "--rules", str(path)))[0] == 2
