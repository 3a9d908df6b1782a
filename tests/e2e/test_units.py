"""Two cafes with the same guests and bills, one that counts in Toman and one in Rial: whatever they are shown, and
whatever they ask for, differs by the factor of ten and by nothing else."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from importlib import import_module
from typing import Any
from uuid import UUID

import httpx2

from services.loyalty.handlers.cafes import on_cafe_changed
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.events.identity import AccessGranted
from shared.persian.money import Unit, in_unit
from shared.security import access
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.customer import given as guests
from tests.feedback import given as opinions
from tests.identity import given as people
from tests.loyalty import books, examples
from tests.support import Databases
from tests.visit import given as bills

CAFES: dict[Unit, UUID] = {"IRT": bills.CAFE, "IRR": bills.OTHER_CAFE}
OWNER = new_id()
# The second is no whole Toman, and each till of either cafe may send either unit.
PAID = (Decimal(185_000), Decimal("1000.5"))
AMOUNTS = re.compile(r"amount|spen[dt]|revenue|order_value|^total$|^discount$|^earn_per$")


def amounts_in(shown: Any, unit: Unit, path: str = "") -> Iterator[tuple[str, Decimal]]:
    """Each amount of an answer by its place; all units that it names must be the cafe's."""
    inner = shown.items() if isinstance(shown, dict) else enumerate(shown) if isinstance(shown, list) else ()
    for name, value in inner:
        if name == "currency_unit":
            assert value == unit, path
        elif isinstance(name, str) and AMOUNTS.search(name) and isinstance(value, (str, int)):
            yield f"{path}.{name}", Decimal(value)
        else:
            yield from amounts_in(value, unit, f"{path}.{name}")


def of(toman: int | str) -> Any:
    """So many Toman, in whichever unit."""
    return lambda unit: str(in_unit(Decimal(toman), "IRT", unit))


def spent(toman: str, **named: str) -> Any:
    """A segment of those who spent so many Toman, written in whichever unit."""
    worth = of(toman)
    return lambda unit: (
        named | {"criteria": {"any": [{"lifetime_spent": {"min": worth(unit)}}, {"visit_count": {"min": 9}}]}}
    )


def bound_of(criteria: Any) -> Decimal:
    return Decimal(criteria["any"][0]["lifetime_spent"]["min"])


class Both:
    """An API of a service, asked the same by an owner of either cafe."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def ask(self, method: str, path: str, *, status: int = 200, **asked: Any) -> dict[Unit, Any]:
        """What both answer. A callable in what is asked makes of a unit what its cafe sends."""
        answers = {}
        for unit, cafe in CAFES.items():
            sent = {name: value(unit) if callable(value) else value for name, value in asked.items()}
            answer = await self.http.request(method, f"/cafes/{cafe}{path}", **sent)
            assert answer.status_code == status, answer.text
            answers[unit] = answer.json() if answer.content else None
        return answers

    async def agree(self, method: str, path: str, least: int = 1, **asked: Any) -> dict[Unit, Any]:
        """What both answer, whose amounts agree."""
        answers = await self.ask(method, path, **asked)
        toman, rial = (dict(amounts_in(answers[unit], unit)) for unit in CAFES)
        assert rial == {place: amount * 10 for place, amount in toman.items()}
        assert len(toman) >= least, answers["IRT"]
        return answers


@asynccontextmanager
async def both(service: str) -> AsyncIterator[Both]:
    app = import_module(f"services.{service}.api.app").make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(OWNER)
    transport = httpx2.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://crm") as http:
        yield Both(http)


async def admit(pool: Pool) -> None:
    granted = [
        AccessGranted(cafe_id=cafe, occurred_at=now(), version=1, user_id=OWNER, role="owner")
        for cafe in CAFES.values()
    ]
    async with transaction(pool) as conn:
        await access.on_access_granted(conn, granted)


def sent(place: int, unit: Unit) -> tuple[Decimal, Unit]:
    """A bill as the till of that cafe sends it: the first in the cafe's unit, the second in the other."""
    other: Unit = "IRR" if unit == "IRT" else "IRT"
    sends = (unit, other)[place]
    return in_unit(PAID[place], "IRT", sends), sends


