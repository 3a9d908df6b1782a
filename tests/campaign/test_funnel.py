"""From whom a campaign was for to who came back: the steps add up, equal what the tables say, and a page of messages
behind them reads no more than itself."""

from collections import Counter
from decimal import Decimal
from typing import Any, get_args

import asyncpg
import httpx2
import pytest
from fastapi import FastAPI

from deploy.crm.invariants import RESULTS
from services.campaign.campaigns.handlers import resulting
from services.campaign.campaigns.models.values import DeliveryState
from services.campaign.journeys.handlers import enrolling
from services.campaign.messages.decide import CHECKS
from services.campaign.messages.handlers import replies
from services.campaign.messages.rules.funnel import OF_GUEST
from services.campaign.messages.rules.results import REASONS
from shared.clock import new_id, now
from shared.database.db import transaction
from shared.events.visit import VisitClaimed
from tests.campaign.conftest import CLERK, MANAGER, OWNER, STRANGER, Simulator, World, sign_in
from tests.campaign.test_results import started
from tests.support import Databases

READ = """
SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables
"""
TRUTH = """
SELECT count(*) FILTER (WHERE sent_at IS NOT NULL) AS sent,
       count(*) FILTER (WHERE delivered_at IS NOT NULL) AS delivered,
       count(*) FILTER (WHERE sent_at IS NOT NULL AND delivery_status IN ('failed', 'bounced')) AS undelivered,
       count(*) FILTER (WHERE delivery_status IN ('queued', 'sending')) AS waiting,
       count(*) FILTER (WHERE reply_received) AS replied,
       count(*) FILTER (WHERE delivered_at IS NOT NULL AND returned_by <> '{}') AS returned, count(*) AS recipients
FROM campaign_deliveries WHERE campaign_id = $1 AND NOT is_test
"""


async def funnel(client: httpx2.AsyncClient, world: World, own: str) -> dict[str, Any]:
    """The funnel, once it has been added up and compared with the messages."""
    answer = (await client.get(f"{own}/results")).json()
    found: dict[str, Any] = answer["funnel"]
    assert found["recipients"] == found["barred"] + found["allowed"]
    assert found["allowed"] == found["dropped"] + found["failed"] + found["waiting"] + found["sent"]
    assert found["sent"] == found["undelivered"] + found["on_the_way"] + found["delivered"]
    assert found["returned"] <= found["delivered"]
    lost = Counter[str]()
    for each in found["lost"]:
        lost[each["loss"]] += each["messages"]
        assert all((each["en"], each["fa"]))
    assert lost == Counter(
        {loss: found[loss] for loss in ("barred", "dropped", "failed", "undelivered") if found[loss]}
    )
    truth = await world.pool.fetchrow(TRUTH, own.rpartition("/")[2])
    assert dict(truth) == {name: found[name] for name in truth.keys()}  # noqa: SIM118
    assert await world.pool.fetch(RESULTS, world.cafe_id) == []
    return found


async def page(client: httpx2.AsyncClient, own: str, **asked: Any) -> list[dict[str, Any]]:
    """All messages of that question, two at a time."""
    rows: list[dict[str, Any]] = []
    after = None
    while True:
        query = {name: value for name, value in {**asked, "after": after, "limit": 2}.items() if value is not None}
        answer = await client.get(f"{own}/deliveries", params=query)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["deliveries"]
        after = answer.json()["after"]
        if after is None:
            return rows


