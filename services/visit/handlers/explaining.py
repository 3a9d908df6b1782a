"""How bills came, and whose they are."""

from datetime import datetime
from uuid import UUID

from services.visit.rules import explaining
from services.visit.store import explaining as store
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound
from shared.inputs.explaining import MOST_EXPLAINED, Explanation, next_before
from shared.security.access import unit_of


async def explain_visit(conn: Connection, cafe_id: UUID, visit_id: UUID) -> Explanation:
    """How one bill came to be what it is.

    Raises NotFound when the cafe has no such bill.
    """
    row = await store.of_visit(conn, cafe_id, visit_id)
    if row is None:
        raise NotFound("visit", "چنین بازدیدی")
    missing = await store.missing_numbers(conn, cafe_id, row["device_id"])
    unit = await unit_of(conn, cafe_id)
    steps = explaining.bill_steps(row, unit)
    return Explanation.of([*steps, explaining.sequence_step(row["device_id"], visit_id, missing, now())], unit)


async def explain_guest(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime
) -> Explanation:
    """A guest's bills between two moments."""
    rows = await store.of_guest(conn, cafe_id, customer_id, since, before, MOST_EXPLAINED + 1)
    cut = next_before([row["visit_date"] for row in rows])
    unit = await unit_of(conn, cafe_id)
    kept = [row for row in rows if cut is None or row["visit_date"] >= cut]
    return Explanation.of([step for row in kept for step in explaining.bill_steps(row, unit)], unit, cut)