async def test_bills_and_figures(database: Databases) -> None:
    pool = await database("visit")
    today = now().isoformat()
    for unit, cafe in CAFES.items():
        await bills.known_cafe(pool, cafe, staff=new_id(), currency_unit=unit)
        for place in range(2):
            total, sends = sent(place, unit)
            line = {"name": "قهوه", "amount": str(total)}
            facts = {"receipt_number": str(place), "occurred_at": today, "items": [line], "total": str(total)}
            await bills.take(pool, bills.record(cafe, currency_unit=sends, **facts))
    await admit(pool)
    async with both("visit") as api:
        listed = await api.agree("GET", "/visits", least=8)
        for unit in CAFES:
            paid = {Decimal(each["final_amount"]) for each in listed[unit]["items"]}
            assert paid == {in_unit(amount, "IRT", unit) for amount in PAID}
        for least, found in (("1000.5", 2), ("1000.6", 1), ("185000.1", 0)):
            asked = await api.agree(
                "GET", "/visits", least=3 * found, params=lambda u, t=least: {"least_amount": of(t)(u)}
            )
            assert {len(answer["items"]) for answer in asked.values()} == {found}
        for path in ("/statistics/days", f"/statistics/month?day={today[:10]}"):
            await api.agree("GET", path)
        await api.ask("POST", "/visits", status=202, json=lambda unit: {
            "occurred_at": today, "total": of(20_000_000)(unit), "discount": of(7)(unit), "currency_unit": unit,
            "items": [{"name": "ناهار", "amount": of(20_000_000)(unit)}],
        })  # fmt: skip
        await api.agree("GET", "/approvals", least=4)


async def test_guests_and_segments(database: Databases) -> None:
    pool = await database("customer")
    guest: dict[Unit, UUID] = {}
    for unit, cafe in CAFES.items():
        await guests.cafe(pool, cafe, now=now(), currency_unit=unit)
        await guests.guests(pool, guests.learned(cafe_id=cafe), now=now())
        who = guests.guest_of(cafe_id=cafe)
        guest[unit] = who.customer_id
        seen = [guests.recorded(who, amount=str(sent(i, unit)[0]), currency_unit=sent(i, unit)[1]) for i in range(2)]
        await guests.visits(pool, seen)
    await admit(pool)
    async with both("customer") as api:
        shown = {unit: await api.http.get(f"/cafes/{CAFES[unit]}/customers/{guest[unit]}/summary") for unit in CAFES}
        toman, rial = (dict(amounts_in(answer.json(), unit)) for unit, answer in shown.items())
        assert toman[".lifetime_spent"] == sum(PAID)
        assert rial == {place: amount * 10 for place, amount in toman.items()}
        for least, matching in (("186000.5", 1), ("186000.6", 0)):
            asked = await api.ask("POST", "/segments/preview", json=spent(least))
            assert {answer["matching"] for answer in asked.values()} == {matching}
        named = {"name": "ما", "segment_key": "ours"}
        made = await api.ask("POST", "/segments", status=201, json=spent("186000.6", **named))
        assert {unit: each["currency_unit"] for unit, each in made.items()} == {unit: unit for unit in CAFES}
        assert bound_of(made["IRR"]["criteria"]) == 10 * bound_of(made["IRT"]["criteria"]) == Decimal("1860006")
        listed = await api.ask("GET", "/segments/attributes")
        units = {unit: {each["currency_unit"] for each in answer} for unit, answer in listed.items()}
        assert units == {unit: {unit, None} for unit in CAFES}
    kept = await pool.fetch("SELECT DISTINCT criteria FROM customer_segments WHERE segment_key = 'ours'")
    assert [bound_of(row["criteria"]) for row in kept] == [Decimal("186000.6")]
    await guests.cafe(pool, CAFES["IRR"], now=now(), version=2, currency_unit="IRT")
    async with both("customer") as api:
        [later] = [each for each in (await api.ask("GET", "/segments"))["IRR"] if each["segment_key"] == "ours"]
    assert (bound_of(later["criteria"]), later["currency_unit"]) == (Decimal("186000.6"), "IRT")


