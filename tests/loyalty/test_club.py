"""The figures of a club: counted from what changed, and the same as the ledger, the accounts and the lots say."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest

from services.loyalty.api.app import make_app
from services.loyalty.handlers import club, periodic
from services.loyalty.store import club as club_store
from shared.database.db import Pool, transaction
from shared.events.identity import AccessGranted
from shared.security import access
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.loyalty import books
from tests.loyalty.examples import CAFE, GUEST, NOON, cafe_changed, corrected, guest_number, recorded, voided

OWNER, MANAGER, HELPER = uuid4(), uuid4(), uuid4()
LEDGER = """
SELECT coalesce(sum(points_change) FILTER (WHERE visit_id IS NOT NULL AND redemption_id IS NULL), 0)::bigint AS earned,
       coalesce(-sum(points_change) FILTER (WHERE redemption_id IS NOT NULL), 0)::bigint AS redeemed,
       coalesce(-sum(points_change) FILTER (WHERE transaction_type = 'expired'), 0)::bigint AS lapsed
FROM loyalty_transactions WHERE cafe_id = $1
"""
ACCOUNTS = """
SELECT sum(greatest(current_points, 0))::bigint AS outstanding, sum(greatest(-current_points, 0))::bigint AS owed,
       count(*) AS members
FROM customer_loyalty WHERE cafe_id = $1
"""
TIERS = "SELECT tier_level::text AS tier, count(*) AS guests FROM customer_loyalty WHERE cafe_id = $1 GROUP BY 1"


async def count_all(pool: Pool) -> None:
    """As the job does, but at once: what the tests wrote is committed and needs no grace."""
    for _ in range(1000):
        async with transaction(pool) as conn:
            noted = await club.note(conn, datetime.now(UTC)) + await club.note_lapsing(conn, datetime.now(UTC))
        if not noted and not await club.count(pool):
            return
    pytest.fail("counting never came to an end")


async def overview(pool: Pool) -> dict[str, object]:
    async with transaction(pool) as conn:
        return (await club.overview(conn, CAFE, None, None)).model_dump()


async def bought(pool: Pool) -> None:
    """Two guests with points, one of whom spends, and one whose bill becomes smaller after spending: it owes."""
    await books.take_in(pool, recorded(1, 900_000), recorded(2, 200_000, guest=guest_number(2)))
    await books.take_in(pool, recorded(3, 50_000, at=NOON + timedelta(hours=1), points_to_redeem=300))
    await books.take_in(pool, recorded(4, 400_000, guest=guest_number(3)))
    later = NOON + timedelta(hours=2)
    await books.take_in(pool, recorded(5, 0, at=later, guest=guest_number(3), points_to_redeem=400))
    await books.take_in(pool, corrected(4, 100_000, guest=guest_number(3)))


async def test_figures_are_what_ledger_and_accounts_add_up_to(pool: Pool) -> None:
    await bought(pool)
    await count_all(pool)
    shown = await overview(pool)
    ledger, accounts = await pool.fetchrow(LEDGER, CAFE), await pool.fetchrow(ACCOUNTS, CAFE)
    assert {name: shown[name] for name in ("earned", "redeemed", "lapsed")} == dict(ledger)
    assert {name: shown[name] for name in ("outstanding", "owed", "members")} == dict(accounts)
    assert shown["joined"] == 3
    tiers = {each["tier"]: each["guests"] for each in shown["tiers"]}  # type: ignore[attr-defined]
    assert {tier: guests for tier, guests in tiers.items() if guests} == {
        row["tier"]: row["guests"] for row in await pool.fetch(TIERS, CAFE)
    }
    assert accounts["outstanding"] > 0


async def test_what_is_counted_twice_changes_nothing_and_what_comes_later_is_added(pool: Pool) -> None:
    await bought(pool)
    await count_all(pool)
    before = await overview(pool)
    await count_all(pool)
    assert await overview(pool) == before
    await books.take_in(pool, recorded(9, 70_000, guest=guest_number(2), at=NOON + timedelta(days=1)))
    await count_all(pool)
    assert (await overview(pool))["earned"] == before["earned"] + 70  # type: ignore[operator]


async def test_entry_of_a_transaction_that_is_still_open_is_not_passed_over(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 100_000))
    conn = await pool.acquire()
    try:
        open_one = conn.transaction()
        await open_one.start()
        await conn.execute(
            "INSERT INTO loyalty_transactions (id, cafe_id, customer_id, account_version, transaction_type,"
            " points_change, description, occurred_at, balance_after)"
            " VALUES (gen_random_uuid(), $1, $2, 99, 'earned_bonus', 7, 'x', now(), 107)",
            CAFE, GUEST,
        )  # fmt: skip
        async with transaction(pool) as other:
            await club.note(other, datetime.now(UTC))
        await books.take_in(pool, recorded(2, 50_000, guest=guest_number(2)))
        async with transaction(pool) as other:
            await club.note(other, datetime.now(UTC))
        await open_one.commit()
    finally:
        await pool.release(conn)
    await count_all(pool)
    shown = await overview(pool)
    assert (shown["earned"], shown["given"], shown["outstanding"]) == (150, 7, 157)


async def test_tiers_tell_who_rose_and_who_fell(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 600_000))
    await count_all(pool)
    silver = _tier(await overview(pool), "silver")
    assert (silver["guests"], silver["up"], silver["down"]) == (1, 0, 0), "a first visit makes no move"
    await books.take_in(pool, recorded(2, 1_000_000, at=NOON + timedelta(hours=1)))
    await count_all(pool)
    assert _tier(await overview(pool), "silver")["guests"] == 0
    gold = _tier(await overview(pool), "gold")
    assert (gold["guests"], gold["up"], gold["down"]) == (1, 1, 0)
    await books.take_in(pool, voided(2, at=NOON + timedelta(hours=1)))
    await count_all(pool)
    assert (_tier(await overview(pool), "silver")["down"], _tier(await overview(pool), "gold")["guests"]) == (1, 0)


async def test_what_lapses_soon_is_counted_listed_and_told_to_its_guest(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 300_000), recorded(2, 100_000, guest=guest_number(2)))
    await pool.execute(
        "UPDATE point_lots SET expires_at = CASE customer_id WHEN $1 THEN now() + interval '10 days'"
        " ELSE now() + interval '40 days' END",
        GUEST,
    )
    await count_all(pool)
    lapsing = (await overview(pool))["lapsing"]
    assert (lapsing["points"], lapsing["guests"]) == (300, 1)  # type: ignore[index]
    async with transaction(pool) as conn:
        (soon,) = await club.lapsing(conn, CAFE, 10)
        (day,) = await club.expiry(conn, CAFE, GUEST)
    assert (soon.customer_id, soon.points, day.points, day.worth) == (GUEST, 300, 300, None)


async def test_who_is_listed_is_listed_with_all_that_lapses(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    await books.take_in(pool, recorded(1, 300_000), recorded(2, 100_000, at=NOON + timedelta(hours=1)))
    await pool.execute(
        "UPDATE point_lots SET expires_at = now() + CASE points WHEN 300 THEN interval '5 days'"
        " ELSE interval '20 days' END"
    )
    monkeypatch.setattr(club_store, "LOTS_LOOKED_AT", 1)
    async with transaction(pool) as conn:
        (soon,) = await club.lapsing(conn, CAFE, 10)
    assert (soon.customer_id, soon.points) == (GUEST, 400)


async def test_lapsed_points_are_lapsed(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 300_000))
    await pool.execute("UPDATE point_lots SET expires_at = $1", NOON - timedelta(days=1))
    while await periodic.expire_points(pool):
        pass
    await count_all(pool)
    shown = await overview(pool)
    assert (shown["earned"], shown["lapsed"], shown["outstanding"]) == (300, 300, 0)


async def test_days_follow_the_cafe_and_a_period_counts_its_own(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 300_000))
    await count_all(pool)
    async with transaction(pool) as conn:
        today = await club_store.local_date(conn, CAFE, datetime.now(UTC))
        assert today is not None
        day_before = today - timedelta(days=1)
        past = await club.overview(conn, CAFE, day_before - timedelta(days=3), day_before)
        present = await club.overview(conn, CAFE, today, today)
    assert (past.earned, past.outstanding) == (0, 300)
    assert (present.earned, present.since) == (300, today)


def _tier(shown: dict[str, object], name: str) -> dict[str, int]:
    found: dict[str, int] = next(each for each in shown["tiers"] if each["tier"] == name)  # type: ignore[attr-defined]
    return found


@pytest.fixture
async def app(pool: Pool):  # type: ignore[no-untyped-def]
    roles = {OWNER: "owner", MANAGER: "manager", HELPER: "staff"}
    async with transaction(pool) as conn:
        await access.on_access_granted(
            conn,
            [
                AccessGranted(cafe_id=CAFE, user_id=user, role=role, version=1, occurred_at=NOON)  # type: ignore[arg-type]
                for user, role in roles.items()
            ],
        )
    await books.take_in(pool, recorded(1, 100_000))
    app = make_app()
    async with app.router.lifespan_context(app):
        yield app


def acting(app, user: UUID) -> httpx2.AsyncClient:  # type: ignore[no-untyped-def]
    app.dependency_overrides[current_staff] = lambda: Staff(user)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://crm.test")


async def price(app, worth: str, unit: str = "IRT") -> None:  # type: ignore[no-untyped-def]
    rules = {"tier_period": "jalali_year"}
    body = {"rules": rules, "point_worth": worth, "currency_unit": unit}
    async with acting(app, MANAGER) as client:
        proposed = await client.post(f"/cafes/{CAFE}/programs", json=body)
        assert proposed.status_code == 202, proposed.text
        assert proposed.json()["point_worth"] == "100"
        (waiting,) = (await client.get(f"/cafes/{CAFE}/approvals")).json()
        assert waiting["what"]["point_worth"] == "100"
    async with acting(app, OWNER) as client:
        decision = f"/cafes/{CAFE}/programs/proposals/{proposed.json()['proposal_id']}/decision"
        assert (await client.post(decision, json={"approve": True})).json()["state"] == "published"


async def test_a_point_has_no_price_until_rules_give_it_one(app, pool: Pool) -> None:  # type: ignore[no-untyped-def]
    asked = {"customer_id": str(GUEST), "points": 30}
    async with acting(app, HELPER) as client:
        before = (await client.post(f"/cafes/{CAFE}/redemptions/quote", json=asked)).json()
        assert (before["discount"], before["most_points"], before["balance_after"]) == (None, 100, 70)
    await price(app, "1000", "IRR")
    async with acting(app, HELPER) as client:
        after = (await client.post(f"/cafes/{CAFE}/redemptions/quote", json=asked)).json()
        too_many = (await client.post(f"/cafes/{CAFE}/redemptions/quote", json=asked | {"points": 101})).json()
        versions = (await client.get(f"/cafes/{CAFE}/programs")).json()
        (unknown,) = [(await client.post(f"/cafes/{CAFE}/redemptions/quote", json={"customer_id": str(uuid4())}))]
    assert (after["discount"], after["most_discount"], after["currency_unit"]) == ("3000", "10000", "IRT")
    assert (too_many["balance_after"], too_many["discount"]) == (None, "10100")
    assert [each["point_worth"] for each in versions] == [None, "100"]
    assert [each["rules"]["toman_per_point"] for each in versions] == [None, 100]
    assert unknown.status_code == 404
    await count_all(pool)
    async with acting(app, MANAGER) as client:
        shown = (await client.get(f"/cafes/{CAFE}/loyalty/overview")).json()
    assert (shown["outstanding"], shown["worth"], shown["point_worth"]) == (100, "10000", "100")


async def test_rules_stay_readable_for_the_version_before(app, pool: Pool) -> None:  # type: ignore[no-untyped-def]
    await price(app, "100")
    stored = await pool.fetch("SELECT rules, toman_per_point FROM programs WHERE cafe_id = $1 ORDER BY version", CAFE)
    assert ["toman_per_point" in row["rules"] for row in stored] == [False, False]
    assert [row["toman_per_point"] for row in stored] == [None, 100]


@pytest.mark.parametrize("worth", ["0", "0.5", "1000000000001"])
async def test_price_of_a_point_is_whole_toman(app, worth: str) -> None:  # type: ignore[no-untyped-def]
    body = {"rules": {"tier_period": "jalali_year"}, "point_worth": worth}
    async with acting(app, MANAGER) as client:
        answer = await client.post(f"/cafes/{CAFE}/programs", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].endswith("point_worth")


async def test_adjustments_are_listed_with_who_asked_and_who_approved(app) -> None:  # type: ignore[no-untyped-def]
    url = f"/cafes/{CAFE}/customers/{GUEST}/adjustments"
    async with acting(app, MANAGER) as client:
        for points in (5, 6, 900_000):
            body = {"adjustment_id": str(uuid4()), "type": "earned_bonus", "points": points, "reason": "هدیهٔ تولد"}
            await client.post(url, json=body)
        first = (await client.get(f"/cafes/{CAFE}/adjustments", params={"limit": 2})).json()
        rest = (await client.get(f"/cafes/{CAFE}/adjustments", params={"before": first["next_before"]})).json()
        waiting = (await client.get(f"/cafes/{CAFE}/adjustments", params={"state": "pending"})).json()["adjustments"]
    assert sorted(each["points"] for each in first["adjustments"] + rest["adjustments"]) == [5, 6, 900_000]
    assert rest["next_before"] is None
    assert [each["points"] for each in waiting] == [900_000]
    async with acting(app, OWNER) as client:
        await client.post(f"/cafes/{CAFE}/adjustments/{waiting[0]['adjustment_id']}/decision", json={"approve": True})
        of_guest = (await client.get(f"/cafes/{CAFE}/adjustments", params={"customer_id": str(GUEST)})).json()
        of_another = (await client.get(f"/cafes/{CAFE}/adjustments", params={"customer_id": str(uuid4())})).json()
    decided = {each["points"]: (each["created_by"], each["decided_by"]) for each in of_guest["adjustments"]}
    assert decided[900_000] == (str(MANAGER), str(OWNER))
    assert of_another["adjustments"] == []


async def test_staff_see_no_figures_of_the_whole_club(app) -> None:  # type: ignore[no-untyped-def]
    async with acting(app, HELPER) as client:
        assert (await client.get(f"/cafes/{CAFE}/loyalty/overview")).status_code == 403
        assert (await client.get(f"/cafes/{CAFE}/adjustments")).status_code == 403
        assert (await client.get(f"/cafes/{CAFE}/loyalty/lapsing")).status_code == 200


async def test_overview_asks_for_days_in_their_order(app) -> None:  # type: ignore[no-untyped-def]
    async with acting(app, MANAGER) as client:
        for days in ({"since": "2026-05-02", "until": "2026-05-01"}, {"since": "2024-01-01", "until": "2026-05-01"}):
            assert (await client.get(f"/cafes/{CAFE}/loyalty/overview", params=days)).status_code == 422


async def test_overview_reads_kept_figures_alone(app, pool: Pool, database) -> None:  # type: ignore[no-untyped-def]
    """However many guests there are: no statement of it looks at ledger, lots or accounts."""
    await count_all(pool)
    owner = await asyncpg.connect(await database.owner_dsn("loyalty"))
    try:
        for table in ("loyalty_transactions", "point_lots", "customer_loyalty", "loyalty_accounts"):
            await owner.execute(f"REVOKE SELECT ON {table} FROM staff_role")
    finally:
        await owner.close()
    async with acting(app, MANAGER) as client:
        assert (await client.get(f"/cafes/{CAFE}/loyalty/overview")).status_code == 200


async def test_cafe_nobody_told_of_has_no_club(pool: Pool) -> None:
    from shared.errors import NotFound

    async with transaction(pool) as conn:
        with pytest.raises(NotFound):
            await club.overview(conn, cafe_changed().cafe_id.__class__(int=9), None, None)
