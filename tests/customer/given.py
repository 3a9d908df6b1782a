"""Events and rows that the tests of this service begin with."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.customer.handlers import evaluating, segments
from services.customer.handlers.activity import on_visit_recorded
from services.customer.handlers.periodic import recalculate
from services.customer.handlers.registration import on_contact_learned
from services.customer.models.http import CreateSegment
from services.customer.models.values import GuestKey
from services.customer.store import activity
from shared.clock import new_id
from shared.database.db import Pool, transaction
from shared.events.base import Event
from shared.events.identity import AccessGranted, CafeChanged, Role
from shared.events.registry import decode
from shared.events.visit import ContactLearned, VisitCorrected, VisitRecorded, VisitVoided
from shared.security import access
from shared.security.crypto import Keys, seal
from shared.security.ids import customer_id
from tests.support import SECRET

KEYS = Keys.from_secret(SECRET)
CAFE = UUID("00000000-0000-7000-8000-0000000000ca")
OTHER_CAFE = UUID("00000000-0000-7000-8000-0000000000cb")
STAFF = UUID("00000000-0000-7000-8000-0000000000aa")
PHONE = "+989123456789"
NOON = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def guest_of(phone: str = PHONE, cafe_id: UUID = CAFE) -> GuestKey:
    """The guest with that number."""
    return GuestKey(cafe_id, customer_id(KEYS, cafe_id, phone))


def learned(phone: str = PHONE, cafe_id: UUID = CAFE, name: str | None = None, **changes: Any) -> ContactLearned:
    """What the visit service says of a number it had not seen."""
    guest = guest_of(phone, cafe_id)
    place = {"table": "visit.contacts", "row": guest.customer_id}
    return ContactLearned(
        **{
            "cafe_id": cafe_id,
            "customer_id": guest.customer_id,
            "occurred_at": NOON,
            "phone_sealed": seal(KEYS, phone, column="phone", **place),
            "name_sealed": None if name is None else seal(KEYS, name, column="name", **place),
            **changes,
        }
    )


def recorded(
    guest: GuestKey | None = None, at: datetime = NOON, amount: str = "100000", **changes: Any
) -> VisitRecorded:
    """A visit; of the guest with the usual number unless told."""
    guest = guest or guest_of()
    return VisitRecorded(
        **{
            "cafe_id": guest.cafe_id,
            "customer_id": guest.customer_id,
            "occurred_at": at,
            "visit_id": new_id(),
            "device_id": "till-1",
            "receipt_number": "1",
            "total_amount": Decimal(amount),
            "discount_amount": Decimal(0),
            "final_amount": Decimal(amount),
            "currency_unit": "IRT",
            **changes,
        }
    )


def corrected(visit: VisitRecorded, **changes: Any) -> VisitCorrected:
    """The same visit, corrected an hour later; it is the guest's only one unless told."""
    at = changes.get("occurred_at", visit.occurred_at)
    return VisitCorrected(
        **{
            **_same(visit),
            "total_amount": visit.total_amount,
            "discount_amount": Decimal(0),
            "previous_final_amount": visit.final_amount,
            "previous_currency_unit": visit.currency_unit,
            "previous_occurred_at": visit.occurred_at,
            "first_visit_at": at,
            "last_visit_at": at,
            "corrected_at": visit.occurred_at + timedelta(hours=1),
            **changes,
        }
    )


def voided(visit: VisitRecorded, **changes: Any) -> VisitVoided:
    """The same visit, voided an hour later."""
    return VisitVoided(**{**_same(visit), "voided_at": visit.occurred_at + timedelta(hours=1), **changes})


def _same(visit: VisitRecorded) -> dict[str, Any]:
    names = ("cafe_id", "occurred_at", "visit_id", "customer_id", "device_id", "receipt_number", "final_amount")
    return {name: getattr(visit, name) for name in (*names, "currency_unit")}


def cafe_changed(cafe_id: UUID = CAFE, **changes: Any) -> CafeChanged:
    """What identity says of a new cafe."""
    about = {"name": "کافه سروان", "time_zone": "Asia/Tehran", "calendar": "jalali", "currency_unit": "IRT"}
    return CafeChanged(**{"cafe_id": cafe_id, "occurred_at": NOON, "version": 1, **about, **changes})


