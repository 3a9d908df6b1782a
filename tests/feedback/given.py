"""Events and rows that the tests of this service begin with."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.feedback.handlers import reactions
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.events.base import Event
from shared.events.identity import AccessGranted, CafeChanged
from shared.events.registry import BY_TYPE, decode
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.security import access
from shared.security.crypto import Keys
from shared.security.ids import feedback_token
from tests.support import SECRET

KEYS = Keys.from_secret(SECRET)
CAFE = UUID("00000000-0000-7000-8000-0000000000ca")
OTHER_CAFE = UUID("00000000-0000-7000-8000-0000000000cb")
STAFF = UUID("00000000-0000-7000-8000-0000000000aa")
# 23:00 in Tehran on 3 Azar; still the same day in UTC, and the next day a little later.
EVENING = datetime(2026, 11, 24, 19, 30, tzinfo=UTC)


def recorded(**changes: Any) -> VisitRecorded:
    """A visit of a known guest, for 350,000 Toman at table 4."""
    return VisitRecorded(
        **{
            "cafe_id": CAFE,
            "occurred_at": EVENING,
            "visit_id": new_id(),
            "customer_id": new_id(),
            "device_id": "till-1",
            "receipt_number": "1",
            "total_amount": Decimal("350000"),
            "discount_amount": Decimal(0),
            "final_amount": Decimal("350000"),
            "currency_unit": "IRT",
            "table_number": "4",
            **changes,
        }
    )


def corrected(visit: VisitRecorded, **changes: Any) -> VisitCorrected:
    """The same visit, corrected an hour later."""
    return VisitCorrected(
        **{
            **_same(visit),
            "total_amount": Decimal("300000"),
            "discount_amount": Decimal(0),
            "final_amount": Decimal("300000"),
            "previous_final_amount": visit.final_amount,
            "previous_currency_unit": visit.currency_unit,
            "previous_occurred_at": visit.occurred_at,
            "first_visit_at": visit.occurred_at,
            "last_visit_at": visit.occurred_at,
            "corrected_at": visit.occurred_at + timedelta(hours=1),
            **changes,
        }
    )


def claimed(visit: VisitRecorded, guest: UUID) -> VisitClaimed:
    """The same visit, a day later the guest's."""
    fields = {name: getattr(visit, name) for name in visit.__struct_fields__}
    at = visit.occurred_at + timedelta(days=1)
    return VisitClaimed(**fields | {"event_id": new_id(), "customer_id": guest, "claimed_at": at})


def voided(visit: VisitRecorded) -> VisitVoided:
    """The same visit, voided an hour later."""
    return VisitVoided(**_same(visit), voided_at=visit.occurred_at + timedelta(hours=1))


def _same(visit: VisitRecorded) -> dict[str, Any]:
    names = ("cafe_id", "occurred_at", "visit_id", "customer_id", "device_id", "receipt_number", "final_amount")
    return {name: getattr(visit, name) for name in (*names, "currency_unit")}


def token_of(visit: VisitRecorded) -> str:
    """What the guest's link ends with."""
    return feedback_token(KEYS, visit.cafe_id, visit.visit_id)


async def cafe_with_staff(pool: Pool, cafe_id: UUID = CAFE, user_id: UUID = STAFF, **changes: Any) -> None:
    """A cafe that this service has heard of, and a person who works there."""
    about = {"name": "کافه سروان", "time_zone": "Asia/Tehran", "calendar": "jalali", "currency_unit": "IRT"} | changes
    async with transaction(pool) as conn:
        await access.on_cafe_changed(conn, [CafeChanged(cafe_id=cafe_id, occurred_at=now(), version=1, **about)])
        granted = AccessGranted(cafe_id=cafe_id, occurred_at=now(), version=1, user_id=user_id, role="staff")
        await access.on_access_granted(conn, [granted])


async def visits(pool: Pool, *events: VisitRecorded) -> None:
    """Visits that this service has heard of."""
    async with transaction(pool) as conn:
        await reactions.on_visit_recorded(conn, events, keys=KEYS)


async def emitted(pool: Pool) -> list[Event]:
    """The events waiting in the outbox, in order."""
    rows = await pool.fetch("SELECT type, payload FROM crm.outbox ORDER BY id")
    assert all(row["type"] in BY_TYPE for row in rows)
    return [decode(row["type"], row["payload"]) for row in rows]
