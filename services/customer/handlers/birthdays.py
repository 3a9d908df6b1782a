"""Telling, when a cafe's day begins, whose birthday it is."""

from collections.abc import Sequence
from datetime import timedelta
from operator import attrgetter
from uuid import UUID, uuid5

from msgspec.structs import replace

from services.customer.rules.birthdays import birth_dates
from services.customer.store import birthdays
from services.customer.store.birthdays import BirthdayTurn
from shared.clock import now
from shared.database.db import Connection, Pool
from shared.events.customer import BirthdayReached
from shared.jobs.by_cafe import ByCafe
from shared.messaging import outbox
from shared.persian.calendar import day_bounds, local_date, year_number

TELL = "customer.tell_birthdays"
CAFES_AT_ONCE = 200
GUESTS_AT_ONCE = 2000
# What was missed longer than this is over.
MOST_DAYS_LATE = 7
_DAY = timedelta(days=1)

_telling = ByCafe("customer", TELL)


async def tell(pool: Pool) -> int:
    """Tells the birthdays of the days that have begun, of at most `CAFES_AT_ONCE` cafes and a day of each; how many
    cafes had one."""
    moment = now()
    return await _telling.run(
        pool,
        lambda conn, aside: birthdays.list_due(conn, moment, aside, CAFES_AT_ONCE),
        _tell,
        cafe_of=attrgetter("cafe_id"),
    )


async def _tell(conn: Connection, turns: Sequence[BirthdayTurn]) -> int:
    moment = now()
    due, after = list[BirthdayTurn](), list[BirthdayTurn]()
    for turn in turns:
        today = local_date(moment, turn.time_zone)
        day = max(turn.day, today - MOST_DAYS_LATE * _DAY)
        current = turn if day == turn.day else replace(turn, day=day, through=None)
        (due if day <= today else after).append(current)
    found = await birthdays.born(
        conn, [(turn.cafe_id, list(birth_dates(turn.day, turn.calendar)), turn.through) for turn in due], GUESTS_AT_ONCE
    )
    turn_of = {turn.cafe_id: turn for turn in due}
    await outbox.emit(conn, [_reached(turn_of[cafe_id], customer_id) for cafe_id, customer_id in found])
    # The guests come in the order of their cafes: those before the last one are through with the day.
    last = found[-1] if len(found) == GUESTS_AT_ONCE else None
    for turn in due:
        if last is None or turn.cafe_id < last[0]:
            after.append(replace(turn, day=turn.day + _DAY, through=None))
        else:
            after.append(replace(turn, through=last[1] if turn.cafe_id == last[0] else turn.through))
    await birthdays.go_on(conn, [(turn, day_bounds(turn.day, turn.time_zone)[0]) for turn in after])
    return len(turns)


def _reached(turn: BirthdayTurn, customer_id: UUID) -> BirthdayReached:
    year = year_number(turn.day, turn.calendar)
    return BirthdayReached(
        event_id=uuid5(customer_id, f"birthday.reached {year}"),
        cafe_id=turn.cafe_id,
        customer_id=customer_id,
        occurred_at=day_bounds(turn.day, turn.time_zone)[0],
        year=year,
    )
