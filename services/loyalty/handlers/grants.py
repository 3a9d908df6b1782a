"""Giving points without a bill: by what other services say, and by the passing of time."""

from collections.abc import Mapping, Sequence, Set
from typing import Any
from uuid import UUID, uuid5

from services.loyalty.handlers.guests import plans_of, save
from services.loyalty.models.accounts import Account, GuestKey, Lot, Plan
from services.loyalty.models.grants import Grant
from services.loyalty.rules import grants as rules
from services.loyalty.store import accounts, grants, ledger
from shared.clock import now
from shared.database.db import Connection, Pool
from shared.events.base import caused_by
from shared.events.customer import BirthdayReached
from shared.events.loyalty import PointsActivated
from shared.jobs.by_cafe import ByCafe
from shared.messaging import outbox

LOTS_AT_ONCE = 1000

_activating = ByCafe("loyalty", "loyalty.activate_points")
About = Mapping[UUID, Mapping[str, Any]]
"""By grant, the ids that tie its events to their cause."""


async def on_birthday_reached(conn: Connection, events: Sequence[BirthdayReached]) -> None:
    """Points for birthdays where the cafe's program gives them, once a year whatever is delivered twice or edited."""
    moment = now()
    plans = await plans_of(conn, {event.cafe_id for event in events})
    giving = [event for event in events if any(each.birthday for each in plans[event.cafe_id].programs)]
    if not giving:
        return
    locked = await accounts.lock(conn, sorted({(event.cafe_id, event.customer_id) for event in giving}))
    wanted, about = list[Grant](), dict[UUID, Mapping[str, Any]]()
    for event in giving:
        account = locked[event.cafe_id, event.customer_id]
        grant = rules.birthday(plans[event.cafe_id], account, event.year, event.occurred_at, moment)
        if grant is not None and grant.grant_id not in about:
            wanted.append(grant)
            about[grant.grant_id] = caused_by(event)
    await give(conn, plans, locked, wanted, about)


async def give(
    conn: Connection,
    plans: Mapping[UUID, Plan],
    locked: Mapping[GuestKey, Account],
    wanted: Sequence[Grant],
    about: About,
    taken: Sequence[Grant] = (),
) -> set[UUID]:
    """Posts what is `wanted` for guests whose accounts are locked, but for what was given before, and takes back what
    is `taken` of what was given; the ids of what is new."""
    if not (wanted or taken):
        return set()
    moment = now()
    added = await grants.insert(conn, wanted) if wanted else set()
    gone = await grants.take_back(conn, taken, moment) if taken else set()
    given = _by_guest(wanted, added)
    lost = _by_guest(taken, gone)
    needed = [guest for guest in {*given, *lost} if guest in lost or locked[guest].balance < 0]
    also = [grant_id for _, grant_id in gone]
    held: dict[GuestKey, dict[UUID, Lot]] = await ledger.load_lots(conn, needed, also) if needed else {}
    outcomes = []
    for guest in sorted({*given, *lost}):
        own = given.get(guest, [])
        ties = dict(about.get(own[0].grant_id, {})) if own else {}
        outcomes.append(
            rules.post(plans[guest[0]], locked[guest], held.get(guest, {}), own, ties, lost.get(guest, ()), moment)
        )
    await save(conn, outcomes)
    return {grant_id for _, grant_id in added}


def _by_guest(found: Sequence[Grant], kept: Set[tuple[UUID, UUID]]) -> dict[GuestKey, list[Grant]]:
    by_guest: dict[GuestKey, list[Grant]] = {}
    for grant in found:
        if (grant.cafe_id, grant.grant_id) in kept:
            by_guest.setdefault((grant.cafe_id, grant.customer_id), []).append(grant)
    return by_guest


async def activate(pool: Pool) -> int:
    """Tells of points that have begun to be spendable, of at most `LOTS_AT_ONCE` lots; how many."""
    moment = now()
    return await _activating.run(
        pool,
        lambda conn, aside: grants.list_activating(conn, moment, aside, LOTS_AT_ONCE),
        _activate,
    )


async def _activate(conn: Connection, keys: Sequence[tuple[UUID, UUID, UUID]]) -> int:
    # A guest's events keep their order by the lock of the account.
    await accounts.lock_existing(conn, sorted({(cafe_id, customer_id) for cafe_id, customer_id, _ in keys}))
    rows = await grants.activate(conn, keys, now())
    await outbox.emit(
        conn,
        [
            PointsActivated(
                event_id=uuid5(row["lot_id"], "points.activated"), cafe_id=row["cafe_id"],
                customer_id=row["customer_id"], occurred_at=row["available_at"], lot_id=row["lot_id"],
                points=row["remaining"],
            )
            for row in rows
            if row["remaining"] > 0
        ],
    )  # fmt: skip
    return len(rows)