async def cafe(pool: Pool, *cafe_ids: UUID, now: datetime = NOON, **changes: Any) -> None:
    """Cafes that this service has heard of, with their system segments calculated."""
    async with transaction(pool) as conn:
        events = [cafe_changed(cafe_id, **changes) for cafe_id in cafe_ids or (CAFE,)]
        await segments.on_cafe_changed(conn, events, now=now)
        await conn.execute("DELETE FROM segment_recalculations")


async def staff(pool: Pool, cafe_id: UUID = CAFE, user_id: UUID = STAFF, role: Role = "manager") -> None:
    """A person who works in the cafe."""
    async with transaction(pool) as conn:
        granted = AccessGranted(cafe_id=cafe_id, occurred_at=NOON, version=1, user_id=user_id, role=role)
        await access.on_access_granted(conn, [granted])


async def guests(pool: Pool, *events: ContactLearned, now: datetime = NOON) -> None:
    """Guests that a till learned of."""
    async with transaction(pool) as conn:
        await on_contact_learned(conn, events or [learned()], keys=KEYS, now=now)


async def visits(pool: Pool, events: Sequence[VisitRecorded], now: datetime = NOON) -> None:
    """Visits that this service has heard of at `now`."""
    async with transaction(pool) as conn:
        await on_visit_recorded(conn, events, now=now)


async def time_passes(pool: Pool, now: datetime) -> int:
    """The job of the clock at `now`; returns how many guests it evaluated."""
    evaluated = 0
    while True:
        async with transaction(pool) as conn:
            some = await evaluating.reevaluate_due(conn, await activity.take_due(conn, now, [], 20), now=now)
        evaluated += some
        if not some:
            return evaluated


async def emitted(pool: Pool) -> list[Event]:
    """The events waiting in the outbox, in order, which is emptied."""
    rows = await pool.fetch("DELETE FROM crm.outbox WHERE payload IS NOT NULL RETURNING id, type, payload")
    return [decode(row["type"], row["payload"]) for row in sorted(rows, key=lambda row: row["id"])]


async def keys_of(pool: Pool, guest: GuestKey | None = None) -> set[str]:
    """The keys of the segments the guest is in, from the members table; bits and history must say the same."""
    guest = guest or guest_of()
    members = await pool.fetch(
        "SELECT s.segment_key, s.slot FROM segment_members m JOIN customer_segments s ON s.id = m.segment_id"
        " WHERE m.cafe_id = $1 AND m.customer_id = $2",
        *guest,
    )
    stays = await pool.fetch(
        "SELECT s.segment_key FROM segment_history h JOIN customer_segments s ON s.id = h.segment_id"
        " WHERE h.cafe_id = $1 AND h.customer_id = $2 AND h.left_at IS NULL",
        *guest,
    )
    mask = await pool.fetchval(
        "SELECT segment_mask FROM customer_activity WHERE cafe_id = $1 AND customer_id = $2", *guest
    )
    found = {row["segment_key"] for row in members}
    assert found == {row["segment_key"] for row in stays}
    assert sum(1 << row["slot"] for row in members) == (mask or 0)
    return found


async def segment_of(pool: Pool, guest: GuestKey | None = None) -> str:
    """The one segment shown on the guest."""
    found: str = await pool.fetchval(
        "SELECT segment::text FROM customers WHERE cafe_id = $1 AND id = $2", *(guest or guest_of())
    )
    return found


async def check_counts(pool: Pool) -> None:
    """Every segment's count is the number of its members."""
    wrong = await pool.fetch(
        "SELECT s.segment_key, s.customer_count, count(m.customer_id) FROM customer_segments s"
        " LEFT JOIN segment_members m ON m.cafe_id = s.cafe_id AND m.segment_id = s.id"
        " GROUP BY s.cafe_id, s.id, s.segment_key, s.customer_count HAVING s.customer_count <> count(m.customer_id)"
    )
    assert not wrong


async def add_segment(
    pool: Pool, criteria: dict[str, Any], key: str = "own", now: datetime = NOON, cafe_id: UUID = CAFE
) -> Any:
    """A segment of the cafe, waiting for its first calculation."""
    async with transaction(pool) as conn:
        command = CreateSegment(name="بخش ما", segment_key=key, criteria=criteria)
        return await segments.create_segment(conn, cafe_id, command, author=STAFF, now=now)


async def recalculated(pool: Pool) -> None:
    """Segments are right again after their definitions changed."""
    while await recalculate(pool):
        pass
