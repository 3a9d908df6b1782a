"""The clock of a development system runs ahead, in all processes and in SQL; that of any other does not."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.crm import processes
from services.loyalty.handlers import accounts
from shared import clock
from shared.database import db
from shared.settings import Settings, settings
from tests.loyalty import books
from tests.loyalty.examples import CAFE, GUEST, recorded
from tests.support import SECRET, Databases

YEAR = timedelta(days=400)


@pytest.fixture
def moved() -> Iterator[None]:
    clock.move(YEAR)
    yield
    clock.move(timedelta())


@pytest.mark.parametrize(("text", "ahead"), [("400d", YEAR), ("36h", timedelta(hours=36)), ("0d", timedelta())])
def test_offset_is_written_in_days_or_hours(text: str, ahead: timedelta) -> None:
    assert Settings(secret=SECRET, development=True, clock_offset=text).clock_offset == ahead


@pytest.mark.parametrize("text", ["400", "-1d", "1.5d", "d", "4w", "", "١d", "100000d"])
def test_offset_of_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="400d or 36h"):
        Settings(secret=SECRET, development=True, clock_offset=text)


def test_clock_of_a_real_system_is_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="for development alone"):
        Settings(secret=SECRET, clock_offset="1d")
    assert "CRM_CLOCK_OFFSET" not in Path("docker-compose.yml").read_text()
    assert "CRM_DEVELOPMENT" not in Path("docker-compose.yml").read_text()
    assert processes.addresses(9000)["CRM_DEVELOPMENT"] == "true"


def test_settings_of_a_process_move_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SECRET", SECRET), ("DEVELOPMENT", "true"), ("CLOCK_OFFSET", "400d")):
        monkeypatch.setenv(f"CRM_{name}", value)
    settings.cache_clear()
    try:
        settings()
        assert clock.now() - clock.unmoved() > YEAR - timedelta(seconds=5)
    finally:
        settings.cache_clear()
        clock.move(timedelta())


async def test_sql_that_asks_for_the_day_follows(database: Databases, moved: None) -> None:
    pool = await database("loyalty")
    assert await pool.fetchval("SELECT crm.present() - now()") == YEAR
    await books.take_in(pool, recorded(1, 40_000, clock.now() - YEAR))
    async with db.transaction(pool) as conn:
        shown = await accounts.show(conn, CAFE, GUEST)
    assert (shown.total_visits, shown.visits_this_month, shown.current_points) == (1, 0, 40)


async def test_sql_stays_where_it_is_otherwise(database: Databases) -> None:
    pool = await database("loyalty")
    assert await pool.fetchval("SELECT crm.present() - now()") == timedelta()
