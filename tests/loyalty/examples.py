"""Cafes, guests and visits for the tests of loyalty, and the published rule written a second time, naively."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from persiantools.jdatetime import JalaliDate

from services.loyalty.models.accounts import Plan, Visit, VisitState
from services.loyalty.models.programs import ProgramRules
from services.loyalty.rules import programs
from shared.events.base import CurrencyUnit
from shared.events.identity import CafeChanged
from shared.events.visit import VisitCorrected, VisitEvent, VisitRecorded, VisitVoided
from shared.persian.calendar import Calendar

TEHRAN = "Asia/Tehran"
CAFE = UUID("0190aaaa-0000-7000-8000-000000000001")
OTHER_CAFE = UUID("0190aaaa-0000-7000-8000-000000000002")
GUEST = UUID("0190bbbb-0000-8000-8000-000000000001")
NOON = datetime(2026, 5, 10, 8, 30, tzinfo=UTC)
"""Noon in Tehran, in Ordibehesht 1405."""


def guest_number(number: int) -> UUID:
    return uuid5(GUEST, str(number))


def visit_number(number: int) -> UUID:
    return uuid5(CAFE, str(number))


def plan_of(*versions: tuple[datetime, ProgramRules], calendar: Calendar = "jalali") -> Plan:
    """The default program, then the given ones."""
    given = [(1, programs.EVER, programs.default_rules(calendar)), *((i, *v) for i, v in enumerate(versions, 2))]
    return Plan(TEHRAN, calendar, tuple(programs.program(*each) for each in given))


def a_visit(number: int, at: datetime, toman: Decimal | int | str, state: VisitState = "recorded") -> Visit:
    return Visit(visit_number(number), state, at, "till-1", f"{number:05}", Decimal(toman), "IRT")


def cafe_changed(cafe_id: UUID = CAFE, version: int = 1, **changes: Any) -> CafeChanged:
    fields: dict[str, Any] = {
        "name": "کافه نمونه",
        "time_zone": TEHRAN,
        "calendar": "jalali",
        "currency_unit": "IRT",
    } | changes
    return CafeChanged(cafe_id=cafe_id, version=version, occurred_at=NOON, **fields)


def recorded(
    number: int, toman: Decimal | int | str, at: datetime = NOON, guest: UUID | None = GUEST, **changes: Any
) -> VisitRecorded:
    amount = Decimal(toman)
    fields: dict[str, Any] = _fields(number, at, guest) | {
        "final_amount": amount,
        "total_amount": amount,
        "discount_amount": Decimal(0),
    }
    return VisitRecorded(**fields | changes)


def corrected(
    number: int,
    toman: Decimal | int | str,
    at: datetime = NOON,
    guest: UUID = GUEST,
    corrected_at: datetime = NOON + timedelta(days=1),
    **changes: Any,
) -> VisitCorrected:
    amount = Decimal(toman)
    fields: dict[str, Any] = _fields(number, at, guest) | {
        "final_amount": amount,
        "total_amount": amount,
        "discount_amount": Decimal(0),
        "previous_final_amount": Decimal(0),
        "previous_currency_unit": "IRT",
        "previous_occurred_at": at,
        "first_visit_at": at,
        "last_visit_at": at,
        "corrected_at": corrected_at,
    }
    return VisitCorrected(**fields | changes)


def voided(number: int, toman: Decimal | int | str = 0, at: datetime = NOON, guest: UUID = GUEST) -> VisitVoided:
    fields = _fields(number, at, guest)
    return VisitVoided(**fields, final_amount=Decimal(toman), voided_at=at + timedelta(days=2))


def _fields(number: int, at: datetime, guest: UUID | None) -> dict[str, Any]:
    return {
        "cafe_id": CAFE,
        "customer_id": guest,
        "visit_id": visit_number(number),
        "occurred_at": at,
        "device_id": "till-1",
        "receipt_number": f"{number:05}",
        "currency_unit": "IRT",
    }


@dataclass(frozen=True)
class Bill:
    """A visit for the naive rule."""

    number: int
    at: datetime
    amount: Decimal
    unit: CurrencyUnit = "IRT"


def naive_points(bills: Iterable[Bill], calendar: Calendar = "jalali") -> dict[int, int]:
    """The published rule of the default program, with fractions and without any cleverness."""
    points: dict[int, int] = {}
    ordered = sorted(bills, key=lambda bill: (bill.at, f"{bill.number:05}"))
    for place, bill in enumerate(ordered):
        year = year_number(bill.at, calendar)
        own = sum(points[b.number] for b in ordered[:place] if year_number(b.at, calendar) == year)
        before = sum(points[b.number] for b in ordered[:place] if year_number(b.at, calendar) == year - 1)
        factor = {"bronze": Fraction(1), "silver": Fraction(6, 5), "gold": Fraction(3, 2), "platinum": Fraction(2)}
        toman = Fraction(bill.amount) / (1 if bill.unit == "IRT" else 10)
        points[bill.number] = floor(toman / 1000 * factor[naive_tier(max(own, before))])
    return points


def naive_tier(points: int) -> str:
    return next(
        tier for tier, least in (("platinum", 3000), ("gold", 1500), ("silver", 500), ("bronze", 0)) if points >= least
    )


def year_number(at: datetime, calendar: Calendar) -> int:
    day = local_day(at)
    return int(JalaliDate(day).year) if calendar == "jalali" else day.year


def local_day(at: datetime) -> date:
    return at.astimezone(ZoneInfo(TEHRAN)).date()


def bills_of(events: Sequence[VisitEvent]) -> list[Bill]:
    """What stands at the end, whatever the order in which the events come."""
    latest: dict[UUID, VisitEvent] = {}

    def rank(event: VisitEvent) -> tuple[int, datetime]:
        if isinstance(event, VisitVoided):
            return 2, event.voided_at
        return (1, event.corrected_at) if isinstance(event, VisitCorrected) else (0, event.occurred_at)

    for event in events:
        if event.visit_id not in latest or rank(event) > rank(latest[event.visit_id]):
            latest[event.visit_id] = event
    return [
        Bill(int(event.receipt_number), event.occurred_at, event.final_amount, event.currency_unit)
        for event in latest.values()
        if not isinstance(event, VisitVoided)
    ]
