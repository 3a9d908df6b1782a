"""What was on bills and who was in which segment, from before it was kept: said again by the events that told of it."""

from collections.abc import Sequence

from services.loyalty.handlers import members
from services.loyalty.handlers.guests import plans_of
from services.loyalty.rules.bill_facts import pack
from services.loyalty.rules.stays import named_by
from services.loyalty.store import accounts, bill_facts, programs
from shared.clock import now
from shared.database.db import Connection
from shared.events.base import Event
from shared.events.customer import SegmentEntered, SegmentLeft
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded

BILLS = (VisitRecorded, VisitClaimed, VisitCorrected)
MOVES = (SegmentEntered, SegmentLeft)
# So many events a transaction: their guests are locked as long.
AT_ONCE = 1_000


async def fill(conn: Connection, events: Sequence[Event]) -> int:
    """Keeps what is on these bills, as far as they are here and stand as the events say, and these moves of segments.
    Returns how many bills had other facts or none, and moves were not known; the cafes are counted anew where rules
    read them."""
    return await _fill_bills(conn, events) + await _fill_moves(conn, events)


async def _fill_moves(conn: Connection, events: Sequence[Event]) -> int:
    moves = [each for each in events if isinstance(each, MOVES)]
    if not moves:
        return 0
    added = await members.keep(conn, moves)
    plans = await plans_of(conn, set(added))
    if named := sorted(cafe_id for cafe_id, plan in plans.items() if named_by(plan)):
        await programs.ask_recount(conn, named, now())
    return len(added)


async def _fill_bills(conn: Connection, events: Sequence[Event]) -> int:
    told = [
        (each.cafe_id, each.customer_id, each.visit_id, getattr(each, "corrected_at", None), pack(each))
        for each in events
        if isinstance(each, BILLS) and each.customer_id is not None
    ]
    if not told:
        return 0
    await accounts.lock_existing(conn, sorted({(cafe_id, guest) for cafe_id, guest, *_ in told}))
    changed = await bill_facts.fill(conn, told)
    if cafes := await bill_facts.cafes_with_rules(conn, sorted(set(changed))):
        await programs.ask_recount(conn, cafes, now())
    return len(changed)
