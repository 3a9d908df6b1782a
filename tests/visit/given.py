"""Bills, cafes and events for the tests of the visit service."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from services.visit.handlers.ingest import record_visits
from services.visit.handlers.tills import command_of
from services.visit.models.values import BillCommand, BillOutcome, CorrectVisit, RecordVisit, VoidVisit
from shared.clock import new_id
from shared.database import db
from shared.database.db import Pool
from shared.events import pos, registry
from shared.events.base import Event
from shared.events.identity import AccessGranted, BranchChanged, CafeChanged
from shared.security.access import on_access_granted, on_cafe_changed
from shared.security.crypto import Keys
from tests.support import SECRET

KEYS = Keys.from_secret(SECRET)
CAFE = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
OTHER_CAFE = UUID("01890a5d-ac96-774b-bcce-b302099a8058")
STAFF = UUID("01890a5d-ac96-774b-bcce-b302099a8059")
PHONE = "09123456789"
NOON = datetime(2026, 3, 21, 12, 0, tzinfo=UTC)


def bill(**changes: Any) -> dict[str, Any]:
    """The body of a visit of 185,000 Toman by one guest at noon of 1 Farvardin 1405 (UTC)."""
    body = {
        "device_id": "till-1",
        "receipt_number": "14050101-1",
        "phone": PHONE,
        "occurred_at": NOON.isoformat(),
        "items": [
            {"name": "قهوه ترک", "quantity": 2, "amount": "120000"},
            {"name": "کیک", "quantity": 1, "amount": "65000"},
        ],
        "total": "185000",
        "currency_unit": "IRT",
        "payment_method": "card",
    } | changes
    return {name: value for name, value in body.items() if value is not ...}


def record(cafe_id: UUID = CAFE, event_id: UUID | None = None, **changes: Any) -> RecordVisit:
    """A command for that bill."""
    command = _command(pos.PosVisit, cafe_id, event_id, bill(**changes))
    assert isinstance(command, RecordVisit)
    return command


def correction(minutes: int = 1, cafe_id: UUID = CAFE, **changes: Any) -> CorrectVisit:
    """A correction made so many minutes after noon."""
    at = (NOON + timedelta(minutes=minutes)).isoformat()
    command = _command(pos.PosCorrection, cafe_id, None, bill(corrected_at=at, **changes))
    assert isinstance(command, CorrectVisit)
    return command


def void(cafe_id: UUID = CAFE, **changes: Any) -> VoidVisit:
    """A void of that bill, an hour after it."""
    body = {
        "device_id": "till-1",
        "receipt_number": "14050101-1",
        "voided_at": (NOON + timedelta(hours=1)).isoformat(),
        "reason": "اشتباه صندوق",
    }
    command = _command(pos.PosVoid, cafe_id, None, body | changes)
    assert isinstance(command, VoidVisit)
    return command


def _command(
    model: type[pos.PosVisit] | type[pos.PosVoid], cafe_id: UUID, event_id: UUID | None, body: dict[str, Any]
) -> BillCommand:
    read = pos.read(model, msgspec.json.encode(body))
    return command_of(cafe_id, read, event_id=event_id, correlation_id=new_id())


async def take(pool: Pool, *commands: BillCommand) -> list[BillOutcome]:
    """Takes the commands in as one batch of the worker."""
    async with db.transaction(pool) as conn:
        return await record_visits(conn, commands, keys=KEYS)


async def emitted(pool: Pool, *kinds: type[Event]) -> list[Any]:
    """The events in the outbox, oldest first; only of these classes when any are named."""
    rows = await pool.fetch("SELECT type, payload FROM crm.outbox ORDER BY id")
    events = [registry.decode(row["type"], row["payload"]) for row in rows]
    return [event for event in events if not kinds or isinstance(event, kinds)]


async def visit_row(pool: Pool, receipt_number: str = "14050101-1") -> dict[str, Any]:
    """The only visit with that number."""
    [row] = await pool.fetch("SELECT * FROM customer_visits WHERE receipt_number = $1", receipt_number)
    return dict(row)


async def react(pool: Pool, handler: Any, *events: Event, **arguments: Any) -> None:
    """Gives the events to a reaction as one batch."""
    async with db.transaction(pool) as conn:
        await handler(conn, events, **arguments)


async def known_cafe(
    pool: Pool, cafe_id: UUID = CAFE, *, staff: UUID = STAFF, role: Any = "manager", **facts: Any
) -> None:
    """A cafe in Tehran that the service knows, with one person."""
    cafe: dict[str, Any] = {
        "version": 1, "name": "کافه", "time_zone": "Asia/Tehran", "calendar": "jalali", "currency_unit": "IRT",
    }  # fmt: skip
    await react(pool, on_cafe_changed, CafeChanged(cafe_id=cafe_id, occurred_at=NOON, **cafe | facts))
    access = AccessGranted(cafe_id=cafe_id, occurred_at=NOON, version=1, user_id=staff, role=role)
    await react(pool, on_access_granted, access)


def branch(code: str = "VANAK", cafe_id: UUID = CAFE, **facts: Any) -> BranchChanged:
    """A branch of the cafe."""
    known: dict[str, Any] = {"version": 1, "branch_id": new_id(), "name": "ونک"}
    return BranchChanged(cafe_id=cafe_id, occurred_at=NOON, code=code, **known | facts)


def statuses(outcomes: Sequence[BillOutcome]) -> list[str]:
    """How each command ended, refusals by their code."""
    return [outcome.refusal.code if outcome.refusal else outcome.status for outcome in outcomes]
