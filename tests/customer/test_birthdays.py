"""Birthdays are told when the cafe's day begins, by its calendar, once a year."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from services.customer.handlers import birthdays
from services.customer.store import birthdays as turns
from shared.database.db import Pool, transaction
from shared.events.customer import BirthdayReached
from shared.persian.calendar import Calendar, year_number
from tests.customer.given import CAFE, OTHER_CAFE, emitted, guest_of, guests, learned

DAY = timedelta(days=1)
PHONES = [f"+98912345670{number}" for number in range(7)]
# 28 Esfand 1404, at half past two in the night of Tehran. The year is no leap year: 29 Esfand is its last day.
NIGHT = datetime(2026, 3, 18, 23, 0, tzinfo=UTC)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch):
    def _at(moment: datetime) -> None:
        monkeypatch.setattr(birthdays, "now", lambda: moment)

    _at(NIGHT)
    return _at


async def born(pool: Pool, phone: str, day: date) -> None:
    await guests(pool, learned(phone))
    await pool.execute("UPDATE customers SET birthday = $2 WHERE id = $1", guest_of(phone).customer_id, day)


async def begin(pool: Pool, day: date, calendar: Calendar = "jalali") -> None:
    await pool.execute("UPDATE birthday_turns SET day = $1, due_at = now() - interval '900 days'", day)
    await pool.execute("UPDATE cafes SET calendar = $1", calendar)


async def told(pool: Pool) -> list[BirthdayReached]:
    """Those that were told since it was asked last."""
    return [each for each in await emitted(pool) if isinstance(each, BirthdayReached)]


def ids(events: list[BirthdayReached]) -> list[tuple[UUID, int]]:
    return [(each.customer_id, each.year) for each in events]


async def run_all(pool: Pool) -> None:
    for _ in range(50):
        if not await birthdays.tell(pool):
            return
    raise AssertionError("it never ends")


async def test_birthday_is_told_when_the_day_begins_where_the_cafe_is(pool: Pool, at) -> None:
    await born(pool, PHONES[0], date(1990, 3, 19))
    await born(pool, PHONES[1], date(1990, 3, 20))
    await begin(pool, date(2026, 3, 19))
    await run_all(pool)
    # 19 March 1990 was 28 Esfand 1368, as today is.
    (event,) = await told(pool)
    assert ids([event]) == [(guest_of(PHONES[0]).customer_id, 1404)]
    assert event.occurred_at == datetime(2026, 3, 18, 20, 30, tzinfo=UTC)
    await run_all(pool)
    assert await told(pool) == []
    at(NIGHT + DAY)
    await run_all(pool)
    assert ids(await told(pool)) == [(guest_of(PHONES[1]).customer_id, 1404)]


async def test_leap_days_are_kept_on_the_last_day_of_the_month(pool: Pool, at) -> None:
    leap = date(2025, 3, 20)
    assert year_number(leap, "jalali") == 1403
    await born(pool, PHONES[0], leap)
    await born(pool, PHONES[1], date(2004, 2, 29))
    at(NIGHT + DAY)
    await begin(pool, date(2026, 3, 20))
    await run_all(pool)
    assert ids(await told(pool)) == [(guest_of(PHONES[0]).customer_id, 1404)]
    at(datetime(2026, 2, 28, 12, tzinfo=UTC))
    await begin(pool, date(2026, 2, 28), "gregorian")
    await run_all(pool)
    assert ids(await told(pool)) == [(guest_of(PHONES[1]).customer_id, 2026)]


async def test_days_that_were_missed_are_told_in_turn_but_not_old_ones(pool: Pool, at) -> None:
    await born(pool, PHONES[0], date(1990, 3, 17))
    await born(pool, PHONES[1], date(1990, 3, 1))
    await begin(pool, date(2026, 2, 20))
    await run_all(pool)
    assert ids(await told(pool)) == [(guest_of(PHONES[0]).customer_id, 1404)]
    assert await pool.fetchval("SELECT day FROM birthday_turns WHERE cafe_id = $1", CAFE) == date(2026, 3, 20)


async def test_day_with_more_guests_than_are_told_at_once_is_told_to_its_end(
    pool: Pool, at, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(birthdays, "GUESTS_AT_ONCE", 2)
    for phone in PHONES:
        await born(pool, phone, date(1990, 3, 19))
    await begin(pool, date(2026, 3, 19))
    await asyncio.gather(*(run_all(pool) for _ in range(4)))
    found = await told(pool)
    assert sorted(guest for guest, _ in ids(found)) == sorted(guest_of(phone).customer_id for phone in PHONES)
    assert len({each.event_id for each in found}) == len(PHONES)


async def test_date_that_is_moved_within_a_year_is_told_under_the_same_id(pool: Pool, at) -> None:
    await born(pool, PHONES[0], date(1990, 3, 19))
    await begin(pool, date(2026, 3, 19))
    await run_all(pool)
    await pool.execute("UPDATE customers SET birthday = $1", date(1990, 3, 20))
    at(NIGHT + DAY)
    await run_all(pool)
    events = await told(pool)
    assert len(events) == 2
    assert len({each.event_id for each in events}) == 1


async def test_who_is_erased_or_blocked_is_not_told(pool: Pool, at) -> None:
    await born(pool, PHONES[0], date(1990, 3, 19))
    await pool.execute("UPDATE customers SET status = 'blocked'")
    await begin(pool, date(2026, 3, 19))
    await run_all(pool)
    assert await told(pool) == []


async def test_another_time_zone_is_looked_at_at_once(pool: Pool, at) -> None:
    await begin(pool, date(2026, 3, 19))
    await run_all(pool)
    await pool.execute("UPDATE cafes SET time_zone = 'Asia/Tokyo' WHERE cafe_id = $1", CAFE)
    async with transaction(pool) as conn:
        due = await turns.list_due(conn, datetime.now(UTC), [OTHER_CAFE], 9)
    assert [turn.time_zone for turn in due] == ["Asia/Tokyo"]
