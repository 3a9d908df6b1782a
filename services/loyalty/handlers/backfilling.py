"""What was on bills, of those that came before it was kept: said again by the events that told of them."""

from collections.abc import Sequence

from services.loyalty.rules.bill_facts import pack
from services.loyalty.store import accounts, bill_facts, programs
from shared.clock import now
from shared.database.db import Connection
from shared.events.base import Event
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded

KINDS = (VisitRecorded, VisitClaimed, VisitCorrected)
# So many bills a transaction: their guests are locked as long.
AT_ONCE = 1_000


async def fill(conn: Connection, events: Sequence[Event]) -> int:
    """Keeps what is on these bills, as far as they are here and stand as the events say. Returns how many had other
    facts or none; their cafes are counted anew where rules read them."""
    told = [
        (each.cafe_id, each.customer_id, each.visit_id, getattr(each, "corrected_at", None), pack(each))
        for each in events
        if isinstance(each, KINDS) and each.customer_id is not None
    ]
    if not told:
        return 0
    await accounts.lock_existing(conn, sorted({(cafe_id, guest) for cafe_id, guest, *_ in told}))
    changed = await bill_facts.fill(conn, told)
    if cafes := await bill_facts.cafes_with_rules(conn, sorted(set(changed))):
        await programs.ask_recount(conn, cafes, now())
    return len(changed)
