"""Telling guests that their points have come to what a reward costs."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.reached import Reached
from services.loyalty.rules.notices import reward_reached
from services.loyalty.store import club, reached
from shared.clock import now, unmoved
from shared.database.db import Connection, Pool, transaction
from shared.jobs.by_cafe import ByCafe
from shared.messaging import outbox
from shared.persian.calendar import local_date

REACHED_AT_ONCE = 1000
# As the club's figures: rows a little older than any transaction that might just be telling the server that it began.
_SETTLED = timedelta(seconds=2)
_WINDOW = timedelta(days=1)

_telling = ByCafe("loyalty", "loyalty.tell_rewards")


async def tell(pool: Pool) -> int:
    """Notes who has reached what since the last time, and tells it; how much it did."""
    async with transaction(pool) as conn:
        noted = await note(conn, unmoved() - _SETTLED)
    moment = now()
    told = await _telling.run(
        pool,
        lambda conn, aside: reached.waiting(conn, aside, REACHED_AT_ONCE),
        lambda conn, found: _tell(conn, found, moment),
        cafe_of=lambda each: each.cafe_id,
    )
    return noted + told


async def note(conn: Connection, moment: datetime) -> int:
    """Notes who came to the cost of a reward before `moment`, by a day's entries of the ledger at most. It writes into
    the queue alone, where nothing of a cafe's can fail."""
    since = await reached.seen_until(conn)
    until = min(await club.oldest_open(conn, moment), since + _WINDOW)
    noted = await reached.note(conn, since, until) if since < until else 0
    return max(noted, int(until == since + _WINDOW))


async def _tell(conn: Connection, found: Sequence[Reached], moment: datetime) -> int:
    plans = await plans_of(conn, {each.cafe_id for each in found})
    occasions = {}
    for each in await reached.take(conn, found):
        day = local_date(moment, plans[each.cafe_id].time_zone)
        occasions[each.cafe_id, each.customer_id, f"{each.reward_id}/{day}"] = each, day
    new = await reached.tell(conn, [(*key, day) for key, (_, day) in occasions.items()], moment)
    events = [reward_reached(each, key[2], moment) for key, (each, _) in occasions.items() if key in new]
    await outbox.emit(conn, events)
    return len(found)