async def test_funnel_adds_up_at_every_step_and_shows_the_guests_behind_each(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    simulator.network.refused = {"09120000002"}
    guests = [await world.add_guest(f"+98912000000{n}", marketing=n not in (3, 4)) for n in range(8)]
    own = await started(app, client, world, budget="1000000")
    assert (await funnel(client, world, own))["recipients"] == 0
    await world.run_jobs()
    sent = await funnel(client, world, own)
    assert {name: sent[name] for name in ("recipients", "barred", "failed", "sent", "on_the_way")} == {
        "recipients": 8, "barred": 2, "failed": 1, "sent": 5, "on_the_way": 5,
    }  # fmt: skip
    # One comes before the provider says that it arrived, one twice afterwards, one by a bill that named nobody first.
    await world.react(enrolling.on_visit_recorded, world.visit(guests[0], minutes_ago=-5))
    assert (await funnel(client, world, own))["returned"] == 0
    simulator.network.ends = {"09120000001": 14}
    for _ in range(3):
        simulator.network.move(everything=True)
    await world.poll()
    arrived = await funnel(client, world, own)
    assert arrived["returned"] == 1
    twice = [world.visit(guests[5], minutes_ago=-5), world.visit(guests[5], minutes_ago=-50)]
    await world.react(enrolling.on_visit_recorded, *twice)
    named = world.visit(guests[6], minutes_ago=-7)
    claimed = VisitClaimed(**{field: getattr(named, field) for field in named.__struct_fields__}, claimed_at=now())
    await world.react(enrolling.on_visit_claimed, claimed)
    late = world.visit(guests[7], minutes_ago=-8 * 24 * 60)
    await world.react(enrolling.on_visit_recorded, late, world.visit(guests[7], minutes_ago=5), world.visit(new_id()))
    assert (await funnel(client, world, own))["returned"] == 3
    await world.void(twice[0])
    assert (await funnel(client, world, own))["returned"] == 3
    await world.void(twice[1])
    await world.void(late)
    assert (await funnel(client, world, own))["returned"] == 2
    for _ in range(2):
        async with transaction(world.pool) as conn:
            await replies.take_reply(conn, world.config.keys, world.cafe_id, "09120000005", "سلام")
    whole = await funnel(client, world, own)
    assert whole["replied"] == 1
    behind = {state: {row["customer_id"] for row in await page(client, own, status=state)} for state in STATES}
    assert {state: len(behind[state]) for state in STATES} == {
        "waiting": whole["waiting"], "on_the_way": whole["on_the_way"], "delivered": whole["delivered"],
        "undelivered": whole["undelivered"], "failed": whole["failed"], "skipped": whole["barred"] + whole["dropped"],
        "returned": whole["returned"], "replied": whole["replied"],
    }  # fmt: skip
    assert behind["failed"] == {str(guests[2])}
    assert behind["skipped"] == {str(guests[3]), str(guests[4])}
    assert behind["returned"] == {str(guests[0]), str(guests[6])}
    assert behind["undelivered"] == {str(guests[1])}
    for each in whole["lost"]:
        status = "skipped" if each["loss"] in ("barred", "dropped") else each["loss"]
        rows = await page(client, own, status=status, reason=each["reason"])
        assert len(rows) == each["messages"]
        assert {row["reason"] for row in rows} == {each["reason"]}
        assert all(row["fa"] and row["en"] for row in rows)
    rows = await page(client, own)
    assert sorted(row["customer_id"] for row in rows) == [row["customer_id"] for row in rows]
    assert {row["customer_id"] for row in rows} == {str(guest) for guest in guests}
    costs = sum((Decimal(row["cost"]) for row in rows if row["cost"] and row["is_sent"]), Decimal(0))
    shown = (await client.get(f"{own}/results")).json()
    assert (Decimal(shown["actual_cost"]), shown["currency_unit"], shown["budget"]) == (costs, "IRR", "1000000.00")


STATES = get_args(DeliveryState)


async def test_results_and_messages_are_for_managers_and_of_campaigns_of_one_time(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await world.add_guest()
    own = await started(app, client, world)
    await client.post(f"{own}/test", json={"phone": "09129999999"})
    await world.run_jobs()
    assert len(await page(client, own)) == 1
    standing = f"/cafes/{world.cafe_id}/campaigns/{(await world.campaign())['id']}"
    for part in ("results", "deliveries"):
        assert (await client.get(f"{standing}/{part}")).json()["code"] == "of_a_journey"
        for user, status in ((CLERK, 403), (STRANGER, 404), (MANAGER, 200)):
            sign_in(app, user)
            assert (await client.get(f"{own}/{part}")).status_code == status
    await world.pool.execute("UPDATE campaigns SET recount_at = now()")
    assert (await client.get(f"{own}/results")).json()["code"] == "being_counted"


async def test_word_for_the_next_page_is_of_its_own_list(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    for number in range(3):
        await world.add_guest(f"+98912000000{number}", marketing=False)
    own = await started(app, client, world)
    await world.run_jobs()
    after = (await client.get(f"{own}/deliveries", params={"status": "skipped", "limit": 2})).json()["after"]
    for asked in ({"after": after}, {"after": after, "status": "failed"}, {"after": "x"}, {"after": "WzEsMl0"}):
        refused = await client.get(f"{own}/deliveries", params=asked)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "no_bookmark")
    for asked in ({"reason": "consent"}, {"reason": "consent", "status": "returned"}):
        assert (await client.get(f"{own}/deliveries", params=asked)).json()["code"] == "reason_without_status"


async def test_preview_of_a_draft_adds_up_and_keeps_nothing(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    for number in range(7):
        await world.add_guest(f"+98912000000{number}", "سارا" * (10 if number == 0 else 1), marketing=number > 1)
    await world.add_guest("+989120000008", "مهمانی با نام بسیار بلند در این کافه")
    sign_in(app, OWNER)
    base = f"/cafes/{world.cafe_id}"
    await client.put(f"{base}/messaging", json={"guest_daily_cap": 3, "monthly_budget": "5000"})
    sign_in(app, MANAGER)
    body = {"target": {"everyone": True}, "template": "{{name|دوست}} عزیز، " + "یلدا مبارک " * 4, "budget": "90000"}
    before = await world.pool.fetchval("SELECT count(*) FROM campaigns")
    shown = (await client.post(f"{base}/campaigns/preview", json=body)).json()
    assert (shown["guests"], shown["reached"]) == (8, 6)
    assert shown["guests"] == shown["reached"] + sum(each["guests"] for each in shown["not_reached"])
    assert shown["parts_of_samples"] == [{"parts": 1, "guests": 5}, {"parts": 2, "guests": 1}]
    assert (len(shown["samples"]), shown["parts"]) == (5, 2)
    assert Decimal(shown["cost"]) == 6 * Decimal(shown["cost_of_one"])
    assert (shown["is_affordable"], shown["is_within_month"], shown["month_left"]) == (True, False, "5000.00")
    assert shown["asks_another"] is True
    quick = (await client.post(f"{base}/campaigns/preview", json=body | {"counts": False})).json()
    assert (quick["guests"], quick["cost_of_one"], quick["samples"]) == (0, shown["cost_of_one"], shown["samples"])
    assert await world.pool.fetchval("SELECT count(*) FROM campaigns") == before
    assert simulator.texts == []
    wrong = await client.post(f"{base}/campaigns/preview", json=body | {"template": "{{nmae}}"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_template")
    sign_in(app, CLERK)
    assert (await client.post(f"{base}/campaigns/preview", json=body)).status_code == 403


GUESTS = 20_000
FILL = """
INSERT INTO campaign_deliveries (id, cafe_id, campaign_id, customer_id, trigger_id, local_id, message_content,
                                 queued_at, due_at, expires_at, correlation_id, delivery_status, error_code, sent_at,
                                 failed_at, channel)
SELECT gen_random_uuid(), $1, $2, gen_random_uuid(), $2, n, 'x', now(), now(), now(), $2,
       (ARRAY['skipped', 'bounced', 'failed', 'delivered'])[n % 4 + 1]::delivery_status_enum,
       CASE n % 4 WHEN 0 THEN CASE n % 400 WHEN 0 THEN 'complaint' ELSE 'consent' END WHEN 3 THEN NULL ELSE '411' END,
       CASE WHEN n % 4 IN (1, 3) THEN now() END, now(), 'sms'
FROM generate_series(1, $3::int) AS n
"""


@pytest.mark.parametrize(
    ("status", "reason"),
    [(None, None), ("skipped", None), ("skipped", "complaint"), ("undelivered", None), ("failed", "411"),
     ("delivered", None), ("waiting", None), ("returned", None), ("replied", None)],
)  # fmt: skip
async def test_page_of_messages_reads_no_more_than_itself(
    database: Databases, app: FastAPI, client: httpx2.AsyncClient, world: World, status: Any, reason: Any
) -> None:
    own = await started(app, client, world)
    campaign_id = await world.pool.fetchval("SELECT id FROM campaigns WHERE status = 'scheduled'")
    assert own.endswith(str(campaign_id))
    await world.pool.execute(FILL, world.cafe_id, campaign_id, GUESTS)
    owner = await asyncpg.connect(await database.owner_dsn("campaign"))
    await owner.execute("ANALYZE campaign_deliveries")
    await owner.close()
    async with transaction(world.pool) as conn:
        before = await _read(conn)
        rows, after = await resulting.list_deliveries(conn, world.cafe_id, campaign_id, status, reason, None, 20)
        more, _ = await resulting.list_deliveries(conn, world.cafe_id, campaign_id, status, reason, after, 20)
        await resulting.results_of(conn, world.cafe_id, campaign_id)
        read = (await _read(conn) - before)["campaign_deliveries"]
    assert not {row["customer_id"] for row in rows} & {row["customer_id"] for row in more} or after is None
    assert read <= 100


async def _read(conn: Any) -> Counter[str]:
    return Counter({row["relname"]: row["rows"] for row in await conn.fetch(READ)})


def test_reasons_of_guests_are_reasons() -> None:
    assert set(REASONS) >= OF_GUEST
    assert OF_GUEST - {"erased", "left_segment"} <= set(CHECKS)
