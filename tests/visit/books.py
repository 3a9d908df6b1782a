"""A cafe's visits read slowly, one by one, as a second opinion on what is counted of them."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from persiantools.jdatetime import JalaliDate

from services.visit.handlers import upkeep
from shared.clock import now
from shared.database.db import Pool
from shared.persian.calendar import local_date
from tests.visit.given import CAFE

TEHRAN = "Asia/Tehran"
# The clock of Tehran does not change with the seasons.
NOW = now()
TODAY = local_date(NOW, TEHRAN)


def at(day: date, hour: int = 12, minute: int = 0, second: int = 0) -> str:
    moment = datetime.combine(day, time(hour, minute, second), tzinfo=UTC) - timedelta(hours=3, minutes=30)
    return moment.isoformat()


def month_of(day: date, calendar: str = "jalali") -> date:
    if calendar == "gregorian":
        return day.replace(day=1)
    jalali = JalaliDate(day)
    return JalaliDate(jalali.year, jalali.month, 1).to_gregorian()


async def count(pool: Pool) -> None:
    while await upkeep.count_days(pool):
        pass
    # Months wait a while before they are counted again.
    await pool.execute("UPDATE counted_months SET due_at = '2000-01-01' WHERE due_at IS NOT NULL")
    while await upkeep.count_days(pool):
        pass


class Books:
    """All visits of the cafe that stand, read one by one."""

    def __init__(self, rows: list[Any], calendar: str = "jalali", zone: str = TEHRAN) -> None:
        self.calendar, self.today = calendar, local_date(NOW, zone)
        self.visits = [
            SimpleNamespace(
                day=local_date(row["visit_date"], zone),
                month=month_of(local_date(row["visit_date"], zone), calendar),
                guest=row["customer_id"],
                branch=row["branch_id"],
                toman=row["final_amount"] / (10 if row["currency_unit"] == "IRR" else 1),
                lines=row["items_ordered"],
                unit=row["currency_unit"],
                id=row["id"],
            )
            for row in rows
        ]
        days = defaultdict(set)
        for visit in self.visits:
            if visit.guest:
                days[visit.guest].add(visit.day)
        self.days = {guest: sorted(found) for guest, found in days.items()}

    @classmethod
    async def read(cls, pool: Pool, **how: str) -> "Books":
        sql = "SELECT * FROM customer_visits WHERE cafe_id = $1 AND voided_at IS NULL"
        return cls(await pool.fetch(sql, CAFE), **how)

    def month(self, month: date, branch_id: UUID | None) -> tuple[Any, ...]:
        visits = [v for v in self.visits if v.month == month and branch_id in (None, v.branch)]
        guests = {v.guest for v in visits if v.guest}
        new = {guest for guest in guests if month_of(self.days[guest][0], self.calendar) == month}
        known = [v for v in visits if v.guest]
        return len(visits), sum(v.toman for v in visits), len(guests), len(new), len(known), sum(v.toman for v in known)

    def again(self, month: date, within: int, *, new: bool) -> tuple[int, int]:
        guests = came = 0
        for all_days in self.days.values():
            days = [day for day in all_days if day < self.today]
            first = next((day for day in days if month_of(day, self.calendar) == month), None)
            if first is None or (month_of(days[0], self.calendar) == month) is not new:
                continue
            guests += 1
            came += any(first < day <= first + timedelta(days=within) for day in days)
        return guests, came

    def cohorts(self) -> dict[tuple[date, date], int]:
        found: dict[tuple[date, date], int] = defaultdict(int)
        for days in self.days.values():
            months = {month_of(day, self.calendar) for day in days if day < self.today}
            for month in months:
                found[min(months), month] += 1
        return dict(found)

    def dishes(self, month: date, branch_id: UUID | None) -> dict[str, tuple[Any, ...]]:
        lines = [
            (line["name"], Decimal(line.get("quantity", 1)), Decimal(line.get("amount") or 0), visit)
            for visit in self.visits
            if visit.month == month and visit.day < self.today and branch_id in (None, visit.branch)
            for line in visit.lines
        ]
        parties = defaultdict(set)
        for name, _, _, visit in lines:
            parties[name].add(visit.guest or visit.id)
        found: dict[str, Any] = {}
        for name, quantity, amount, visit in lines:
            kept = name if len(parties[name]) > 1 else ""
            q, r, bills, guests = found.get(kept, (0, 0, set(), defaultdict(set)))
            toman = amount / (10 if visit.unit == "IRR" else 1)
            if visit.guest:
                guests[visit.guest].add(visit.day)
            found[kept] = (q + quantity, r + toman, bills | {visit.id}, guests)
        return {
            name: (q, r, len(bills), len(guests), sum(len(days) > 1 for days in guests.values()))
            for name, (q, r, bills, guests) in found.items()
            if name
        } | {"": found.get("", (0, 0))[:2]}