async def test_points_and_programs(database: Databases) -> None:
    pool = await database("loyalty")
    guest = examples.GUEST
    for unit, cafe in CAFES.items():
        async with transaction(pool) as conn:
            await on_cafe_changed(conn, [examples.cafe_changed(cafe, currency_unit=unit)])
        for place in range(2):
            amount, sends = sent(place, unit)
            seen = examples.recorded(place, amount, cafe_id=cafe, visit_id=new_id(), currency_unit=sends)
            await books.take_in(pool, seen)
    await admit(pool)
    async with both("loyalty") as api:
        account = await api.agree("GET", f"/customers/{guest}/loyalty", least=3)
        assert {each["current_points"] for each in account.values()} == {186}
        await api.agree("GET", f"/customers/{guest}/ledger", least=2)
        rules = {"tier_period": "jalali_year"}
        dear = await api.ask(
            "POST", "/programs", status=201, json=lambda unit: {"rules": rules, "earn_per": of(2000)(unit)}
        )
        assert {each["rules"]["earn_per_toman"] for each in dear.values()} == {2000}
        await api.agree("GET", "/programs", least=2)
        for body in (
            {"rules": rules, "earn_per": "1000.5"},
            {"rules": rules | {"earn_per_toman": 7}, "earn_per": 2000},
        ):
            refused = await api.ask("POST", "/programs", status=422, json=body)
            assert {each["errors"][0]["field"] for each in refused.values()} == {"earn_per"}


async def test_opinions(database: Databases) -> None:
    pool = await database("feedback")
    for unit, cafe in CAFES.items():
        await opinions.cafe_with_staff(pool, cafe, new_id(), currency_unit=unit)
    await admit(pool)
    said = {"source": "manual", "overall_rating": 3}
    async with both("feedback") as api:
        for place in range(2):
            await api.ask("POST", "/feedback", status=201, json=lambda unit, i=place: said | {
                "order_amount": str(sent(i, unit)[0]), "currency_unit": sent(i, unit)[1],
            })  # fmt: skip
        await api.ask("POST", "/feedback", status=201, json=said)
        await api.agree("GET", "/feedback", least=2)


async def test_policies(database: Databases, config: Any) -> None:
    pool = await database("identity")
    made: dict[Unit, UUID] = {unit: await people.a_cafe(pool) for unit in CAFES}
    owner = await people.a_person(pool, "owner@example.com", made["IRT"], "owner")
    async with people.running(config) as app, people.client(app, owner) as http:
        opened = (await http.post("/cafes", json={"name": "دیگر", "currency_unit": "IRR"})).json()
        made["IRR"] = UUID(opened["cafe_id"])
        limits = {"when": "above", "points": 7, "amount": 5_000_000, "staff_amount": 1_000}
        for name, value in (("amount", 5_000_005), ("staff_amount", 10**14)):
            refused = await http.put(f"/cafes/{made['IRR']}/approval-policy", json=limits | {name: value})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, name)
        shown: dict[Unit, Any] = {}
        for unit, cafe in made.items():
            address = f"/cafes/{cafe}/approval-policy"
            await http.put(address, json=limits | {"currency_unit": "IRT"})
            body = limits | {"amount": int(of(9_000_000)(unit)), "staff_amount": int(of(2_000)(unit))}
            changed = await http.put(address, json=body)
            listed = next(each for each in (await http.get("/cafes")).json() if each["cafe_id"] == str(cafe))
            steps = (await http.get(f"{address}/changes")).json()
            shown[unit] = [changed.json(), listed, steps]
    toman, rial = (dict(amounts_in(answer, unit)) for unit, answer in shown.items())
    assert len(toman) == 20
    assert {amount for place, amount in toman.items() if place.endswith("staff_amount")} == {1_000, 2_000, 2_000_000}
    assert rial == {place: amount * 10 for place, amount in toman.items()}
