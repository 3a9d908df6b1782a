"""What happened and why, in words: put together from five services, some of which may be away."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from services.console.api.rendering import catalogue
from services.console.models.why import Explained, ToldCondition, ToldStep
from services.console.rules.speech import Speech
from services.console.rules.why import TellWhy
from tests.console.house import CAFE, console

NOON = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)
VISIT, GUEST = uuid4(), uuid4()


def step(service: str, what: str, outcome: str, **more: Any) -> ToldStep:
    values = {
        "id": VISIT, "at": NOON, "service": service, "what": what, "outcome": outcome, "rule": None, "as_of": "then",
        "values": {}, "amounts": {}, "currency_unit": "IRT", "because": (), "conditions": (), "not_because": (),
    } | more  # fmt: skip
    return ToldStep(**values)


def condition(rule: str, *, held: bool, depth: int = 0, amounts: Any = None, **values: Any) -> ToldCondition:
    return ToldCondition(rule, held, depth, values, amounts, "IRT")


POINTS = step(
    "loyalty", "points", "earned", rule="program",
    values={"points": 12, "ledger": 12, "program_version": 2, "tier": "silver", "multiplier": "1.2"},
    amounts={"bill": Decimal(10_000), "earn_per": Decimal(1000)},
    conditions=(condition("tier_step", held=False, tier="gold", threshold=1500, period_points=700),),
)  # fmt: skip
BILL = step("visit", "bill", "recorded", rule="till", values={"late_minutes": 3, "device_id": "till-1"})
KNOWN = step("visit", "guest", "known", rule="number", because=(VISIT, GUEST))


def test_step_is_a_sentence_with_what_it_saw_and_its_conditions() -> None:
    said = TellWhy(catalogue(), Speech("en")).step(POINTS)
    assert (said.title, said.by, said.is_bad) == ("Points were earned", "by the rules of that day", False)
    assert said.facts == (
        "points 12 · rules version 2 · tier Silver · times 1.2 · amount 10,000 Toman · per point 1,000 Toman"
    )
    (one,) = said.conditions
    assert (one.text, one.held) == ("Has the points of this tier", False)
    assert one.facts == "tier Gold · from 1,500 · points of this period 700"


def test_persian_has_its_own_digits_and_the_copy_has_every_line() -> None:
    wording = TellWhy(catalogue(), Speech("fa"))
    text = wording.text([wording.step(BILL), wording.step(POINTS)])
    assert text.splitlines()[0] == "۸ آذر ۱۴۰۵، ۱۲:۰۰: صورت‌حساب ثبت شد — از صندوق — صندوق till-1"
    assert text.splitlines()[2].startswith("  ✗ به امتیاز این سطح رسیده است (سطح")
    assert not set("0123456789") & set(text.replace("till-1", ""))


def test_code_that_nobody_knows_is_shown_as_it_is() -> None:
    said = TellWhy(catalogue(), Speech("en")).step(
        step("campaign", "message", "failed", rule="provider_411", values={"campaign": "خوشامد"})
    )
    assert said.by == "provider_411"
    assert "خوشامد" in said.title


def test_a_moment_is_a_moment_of_the_cafe() -> None:
    told = step("customer", "segment", "inside", as_of="now", values={"changes_at": NOON.isoformat(), "name": "VIP"})
    assert "8 Azar 1405, 12:00" in TellWhy(catalogue(), Speech("en")).step(told).facts


@pytest.mark.parametrize("language", ["fa", "en"])
async def test_visit_is_told_by_all_and_the_guest_is_the_bills(language: str) -> None:
    async with console("staff", language) as (browser, told, _):
        base = f"/cafes/{CAFE}/explain/visits/{VISIT}"
        told.answers[base] = Explained((BILL, KNOWN, POINTS), None)
        answer = await browser.get(f"/c/{CAFE}/visits/{VISIT}/why")
        assert answer.status_code == 200
        explained = [(service, more["params"]) for service, _, path, more in told.asked if path == base]
        assert explained[0][0] == "visit"
        assert {(service, params.get("customer_id")) for service, params in explained} == {
            ("visit", None), ("feedback", None), ("loyalty", str(GUEST)), ("customer", str(GUEST)),
            ("campaign", str(GUEST)),
        }  # fmt: skip
        assert ("صورت‌حساب ثبت شد" if language == "fa" else "The bill was recorded") in answer.text


async def test_part_asks_one_service_and_one_that_is_away_is_a_line() -> None:
    async with console() as (browser, told, _):
        part = f"/c/{CAFE}/visits/{VISIT}/why?part=loyalty&guest={GUEST}"
        answer = await browser.get(part, headers={"hx-request": "true"})
        assert answer.status_code == 200
        assert "<html" not in answer.text
        assert "سرویس باشگاه" in answer.text
        asked = [service for service, _, path, _ in told.asked if "explain" in path]
        assert asked == ["loyalty"]


async def test_page_of_a_guest_ends_where_a_service_goes_on() -> None:
    async with console() as (browser, told, _):
        older = step("loyalty", "points", "nothing", at=NOON - timedelta(days=9))
        told.answers[f"/cafes/{CAFE}/explain/guests/{GUEST}"] = Explained((POINTS, older), NOON - timedelta(days=2))
        answer = await browser.get(f"/c/{CAFE}/guests/{GUEST}/why")
        assert answer.text.count("امتیاز گرفت") >= 5
        assert "امتیازی نگرفت" not in answer.text
        assert "before=2026-11-27T08%3A30" in answer.text
        assert len([1 for _, _, path, _ in told.asked if "explain" in path]) == 5
