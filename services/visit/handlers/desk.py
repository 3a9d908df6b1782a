"""Visits that people enter and void by hand."""

from uuid import UUID

from services.visit.handlers.ingest import record_visits
from services.visit.handlers.tills import event_id_of
from services.visit.models import EnteredVisit, Outcome, RecordVisit, VoidVisit
from services.visit.store import receipts
from shared.clock import new_id, now
from shared.crypto import Keys
from shared.db import Connection, plan_by_key
from shared.errors import NotFound
from shared.events.pos import RESERVED_DEVICE


async def enter(
    conn: Connection,
    cafe_id: UUID,
    user_id: UUID,
    body: EnteredVisit,
    idempotency_key: str | None,
    correlation_id: UUID,
    *,
    keys: Keys,
) -> Outcome:
    """Takes in a bill that a person entered: the person is its device, and a repeated key is the same bill.

    Raises `Rejected` when the number already stands for another bill, or the branch is unknown.
    """
    own_id = event_id_of(cafe_id, idempotency_key) if idempotency_key else new_id()
    command = RecordVisit(
        cafe_id=cafe_id,
        device_id=f"{RESERVED_DEVICE}{user_id}",
        receipt_number=body.receipt_number or str(own_id),
        correlation_id=correlation_id,
        event_id=own_id,
        created_by=user_id,
        body=body,
    )
    return await _one(conn, command, keys)


async def void(
    conn: Connection, cafe_id: UUID, visit_id: UUID, reason: str, correlation_id: UUID, *, keys: Keys
) -> Outcome:
    """Voids a visit by its id.

    Raises `NotFound` when the cafe has no such visit, `Rejected` when it is archived.
    """
    receipt = await receipts.receipt_of(conn, cafe_id, visit_id)
    if receipt is None:
        raise NotFound("visit", "این بازدید")
    command = VoidVisit(
        cafe_id=cafe_id,
        device_id=receipt[0],
        receipt_number=receipt[1],
        correlation_id=correlation_id,
        voided_at=now(),
        reason=reason,
    )
    return await _one(conn, command, keys)


async def _one(conn: Connection, command: RecordVisit | VoidVisit, keys: Keys) -> Outcome:
    await plan_by_key(conn)
    [outcome] = await record_visits(conn, [command], keys=keys)
    if outcome.refusal:
        raise outcome.refusal
    return outcome
