"""Why a guest is in these segments and not in others. Moves are kept; all else is asked anew of the guest's row."""

from datetime import datetime
from uuid import UUID

from services.customer.models.values import GuestKey
from services.customer.rules import explaining
from services.customer.store import explaining as store
from shared.database.db import Connection
from shared.inputs.explaining import ALWAYS, MOST_EXPLAINED, NEVER, ExplainedStep, Explanation, next_before
from shared.persian.money import Unit
from shared.security.access import unit_of


async def explain_visit(
    conn: Connection, cafe_id: UUID, visit_id: UUID, customer_id: UUID | None, *, now: datetime
) -> Explanation:
    """The moves that a visit of the guest caused, and where the guest stands now."""
    unit = await unit_of(conn, cafe_id)
    if customer_id is None:
        return Explanation.of([], unit)
    guest = GuestKey(cafe_id, customer_id)
    moves = await store.moves(conn, guest, ALWAYS, NEVER, visit_id, MOST_EXPLAINED)
    return Explanation.of([*map(explaining.move_step, moves), *await _standing(conn, guest, unit, now)], unit)


async def explain_guest(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime, *, now: datetime
) -> Explanation:
    """The guest's moves between two moments, and without `before` where the guest stands now."""
    unit, guest = await unit_of(conn, cafe_id), GuestKey(cafe_id, customer_id)
    moves = await store.moves(conn, guest, since, before, None, MOST_EXPLAINED + 1)
    cut = next_before([each.at for each in moves])
    steps = [explaining.move_step(each) for each in moves if cut is None or each.at >= cut]
    if before == NEVER:
        steps += await _standing(conn, guest, unit, now)
    return Explanation.of(steps, unit, cut)


async def _standing(conn: Connection, guest: GuestKey, unit: Unit, now: datetime) -> list[ExplainedStep]:
    segments = await store.defined(conn, guest.cafe_id)
    asked = explaining.ask(segments, 3)
    attributes = {each.name: each.sql for each in asked.attributes}
    row = await store.see(conn, guest, asked.conditions.values(), attributes, now)
    if row is None:
        return []
    seen = explaining.seen(asked, row, now)
    return [explaining.segment_step(each, seen, unit, guest.customer_id) for each in segments]
