"""One guest's whole way: a visit over either way in, points, tier, segment, a message, a rating, back to the visit."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import httpx2
import pytest

from deploy.demo import run as demo
from deploy.demo import sample
from deploy.demo import till as pos
from shared.clock import new_id
from shared.database.db import Pool
from shared.persian.phone import canonical
from shared.security.ids import customer_id
from tests.e2e import bills
from tests.e2e.conftest import System, eventually

Bill = Callable[..., dict[str, Any]]
LINK = re.compile(r"https?://\S+/f/[A-Za-z0-9_-]{22}")


@pytest.fixture
def phone() -> str:
    """Our guest's own."""
    return bills.a_phone()


@pytest.fixture
def bill(phone: str) -> Bill:
    """Bills of our guest."""
    return partial(bills.bill, phone=phone)


def guest(system: System, cafe: demo.DemoCafe, phone: str) -> object:
    """The id that every service gives this guest."""
    return customer_id(system.config.keys, cafe.cafe_id, canonical(phone))


async def messages(system: System, phone: str, wanted: str) -> list[str]:
    """Waits for a message to that number that holds `wanted` and returns all such."""
    receptor = canonical(phone).replace("+98", "0")
    async with httpx2.AsyncClient(timeout=10) as client, asyncio.timeout(30):
        while True:
            sent = (await client.get(f"{system.config.sms_endpoint}/control/messages")).raise_for_status().json()
            found = [
                message["message"]
                for message in sent
                if wanted in message["message"] and message["receptor"] == receptor
            ]
            if found:
                return found
            await asyncio.sleep(0.1)


async def opened(browser: httpx2.AsyncClient, link: str, within: float = 30) -> httpx2.Response:
    """Opens the link as a guest does who tries again: the message may be faster than the word of its visit."""
    status = 0
    try:
        async with asyncio.timeout(within):
            while status != 200:
                page = await browser.get(link)
                if (status := page.status_code) != 200:
                    await asyncio.sleep(0.1)
    except TimeoutError:
        pytest.fail(f"still {status}: the page behind the link")
    return page


