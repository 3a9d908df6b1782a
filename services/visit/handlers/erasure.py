"""What is left of a guest who was erased: amounts, days and numbers, and no word."""

from collections.abc import Collection, Sequence

from services.visit.handlers.tills import TOPIC, guests_named
from services.visit.models.values import GuestKey
from services.visit.store import guests
from shared.clock import now
from shared.database.db import Connection, Pool
from shared.jobs.by_cafe import ByCafe
from shared.messaging import parked
from shared.security.auth import load_till_keys
from shared.security.crypto import Keys

# Records of an unknown key are looked through at each erasure, so many of them.
MOST_UNREADABLE = 2000
_late = ByCafe("visit", "visit.forget_guests")


async def forget_late(pool: Pool) -> int:
    """Job: goes through erasures once more. A bill that was being written at that moment did not know of it."""
    return await _late.run(pool, lambda conn, without: guests.unchecked(conn, now(), without), _check)


async def _check(conn: Connection, erasures: Sequence[guests.Erasure]) -> int:
    await guests.check(conn, erasures)
    return len(erasures)


async def forget(conn: Connection, erasures: Sequence[guests.Erasure], *, keys: Keys) -> None:
    """Empties what people wrote on the bills of these guests, and what of theirs could not be read."""
    await guests.erase(conn, erasures)
    await parked.forget(conn, [customer_id for _, customer_id, _ in erasures])
    await _forget_unreadable(conn, {(cafe_id, customer_id) for cafe_id, customer_id, _ in erasures}, keys)


async def _forget_unreadable(conn: Connection, guests: Collection[GuestKey], keys: Keys) -> None:
    """Empties records that could not be taken in and name one of these guests, though nobody knew whose they were."""
    cafes = {cafe_id for cafe_id, _ in guests}
    waiting = await parked.of_whom(conn, TOPIC, keys, MOST_UNREADABLE)
    told = {row_id: {name: str(value, "utf-8", "replace") for name, value in pairs} for row_id, pairs, _ in waiting}
    known = await load_till_keys(conn, keys, [each["pos_key_id"] for each in told.values() if each.get("pos_key_id")])
    found = []
    for row_id, _, body in waiting:
        key = known.get(told[row_id].get("pos_key_id", ""))
        own = cafes & {key.till.cafe_id} if key else cafes
        if any((cafe_id, guest) in guests for cafe_id in own for guest in guests_named(body, cafe_id, keys)):
            found.append(row_id)
    await parked.empty(conn, found)
