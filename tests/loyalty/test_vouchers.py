"""Vouchers on a real database: kept with the bills, used once by many at once, seen by till, staff and guest."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI

from services.loyalty.api.app import make_app
from services.loyalty.handlers import cafes, cards, periodic, quotes
from services.loyalty.handlers.cafes import on_customer_erased
from services.loyalty.handlers.explaining import explain_visit
from services.loyalty.models.cards import VoucherUse
from services.loyalty.models.http import AskEarning, PublishProgram
from services.loyalty.models.programs import ProgramRules
from services.loyalty.rules.cards import voucher_id
from services.loyalty.store import programs, vouchers
from services.loyalty.store.audit import audit
from shared.clock import now
from shared.database import db
from shared.database.db import Pool, transaction
from shared.errors import NotFound, Rejected
from shared.events.customer import CustomerErased
from shared.events.identity import AccessGranted
from shared.events.loyalty import CardCompleted
from shared.security import access, ids
from shared.security.auth import Staff, Till
from shared.security.guest_links import guest_token
from shared.settings import Settings
from shared.web.dependencies import current_staff, current_till
from tests.loyalty import books, schemes
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, GUEST, NOON, OTHER_CAFE, guest_number, recorded, visit_number, voided
from tests.loyalty.schemes import KEYS, line

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MANAGER, HELPER = uuid4(), uuid4()
PHONE = "+989121112233"
COFFEE: dict[str, Any] = {
    "key": "coffee", "name": "کارت قهوه", "need": 3, "match": {"categories": ["قهوه"]}, "reward": "یک قهوه",
    "lives_days": 30,
}  # fmt: skip


@pytest.fixture
async def carded(pool: Pool, clock: Clock) -> Pool:
    """The cafe with a card of three coffees."""
    await publish(pool, 2, NOON - 90 * DAY, cards=[COFFEE])
    return pool


async def publish(pool: Pool, version: int, since: Any, **rules: Any) -> None:
    made = ProgramRules.model_validate({"tier_period": "jalali_year"} | rules)
    async with transaction(pool) as conn:
        dumped = made.model_dump(mode="json")
        await programs.publish(conn, CAFE, version, since, dumped, uuid4(), schemes.codes_of(made))


def bill(number: int, coffees: int, at: Any = NOON, guest: UUID = GUEST) -> Any:
    return recorded(number, 60_000, at, guest=guest, items=[line(60_000, coffees, category="قهوه")])


def name_of(number: int, guest: UUID = GUEST) -> UUID:
    return voucher_id(CAFE, guest, "coffee", number)


async def use(pool: Pool, number: int = 1, request_id: UUID | None = None, till: str = "till") -> Any:
    async with db.till_transaction(pool, CAFE) as conn:
        wanted = VoucherUse(request_id=request_id or uuid4(), till_key_id=till)
        return await cards.use(conn, CAFE, name_of(number), wanted)


async def states(pool: Pool, guest: UUID = GUEST) -> dict[int, str]:
    async with transaction(pool) as conn:
        assert await audit(conn) == []
        return {each.number: each.state for each in await vouchers.list_of_guests(conn, [(CAFE, guest)])}


async def test_fifty_tills_at_once_use_a_voucher_once(carded: Pool) -> None:
    await books.take_in(carded, bill(1, 3))
    answers = await asyncio.gather(*(use(carded, till=f"till-{n % 5}") for n in range(50)), return_exceptions=True)
    done = [each for each in answers if not isinstance(each, BaseException)]
    assert len(done) == 1
    assert {each.code for each in answers if isinstance(each, Rejected)} == {"voucher_used"}
    assert await states(carded) == {1: "used"}


async def test_one_request_that_is_sent_fifty_times_is_answered_the_same(carded: Pool) -> None:
    await books.take_in(carded, bill(1, 3))
    request = uuid4()
    answers = await asyncio.gather(*(use(carded, request_id=request) for _ in range(50)))
    assert {(each.state, each.used_at) for each in answers} == {("used", NOON)}


async def test_use_and_void_at_once_end_as_one_after_the_other(carded: Pool) -> None:
    for number in range(1, 13):
        guest = guest_number(number)
        await books.take_in(carded, bill(number, 3, guest=guest))

    async def used(guest: UUID) -> str:
        try:
            async with db.till_transaction(carded, CAFE) as conn:
                wanted = VoucherUse(request_id=uuid4(), till_key_id="till")
                await cards.use(conn, CAFE, name_of(1, guest), wanted)
        except Rejected as refused:
            return refused.code
        return "used"

    guests = [guest_number(number) for number in range(1, 13)]
    voids = (books.take_in(carded, voided(number, guest=guest)) for number, guest in enumerate(guests, 1))
    answers = await asyncio.gather(*(used(guest) for guest in guests), *voids)
    for guest, said in zip(guests, answers[:12], strict=True):
        assert await states(carded, guest) == {1: {"voucher_withdrawn": "withdrawn", "used": "used"}[said]}


async def test_void_after_use_is_owed_and_the_next_card_pays_it(carded: Pool, clock: Clock) -> None:
    await books.take_in(carded, bill(1, 3))
    await use(carded)
    await books.take_in(carded, voided(1))
    async with db.till_transaction(carded, CAFE) as conn:
        [card] = (await cards.show(conn, CAFE, GUEST)).cards
    assert (card.stamps, card.completed, card.owed, card.missing) == (0, 0, 1, 6)
    await books.take_in(carded, bill(2, 4, NOON + HOUR))
    async with db.till_transaction(carded, CAFE) as conn:
        found = await cards.show(conn, CAFE, GUEST)
    assert (found.cards[0].stamps, found.cards[0].completed, found.cards[0].owed, found.vouchers) == (1, 1, 0, [])
    await books.take_in(carded, bill(3, 2, NOON + 2 * HOUR))
    assert await states(carded) == {1: "used", 2: "open"}
    assert [each.number for each in await books.sent(carded, CardCompleted)] == [1, 2]


async def test_voucher_lapses_by_itself(carded: Pool, clock: Clock) -> None:
    await books.take_in(carded, bill(1, 6))
    clock.moment = NOON + 30 * DAY - timedelta(seconds=1)
    assert (await use(carded)).state == "used"
    clock.moment = NOON + 30 * DAY
    with pytest.raises(Rejected, match="voucher_expired"):
        await use(carded, 2)
    async with db.till_transaction(carded, CAFE) as conn:
        assert (await cards.show(conn, CAFE, GUEST)).vouchers == []


async def test_till_takes_its_own_use_back_for_two_hours_and_a_manager_any(carded: Pool, clock: Clock) -> None:
    await books.take_in(carded, bill(1, 3))
    request = uuid4()
    await use(carded, request_id=request)

    async def take_back(till: str) -> Any:
        async with db.till_transaction(carded, CAFE) as conn:
            return await cards.take_back_at_till(conn, CAFE, name_of(1), request, till)

    with pytest.raises(Rejected, match="used_by_another"):
        await take_back("other")
    for _ in range(2):
        assert (await take_back("till")).state == "open"
    with pytest.raises(Rejected, match="use_taken_back"):
        await use(carded, request_id=request)
    await use(carded)
    clock.moment += 3 * HOUR
    with pytest.raises(Rejected, match="used_by_another"):
        await take_back("till")
    async with transaction(carded) as conn:
        assert (await cards.take_back(conn, CAFE, name_of(1))).state == "open"
        assert (await cards.take_back(conn, CAFE, name_of(1))).state == "open"
        with pytest.raises(NotFound):
            await cards.take_back(conn, CAFE, uuid4())


async def test_recount_moves_withdraws_and_says_nothing_twice(carded: Pool, clock: Clock) -> None:
    await books.take_in(carded, bill(1, 3), bill(2, 3, NOON + HOUR))
    clock.moment = NOON + 2 * HOUR
    await publish(carded, 3, NOON + timedelta(minutes=30), cards=[COFFEE | {"need": 4, "reward": "یک کیک"}])
    async with transaction(carded) as conn:
        await programs.ask_recount(conn, [CAFE], clock.moment)
    while await periodic.recount(carded):
        pass
    assert await states(carded) == {1: "open", 2: "withdrawn"}
    await books.take_in(carded, bill(3, 1, NOON + 90 * timedelta(minutes=1)))
    assert await states(carded) == {1: "open", 2: "open"}
    rows = await carded.fetch("SELECT reward, visit_id, program_version FROM vouchers ORDER BY number")
    assert [tuple(row) for row in rows] == [("یک قهوه", visit_number(1), 2), ("یک کیک", visit_number(3), 3)]
    assert [each.number for each in await books.sent(carded, CardCompleted)] == [1, 2]


async def test_quote_says_what_the_bill_then_stamps(carded: Pool, clock: Clock) -> None:
    await books.take_in(carded, bill(1, 2, NOON - DAY))
    for number, coffees in ((2, 0), (3, 2), (4, 5), (5, 1)):
        clock.moment += HOUR
        items = [{"name": "لاته", "category": "قهوه", "quantity": coffees, "amount": 60_000}] if coffees else []
        asked = AskEarning.model_validate({"final_amount": 60_000, "currency_unit": "IRT", "items": items})
        async with db.till_transaction(carded, CAFE) as conn:
            before = await quotes.quote(conn, CAFE, GUEST, asked, KEYS)
            had = await cards.show(conn, CAFE, GUEST)
        assert before.vouchers == had.vouchers
        lines = [line(60_000, coffees, category="قهوه")] if coffees else []
        await books.take_in(carded, recorded(number, 60_000, clock.moment, items=lines))
        async with db.till_transaction(carded, CAFE) as conn:
            after = await cards.show(conn, CAFE, GUEST)
        [told] = before.cards
        assert (told.gives, told.completes) == (coffees, len(after.vouchers) - len(had.vouchers))
        assert [told.after] == after.cards
    async with db.till_transaction(carded, CAFE) as conn:
        nobody = await quotes.quote(conn, CAFE, None, asked, KEYS)
    assert (nobody.cards[0].after.stamps, nobody.vouchers) == (1, [])


async def test_explanation_says_what_was_stamped_cut_and_completed(carded: Pool, clock: Clock) -> None:
    await publish(carded, 3, NOON - 80 * DAY, cards=[COFFEE | {"per_visit": 2, "minimum_toman": 50_000}])
    await books.take_in(carded, bill(1, 5), bill(2, 1, NOON + HOUR), recorded(3, 40_000, NOON + 2 * HOUR))
    async with transaction(carded) as conn:
        steps = [await explain_visit(conn, CAFE, visit_number(number), GUEST) for number in (1, 2, 3)]
    first, second, third = [next(step for step in each.steps if step.what == "stamps") for each in steps]
    assert (first.outcome, first.values["stamps"]) == ("given", 2)
    cut = next(each for each in first.conditions if each.rule == "most_stamps")
    assert (cut.held, cut.values) == (False, {"stamps": 5, "most": 2})
    assert (second.outcome, second.values["cards"]) == ("completed", 1)
    card, full = [
        next(each for each in second.conditions if each.rule == rule) for rule in ("stamps_card", "card_full")
    ]
    assert (card.held, card.values["on_card"], full.values["completed"]) == (True, "0/3", 1)
    assert (third.outcome, third.not_because) == ("nothing", ["stamps_card", "minimum_bill", "item_bought"])
    await carded.execute("UPDATE vouchers SET state = 'withdrawn'")
    async with transaction(carded) as conn:
        told = await explain_visit(conn, CAFE, visit_number(2), GUEST)
    assert next(step for step in told.steps if step.what == "stamps").outcome == "differs"


@pytest.mark.parametrize(
    ("breaking", "breach"),
    [
        ("UPDATE vouchers SET number = 4 WHERE number = 1", "vouchers_are_not_cards"),
        ("UPDATE vouchers SET state = 'withdrawn' WHERE number = 1", "vouchers_are_not_cards"),
        ("UPDATE vouchers SET number = 3 WHERE number = 2", "voucher_is_not_earned"),
        ("UPDATE vouchers SET earned_at = earned_at + interval '1 s' WHERE number = 1", "voucher_is_not_of_its_bill"),
        ("UPDATE vouchers SET visit_id = gen_random_uuid() WHERE number = 1", "voucher_is_not_of_its_bill"),
        ("UPDATE customer_loyalty SET cards = NULL", "voucher_is_not_earned"),
    ],
)
async def test_audit_finds_vouchers_that_are_not_those_of_the_cards(carded: Pool, breaking: str, breach: str) -> None:
    await books.take_in(carded, bill(1, 7))
    assert await states(carded) == {1: "open", 2: "open"}
    await carded.execute(breaking)
    async with transaction(carded) as conn:
        assert breach in {each["breach"] for each in await audit(conn)}


async def test_plain_program_writes_nothing_about_cards(pool: Pool) -> None:
    await books.take_in(pool, bill(1, 7))
    assert await pool.fetchval("SELECT cards FROM customer_loyalty") is None
    assert await pool.fetchval("SELECT count(*) FROM vouchers") == 0


async def test_erasure_forgets_what_somebody_typed(carded: Pool) -> None:
    await books.take_in(carded, bill(1, 3))
    async with transaction(carded) as conn:
        wanted = VoucherUse(request_id=uuid4(), till_key_id="till", order_reference="میز علی")
        await cards.use(conn, CAFE, name_of(1), wanted)
        erased = CustomerErased(cafe_id=CAFE, customer_id=GUEST, occurred_at=NOON)
        await on_customer_erased(conn, [erased])
    row = await carded.fetchrow("SELECT state, order_reference FROM vouchers")
    assert tuple(row) == ("used", None)


async def test_two_cards_of_one_key_are_refused_by_their_path(pool: Pool) -> None:
    rules = ProgramRules.model_validate({"tier_period": "jalali_year", "cards": [COFFEE, COFFEE]})
    async with transaction(pool) as conn:
        with pytest.raises(Rejected) as refused:
            await cafes.check_program(conn, CAFE, PublishProgram(rules=rules), KEYS)
    assert [(each.field, each.code) for each in refused.value.problems] == [("rules.cards.1.key", "key_twice")]


# --- over HTTP


@pytest.fixture
async def app(carded: Pool, config: Settings) -> AsyncIterator[FastAPI]:
    roles = {MANAGER: "manager", HELPER: "staff"}
    granted = [
        AccessGranted(cafe_id=CAFE, user_id=user, role=role, version=1, occurred_at=NOON)  # type: ignore[arg-type]
        for user, role in roles.items()
    ]
    async with transaction(carded) as conn:
        await access.on_access_granted(conn, granted)
    await books.take_in(carded, bill(1, 7, guest=ids.customer_id(config.keys, CAFE, PHONE)))
    app = make_app()
    async with app.router.lifespan_context(app):
        yield app


def acting(app: FastAPI, user: UUID = HELPER, cafe: UUID = CAFE, till: str = "abcdefghijkl") -> httpx2.AsyncClient:
    app.dependency_overrides[current_staff] = lambda: Staff(user)
    app.dependency_overrides[current_till] = lambda: Till(cafe, till, ("ingest", "loyalty_lookup"))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://crm.test")


async def test_till_sees_uses_and_takes_back(app: FastAPI) -> None:
    async with acting(app) as client:
        seen = (await client.post("/loyalty/cards", json={"phone": "0912 111 22 33"})).json()
        [card] = seen["cards"]
        assert (card["name"], card["stamps"], card["need"], card["missing"]) == ("کارت قهوه", 1, 3, 2)
        first, _ = [each["voucher_id"] for each in seen["vouchers"]]
        request = {"request_id": str(uuid4()), "order_reference": "B-7"}
        for _ in range(2):
            used = await client.post(f"/vouchers/{first}/use", json=request)
            assert (used.status_code, used.json()["state"], used.json()["order_reference"]) == (200, "used", "B-7")
        again = await client.post(f"/vouchers/{first}/use", json={"request_id": str(uuid4())})
        assert (again.status_code, again.json()["code"]) == (409, "voucher_used")
        left = (await client.post("/loyalty/cards", json={"phone": PHONE})).json()["vouchers"]
        assert [each["number"] for each in left] == [2]
        back = await client.post(f"/vouchers/{first}/take-back", json={"request_id": request["request_id"]})
        assert (back.status_code, back.json()["state"]) == (200, "open")
        unknown = (await client.post("/loyalty/cards", json={"phone": "+989121110000"})).json()
        assert (unknown["cards"][0]["stamps"], unknown["vouchers"]) == (0, [])
    async with acting(app, cafe=OTHER_CAFE) as client:
        elsewhere = await client.post(f"/vouchers/{first}/use", json={"request_id": str(uuid4())})
        assert elsewhere.status_code == 404


async def test_staff_see_and_use_and_a_manager_takes_back(app: FastAPI, config: Settings) -> None:
    guest = ids.customer_id(config.keys, CAFE, PHONE)
    async with acting(app) as client:
        seen = (await client.get(f"/cafes/{CAFE}/customers/{guest}/cards")).json()
        assert [each["number"] for each in seen["newest"]] == [2, 1]
        path = f"/cafes/{CAFE}/vouchers/{name_of(1, guest)}"
        used = await client.post(f"{path}/use", json={"request_id": str(uuid4())})
        assert (used.json()["state"], used.json()["used_by"]) == ("used", str(HELPER))
        assert (await client.post(f"{path}/take-back")).status_code == 403
        assert (await client.get(f"/cafes/{CAFE}/customers/{uuid4()}/cards")).status_code == 404
        assert (await client.get(f"/cafes/{OTHER_CAFE}/customers/{guest}/cards")).status_code in (403, 404)
    async with acting(app, MANAGER) as client:
        assert (await client.post(f"{path}/take-back")).json()["state"] == "open"


async def test_guest_sees_the_cards_on_the_own_page(app: FastAPI, config: Settings, clock: Clock) -> None:
    guest = ids.customer_id(config.keys, CAFE, PHONE)
    link = guest_token(config.keys, CAFE, guest, now())
    async with acting(app) as client:
        mine = (await client.get("/guest/points", headers={"X-Guest-Link": link})).json()
    assert [each["number"] for each in mine["vouchers"]] == [1, 2]
    assert (mine["cards"][0]["reward"], mine["cards"][0]["missing"]) == ("یک قهوه", 2)