async def to_kafka(
    system: System, cafe: demo.DemoCafe, kind: str, body: dict[str, Any] | bytes, **headers: bytes
) -> str:
    """Publishes one signed record; `headers` replace what a till would send. Returns its id."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    event_id = str(new_id())
    signed = dict(pos.signed_headers(cafe.api_key, event_id, kind, raw)) | headers
    async with pos.producer(system.config.kafka_servers) as producer:
        topic = f"{system.config.topic_prefix}pos.visits"
        await producer.send_and_wait(topic, raw, key=b"till-1", headers=list(signed.items()))
    return event_id


async def test_visit_earns_thanks_is_rated_and_read_whole(
    system: System,
    cafe: demo.DemoCafe,
    pools: dict[str, Pool],
    till: httpx2.AsyncClient,
    owner: httpx2.AsyncClient,
    phone: str,
    bill: Bill,
) -> None:
    await demo.thank_at_once(system.config, cafe)
    answer = await till.post(f"{system.api('visit')}/visits", json=bill("1"))
    assert answer.status_code == 201, answer.text
    visit_id = answer.json()["visit_id"]

    [text] = await messages(system, phone, "/f/")
    async with httpx2.AsyncClient(follow_redirects=True, timeout=10) as browser:
        link = LINK.search(text)
        assert link is not None
        page = await opened(browser, link[0])
        assert 'dir="rtl"' in page.text
        thanks = await browser.post(link[0], data={"overall_rating": "5", "comment": "عالی بود"})
        assert thanks.status_code == 200, thanks.text
        again = await browser.post(link[0], data={"overall_rating": "1"})
        assert again.status_code in (409, 410)

    who = guest(system, cafe, phone)
    whole = "SELECT (points_earned, feedback_rating)::text FROM customer_visits WHERE id = $1::uuid"
    await eventually(pools["visit"], whole, visit_id, wanted="(120,5)")
    await eventually(
        pools["loyalty"], "SELECT current_points FROM customer_loyalty WHERE customer_id = $1", who, wanted=120
    )
    await eventually(pools["customer"], "SELECT avg_rating::int FROM customer_summary WHERE id = $1", who, wanted=5)
    delivery = "SELECT delivery_status::text FROM campaign_deliveries WHERE customer_id = $1"
    await eventually(pools["campaign"], delivery, who, wanted="opened")
    lookup = await till.post(f"{system.api('loyalty')}/loyalty/lookup", json={"phone": canonical(phone)})
    assert lookup.json()["current_points"] == 120
    shown = await owner.get(f"{system.api('visit')}/cafes/{cafe.cafe_id}/visits/{visit_id}")
    assert shown.json()["points_earned"] == 120


async def test_guest_who_spends_much_becomes_vip_and_is_welcomed_only_with_consent(
    system: System, cafe: demo.DemoCafe, pools: dict[str, Pool], till: httpx2.AsyncClient
) -> None:
    await demo.thank_at_once(system.config, cafe)
    willing, unwilling = "09121110001", "09121110002"
    for receipt, phone, consent in (("w", willing, True), ("u", unwilling, False)):
        big = bills.bill(receipt, phone=phone, marketing_consent=consent, total="1600000", items=[])
        assert (await till.post(f"{system.api('visit')}/visits", json=big)).status_code == 201
    for phone in (willing, unwilling):
        await eventually(
            pools["customer"],
            "SELECT segment::text FROM customers WHERE id = $1",
            guest(system, cafe, phone),
            wanted="vip",
        )
    state = """
        SELECT d.delivery_status::text FROM campaign_deliveries d
        JOIN journeys j ON j.cafe_id = d.cafe_id AND j.campaign_id = d.campaign_id
        WHERE d.customer_id = $1 AND j.trigger = 'segment.entered'"""
    await eventually(pools["campaign"], state, guest(system, cafe, willing), wanted="delivered")
    await eventually(pools["campaign"], state, guest(system, cafe, unwilling), wanted="skipped")


async def test_corrected_and_voided_visits_take_their_points_back(
    system: System,
    cafe: demo.DemoCafe,
    pools: dict[str, Pool],
    till: httpx2.AsyncClient,
    phone: str,
    bill: Bill,
) -> None:
    who, visits = guest(system, cafe, phone), f"{system.api('visit')}/visits"
    points = "SELECT current_points FROM customer_loyalty WHERE customer_id = $1"
    old = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    for receipt in ("1", "2"):
        assert (await till.post(visits, json=bill(receipt, occurred_at=old))).status_code == 201
    await eventually(pools["loyalty"], points, who, wanted=240)
    change = bill("1", occurred_at=old, total="50000", items=[], corrected_at=datetime.now(UTC).isoformat())
    assert (await till.post(f"{visits}/corrections", json=change)).status_code == 200
    await eventually(pools["loyalty"], points, who, wanted=170)
    void = {
        "device_id": "till-1",
        "receipt_number": "2",
        "voided_at": datetime.now(UTC).isoformat(),
        "reason": "mistake",
    }
    await to_kafka(system, cafe, "pos.visit_voided", void)
    await eventually(pools["loyalty"], points, who, wanted=50)
    await eventually(
        pools["customer"],
        "SELECT lifetime_spent::int FROM customer_activity WHERE customer_id = $1",
        who,
        wanted=50_000,
    )


BAD_RECORDS: list[tuple[str, bytes | dict[str, Any], dict[str, bytes]]] = [
    ("wrong_signature", bills.bill("b1"), {"pos_signature": b"v1,AAAA"}),
    ("unknown_key", bills.bill("b2"), {"pos_key_id": b"nobodys_keys"}),
    ("malformed", b"{not json", {}),
    ("malformed", bills.bill("b3", total="-1"), {}),
    ("malformed", bills.bill("b4", total="9" * 30), {}),
    ("malformed", bills.bill("b5", occurred_at="2030-01-01T00:00:00+00:00"), {}),
    ("malformed", bills.bill("b6", discount="120001"), {}),
    ("malformed", bills.bill("b7", cafe_id=str(new_id())), {}),
    ("malformed", bills.bill("b8", phone="12"), {}),
]


@pytest.mark.parametrize(("reason", "body", "headers"), BAD_RECORDS)
async def test_bad_record_is_parked_and_the_next_visit_flows(
    reason: str, body: Any, headers: dict[str, bytes], system: System, cafe: demo.DemoCafe, pools: dict[str, Pool]
) -> None:
    event_id = await to_kafka(system, cafe, "pos.visit_recorded", body, **headers)
    await to_kafka(system, cafe, "pos.visit_recorded", bills.bill("good"))
    await eventually(pools["visit"], "SELECT count(*) FROM customer_visits WHERE cafe_id = $1", cafe.cafe_id, wanted=1)
    await eventually(pools["visit"], "SELECT reason FROM crm.parked WHERE event_id = $1", event_id, wanted=reason)


async def test_bad_bill_over_http_is_answered_by_field_in_both_languages(
    system: System, till: httpx2.AsyncClient
) -> None:
    answer = await till.post(
        f"{system.api('visit')}/visits", json=bills.bill("x", total="-1", phone="12", colour="red")
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    faults = {fault["field"]: fault for fault in answer.json()["errors"]}
    assert {"total", "phone", "colour"} <= faults.keys()
    assert all(re.search("[آ-ی]", fault["fa"]) and fault["en"] for fault in faults.values())


async def test_till_of_another_cafe_sees_nothing_of_this_one(
    system: System,
    cafe: demo.DemoCafe,
    pools: dict[str, Pool],
    till: httpx2.AsyncClient,
    owner: httpx2.AsyncClient,
    phone: str,
    bill: Bill,
) -> None:
    assert (await till.post(f"{system.api('visit')}/visits", json=bill("1"))).status_code == 201
    await eventually(
        pools["loyalty"], "SELECT current_points FROM customer_loyalty WHERE cafe_id = $1", cafe.cafe_id, wanted=120
    )
    stranger = demo.make_cafe(print)
    async with httpx2.AsyncClient(timeout=10, headers={"X-Api-Key": stranger.api_key}) as client:
        await demo.known_everywhere(pools, stranger)
        looked = await client.post(f"{system.api('loyalty')}/loyalty/lookup", json={"phone": phone})
        assert looked.status_code == 404 or looked.json()["current_points"] == 0
    foreign = await owner.get(f"{system.api('visit')}/cafes/{stranger.cafe_id}/visits")
    assert foreign.status_code == 404


async def test_sample_guests_of_the_schema_document_hold_their_numbers(system: System, cafe: demo.DemoCafe) -> None:
    summary = await sample.load(system.config, print)
    assert (summary["current_points"], summary["total_visits"]) == (250, 15)
    assert Decimal(summary["lifetime_spent"]) == 1_250_000
    assert summary["name"] == "احمد محمدی"
