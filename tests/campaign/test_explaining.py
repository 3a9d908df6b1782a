"""Why a guest got a message or not: the first check that failed is the code that is kept, and journeys that did not
begin say what was in the way."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx2
import msgspec
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from services.campaign.journeys.handlers import enrolling, tracing
from services.campaign.journeys.rules.explaining import code_of
from services.campaign.messages.decide import CHECKS, decide
from services.campaign.messages.handlers import recipients
from services.campaign.messages.models.values import SentSoFar
from shared.clock import new_id, now
from shared.database.db import transaction
from shared.events.customer import CustomerErased
from shared.inputs.explaining import ALWAYS, MOST_EXPLAINED, NEVER, ExplainedStep, Explanation
from tests.campaign.conftest import CLERK, MANAGER, PHONE, World, sign_in
from tests.campaign.test_rules import CAFE, CONTACT, NOON, PENDING, PROVIDER, facts

CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "pending": st.builds(
            replace,
            st.just(PENDING),
            campaign_status=st.sampled_from(["sending", "cancelled", "failed"]),
            cancelled_for=st.sampled_from([None, "visit_voided"]),
            expires_at=st.sampled_from([NOON + timedelta(hours=hours) for hours in (-1, 1, 48)]),
            purpose=st.sampled_from(["service", "marketing"]),
            segments=st.sampled_from([None, ("vip_customers",)]),
            budget=st.sampled_from([None, Decimal(50), Decimal(900)]),
            template=st.sampled_from(["t", "{{name"]),
        ),
        "cafe": st.sampled_from([CAFE, None, replace(CAFE, is_active=False), replace(CAFE, monthly_budget=Decimal(1))]),
        "contact": st.sampled_from([
            CONTACT, None, replace(CONTACT, status="blocked"), replace(CONTACT, line_blocked=True),
            replace(CONTACT, consents={}), replace(CONTACT, complaints=(new_id(),)), replace(CONTACT, phone=None),
            replace(CONTACT, phone=None, erased=True),
        ]),
        "providers": st.sampled_from([(), (PROVIDER,), (replace(PROVIDER, daily_limit=0),)]),
        "tally": st.sampled_from([SentSoFar(), SentSoFar(today={PENDING.customer_id: 3})]),
        "text": st.sampled_from(["سلام", "", "ب" * 5000]),
        "moment": st.sampled_from([NOON, NOON + timedelta(hours=12), NOON + timedelta(days=1)]),
    },
)  # fmt: skip


@settings(max_examples=1000, deadline=None)
@given(CHANGES)
def test_first_check_that_failed_is_the_code_of_a_message_that_is_not_sent(changes: dict[str, Any]) -> None:
    decision = decide(facts(**changes))
    checks = msgspec.json.decode(msgspec.json.encode(decision.checks))
    failed = [code_of(each) for each in checks if not each["passed"]]
    if decision.outcome == "send":
        assert failed == []
        assert [each["check"] for each in checks] == list(CHECKS)
    else:
        assert failed == [decision.reason]


async def of_guest(world: World, guest: Any, since: Any = ALWAYS, before: Any = NEVER) -> Explanation:
    async with transaction(world.pool) as conn:
        return await tracing.explain_guest(conn, world.cafe_id, guest, since, before)


async def of_visit(world: World, visit: Any) -> Explanation:
    async with transaction(world.pool) as conn:
        return await tracing.explain_visit(conn, world.cafe_id, visit.visit_id, visit.customer_id)


def only(found: Explanation, what: str, key: str | None = None) -> ExplainedStep:
    (step,) = [each for each in found.steps if each.what == what and (key is None or each.values["journey_key"] == key)]
    return step


async def test_skipped_messages_say_the_code_that_is_kept(world: World) -> None:
    for number, spoil in enumerate(("consent", "void", "erase", "nothing", "cap")):
        guest = await world.add_guest(f"+9891211122{number:02}")
        if spoil == "consent":
            await world.consent(guest, granted=False, purpose="service")
        if spoil == "cap":
            await world.pool.execute("UPDATE messaging_settings SET guest_daily_cap = 1")
            await world.record_visit(guest, minutes_ago=60)
        visit = await world.record_visit(guest, minutes_ago=60)
        if spoil == "void":
            await world.void(visit)
        if spoil == "erase":
            erased = CustomerErased(cafe_id=world.cafe_id, occurred_at=now(), customer_id=guest)
            await world.react(recipients.on_customer_erased, erased)
    await world.run_jobs()
    rows = await world.pool.fetch("SELECT * FROM campaign_deliveries WHERE delivery_status = 'skipped'")
    assert len(rows) >= 2
    for row in rows:
        found = await of_guest(world, row["customer_id"])
        (message,) = [each for each in found.steps if each.what == "message" and each.id == row["id"]]
        assert (message.outcome, message.rule, message.not_because) == (
            "skipped",
            row["error_code"],
            [row["error_code"]],
        )
        decisions = [each for each in found.steps if each.what == "decision" and each.id == row["id"]]
        assert decisions[0].not_because == [row["error_code"]]
        assert decisions[0].conditions == message.conditions


async def test_visit_leads_to_its_journey_and_message_and_names_those_that_did_not_begin(world: World) -> None:
    guest = await world.add_guest()
    visit = await world.record_visit(guest, minutes_ago=60)
    await world.run_jobs()
    found = await of_visit(world, visit)
    thanks = only(found, "journey", "thanks")
    assert (thanks.outcome, thanks.because, thanks.values["state"]) == ("enrolled", [visit.visit_id], "queued")
    message = only(found, "message")
    assert message.outcome == "sent"
    assert visit.visit_id in message.because
    assert [each.rule for each in message.conditions] == list(CHECKS)
    assert all(each.held for each in message.conditions)
    assert set(next(each for each in message.conditions if each.rule == "budget").amounts or ()) == {
        "cost", "campaign", "month"
    }  # fmt: skip
    unheard = await of_visit(world, world.visit(guest))
    absent = only(unheard, "journey", "thanks")
    assert (absent.outcome, absent.not_because) == ("not_enrolled", ["no_run"])
    await world.pool.execute("UPDATE journeys SET is_active = false")
    assert only(await of_visit(world, world.visit(guest)), "journey", "thanks").not_because == ["is_active"]


async def test_late_visit_is_told_with_its_age(world: World) -> None:
    guest = await world.add_guest()
    visit = await world.record_visit(guest, minutes_ago=3 * 24 * 60)
    step = only(await of_visit(world, visit), "journey", "thanks")
    assert (step.outcome, step.not_because) == ("not_enrolled", ["too_late"])
    (age,) = step.conditions
    assert (age.rule, age.held, age.values) == ("age", False, {"minutes": 3 * 24 * 60, "most": 1440})


async def test_stay_that_began_no_journey_says_what_was_in_the_way(world: World) -> None:
    guest = await world.add_guest()
    await world.enter_vip(guest, reason="definition")
    step = only(await of_guest(world, guest), "journey")
    assert (step.outcome, step.values["segment_key"], step.not_because) == (
        "not_enrolled", "vip_customers", ["starts_on"]
    )  # fmt: skip
    await world.leave_vip(guest)
    await world.enter_vip(guest)
    await world.leave_vip(guest)
    await world.enter_vip(guest)
    steps = [each for each in (await of_guest(world, guest)).steps if each.what == "journey"]
    assert sorted((each.outcome, *each.not_because) for each in steps) == [
        ("enrolled",), ("not_enrolled", "entered_before")
    ]  # fmt: skip


async def test_visit_of_nobody_has_no_steps_and_a_long_story_goes_on(world: World) -> None:
    assert (await of_visit(world, world.visit(None))).steps == []
    guest = await world.add_guest()
    visits = [world.visit(guest, minutes_ago=10 + number) for number in range(70)]
    await world.react(enrolling.on_visit_recorded, *visits)
    told, before = list[Any](), NEVER
    while True:
        found = await of_guest(world, guest, before=before)
        assert len(found.steps) <= MOST_EXPLAINED
        told += [step.because[0] for step in found.steps]
        if found.next_before is None:
            break
        before = found.next_before
    assert told == [visit.visit_id for visit in visits]


@pytest.mark.parametrize(("user", "sees"), [(CLERK, False), (MANAGER, True)])
async def test_amounts_are_for_managers_and_nothing_personal_is_told(
    world: World, app: FastAPI, client: httpx2.AsyncClient, user: Any, sees: bool
) -> None:
    guest = await world.add_guest()
    visit = await world.record_visit(guest, minutes_ago=60)
    await world.run_jobs()
    sign_in(app, user)
    base = f"/cafes/{world.cafe_id}/explain"
    for path in (f"/guests/{guest}", f"/visits/{visit.visit_id}?customer_id={guest}"):
        answer = await client.get(base + path)
        (message,) = [each for each in answer.json()["steps"] if each["what"] == "message"]
        assert (message["amounts"] is not None) == sees
        assert all((each["amounts"] is not None) == sees for each in message["conditions"])
        assert "سارا" not in answer.text
        assert PHONE[3:] not in answer.text
