"""Giving points without a bill: by what other services say, and by the passing of time."""

from collections.abc import Mapping, Sequence
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
) -> set[UUID]:
    """Posts what is `wanted` for guests whose accounts are locked, but for what was given before; the ids of what is
    new."""
    if not wanted:
        return set()
    added = await grants.insert(conn, wanted)
    by_guest: dict[GuestKey, list[Grant]] = {}
    for grant in wanted:
        if (grant.cafe_id, grant.grant_id) in added:
            by_guest.setdefault((grant.cafe_id, grant.customer_id), []).append(grant)
    owing = [guest for guest in by_guest if locked[guest].balance < 0]
    held: dict[GuestKey, dict[UUID, Lot]] = await ledger.load_lots(conn, owing, []) if owing else {}
    await save(
        conn,
        [
            rules.post(plans[guest[0]], locked[guest], held.get(guest, {}), own, dict(about.get(own[0].grant_id, {})))
            for guest, own in by_guest.items()
        ],
    )
    return {grant_id for _, grant_id in added}


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
