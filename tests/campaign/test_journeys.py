"""Journeys about segments: what starts them, how often, and that what is held is judged again when it is taken up."""

from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2
import pytest
from fastapi import FastAPI

from services.campaign.audience.handlers import guests as guests_handlers
from services.campaign.campaigns.handlers import expanding
from services.campaign.journeys.handlers import enrolling, explaining
from services.campaign.journeys.models.values import StartReason
from services.campaign.journeys.rules import beginnings
from services.campaign.messages.handlers import recipients
from services.customer.rules.causes import REASONS
from shared.clock import new_id, now
from shared.database.db import transaction
from shared.events.customer import CustomerErased
from shared.events.feedback import CaseClosed, CaseOpened
from tests.campaign.conftest import MANAGER, SECOND, Simulator, World, sign_in
from tests.campaign.test_api import CAMPAIGN

DAY = timedelta(days=1)
SEGMENT = UUID(int=7)


async def set_journey(world: World, **values: Any) -> None:
    """What a manager may set on the welcome of VIPs."""
    for column, value in values.items():
        await world.pool.execute(f"UPDATE journeys SET {column} = $1 WHERE journey_key = 'vip_welcome'", value)


async def runs(world: World) -> list[tuple[str, str | None]]:
    rows = await world.pool.fetch("SELECT state::text, reason FROM journey_runs ORDER BY occurred_at, state")
    return [(row["state"], row["reason"]) for row in rows]


async def not_begun(world: World, guest: UUID) -> list[tuple[str, str]]:
    async with transaction(world.pool) as conn:
        explained = await explaining.explain_guest(conn, world.cafe_id, guest, 50)
    return [(each["journey_key"], each["reason"]) for each in explained["not_begun"]]


# --- what starts one ---


@pytest.mark.parametrize(
    "reason", ["definition", "rebuild", "visit_corrected", "visit_voided", "tier", "profile", None]
)
async def test_nothing_but_a_visit_or_time_starts_a_journey_and_staff_see_why_not(
    reason: str | None, world: World, simulator: Simulator
) -> None:
    guest = await world.add_guest()
    await world.enter_vip(guest, reason=reason, visit_at=None)
    await world.run_jobs()
    assert (simulator.texts, await runs(world)) == ([], [])
    assert await not_begun(world, guest) == [("vip_welcome", reason or "unknown")]


async def test_visit_and_time_start_a_journey(world: World, simulator: Simulator) -> None:
    for number, why in enumerate(({"reason": "visit"}, {"reason": "time", "visit_at": None})):
        guest = await world.add_guest(f"+98912000000{number}")
        await world.enter_vip(guest, **why)
        assert await not_begun(world, guest) == []
    await world.run_jobs()
    assert len(simulator.texts) == 2


async def test_late_visit_starts_no_journey_however_soon_it_was_judged(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    await world.enter_vip(guest, visit_at=now() - 2 * DAY)
    await world.run_jobs()
    assert simulator.texts == []
    assert await runs(world) == [("skipped", "too_late")]
    # What was too late for a welcome was none: the next visit of today may be welcomed.
    await world.leave_vip(guest)
    await world.enter_vip(guest)
    await world.run_jobs()
    assert len(simulator.texts) == 1


async def test_message_expires_by_the_time_of_the_visit(world: World) -> None:
    visit_at = now() - timedelta(hours=20)
    await world.enter_vip(await world.add_guest(), visit_at=visit_at)
    await world.hold()
    assert (await world.delivery())["expires_at"] == visit_at + DAY


async def test_manager_says_what_starts_a_journey(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    sign_in(app, MANAGER)
    found = (await client.get(f"/cafes/{world.cafe_id}/journeys")).json()
    [vip] = [journey for journey in found if journey["journey_key"] == "vip_welcome"]
    assert (vip["starts_on"], vip["reentry"], vip["reentry_days"]) == (["visit", "time"], "never", None)
    address = f"/cafes/{world.cafe_id}/journeys/{vip['id']}"
    change = {"starts_on": ["definition"], "reentry": "after_days", "reentry_days": 30}
    assert (await client.patch(address, json=change)).status_code == 202
    sign_in(app, SECOND)
    answer = await client.post(f"{address}/versions/2/decision", json={"approve": True})
    assert {name: answer.json()[name] for name in change} == change
    await world.enter_vip(await world.add_guest(), reason="definition", visit_at=None)
    await world.run_jobs()
    assert len(simulator.texts) == 1
    answer = await client.patch(address, json={"reentry": "every_stay"})
    assert (answer.json()["reentry"], answer.json()["reentry_days"]) == ("every_stay", None)


@pytest.mark.parametrize(
    ("key", "change", "fields"),
    [
        ("vip_welcome", {"reentry": "after_days"}, {"reentry_days"}),
        ("vip_welcome", {"reentry_days": 3}, {"reentry_days"}),
        ("vip_welcome", {"reentry": "every_stay", "reentry_days": 3}, {"reentry_days"}),
        ("vip_welcome", {"starts_on": []}, {"starts_on"}),
        ("vip_welcome", {"starts_on": ["rebuild"]}, {"starts_on.0"}),
        ("thanks", {"starts_on": ["time"], "reentry": "every_stay"}, {"starts_on", "reentry"}),
    ],
)
async def test_contradictions_are_refused_by_field(
    key: str, change: dict[str, Any], fields: set[str], app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    journey = await world.pool.fetchval("SELECT id FROM journeys WHERE journey_key = $1", key)
    answer = await client.patch(f"/cafes/{world.cafe_id}/journeys/{journey}", json=change)
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json()["errors"]} == fields


def test_reasons_of_nobody_start_nothing_and_all_have_words() -> None:
    assert not {"rebuild", "erased"} & set(get_args(StartReason))
    assert {*get_args(StartReason), "rebuild", "unknown"} == set(beginnings.BY)
    assert {*REASONS.values(), "visit"} <= set(beginnings.BY)


async def test_staff_read_in_both_languages_why_nothing_came(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    guest = await world.add_guest()
    await world.record_visit(guest, minutes_ago=3000)
    await world.enter_vip(guest, reason="definition", visit_at=None)
    told = (await client.get(f"/cafes/{world.cafe_id}/guests/{guest}/messages")).json()
    assert [(run["reason"], run["en"], run["fa"]) for run in told["runs"]] == [
        ("too_late", *beginnings.OF_RUNS["too_late"])
    ]
    [missing] = told["not_begun"]
    assert (missing["reason"], missing["segment_key"]) == ("definition", "vip_customers")
    assert "a changed definition" in missing["en"]
    assert "تغییر تعریف بخش" in missing["fa"]


# --- how often ---


@pytest.mark.parametrize(
    ("rule", "welcomes"),
    [
        ({"reentry": "never"}, 1),
        ({"reentry": "every_stay"}, 3),
    ],
)
async def test_each_stay_counts_by_the_rule_whatever_comes_again(
    rule: dict[str, Any], welcomes: int, world: World, simulator: Simulator
) -> None:
    await set_journey(world, **rule)
    guest = await world.add_guest()
    for _ in range(3):
        entered = await world.enter_vip(guest)
        await world.react(enrolling.on_segment_entered, entered, entered)
        await world.run_jobs()
        await world.react(enrolling.on_segment_entered, entered)
        await world.leave_vip(guest)
    await world.run_jobs()
    assert len(simulator.texts) == welcomes
    assert sorted(await runs(world)) == sorted(
        [("queued", None)] * welcomes + [("skipped", "entered_before")] * (3 - welcomes)
    )


async def test_journey_takes_a_guest_again_after_its_days(world: World, simulator: Simulator) -> None:
    await world.pool.execute("UPDATE journeys SET reentry = 'after_days', reentry_days = 30 WHERE segment_key <> ''")
    guest = await world.add_guest()
    for days_since, welcomes in ((0, 1), (29, 1), (30, 2)):
        await world.pool.execute("UPDATE journey_entries SET last_at = now() - make_interval(days => $1)", days_since)
        await world.enter_vip(guest)
        await world.run_jobs()
        assert len(simulator.texts) == welcomes
        await world.leave_vip(guest)


async def test_who_was_welcomed_by_the_version_before_is_not_welcomed_again(world: World, simulator: Simulator) -> None:
    guest, moment = await world.add_guest(), now()
    await world.pool.execute(
        "INSERT INTO journey_runs SELECT cafe_id, id, $1, $2, $3, $3, 'queued', NULL, $2, $2, $3 FROM journeys"
        " WHERE journey_key = 'vip_welcome'",
        SEGMENT, guest, moment - 100 * DAY,
    )  # fmt: skip
    await world.enter_vip(guest)
    await world.run_jobs()
    assert simulator.texts == []
    assert ("skipped", "entered_before") in await runs(world)


# --- complaints ---


def case_of(world: World, guest: UUID, case_id: UUID, at: datetime) -> dict[str, Any]:
    return {
        "cafe_id": world.cafe_id, "occurred_at": at, "customer_id": guest, "visit_id": None, "feedback_id": new_id(),
        "case_id": case_id,
    }  # fmt: skip


async def complain(world: World, guest: UUID, case_id: UUID, at: datetime | None = None) -> None:
    at = at or now()
    await world.react(guests_handlers.keep_cases, CaseOpened(**case_of(world, guest, case_id, at), due_at=at + DAY))


async def settle(world: World, guest: UUID, case_id: UUID, at: datetime | None = None) -> None:
    await world.react(guests_handlers.keep_cases, CaseClosed(**case_of(world, guest, case_id, at or now())))


async def test_open_complaint_holds_advertising_and_no_thanks(world: World, simulator: Simulator) -> None:
    await set_journey(world, reentry="every_stay")
    guest, first, second = await world.add_guest(), new_id(), new_id()
    await complain(world, guest, first)
    await complain(world, guest, second)
    await settle(world, guest, second)
    await world.enter_vip(guest)
    await world.record_visit(guest)
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert sorted(await world.decisions()) == [("send", "all_checks_passed"), ("skip", "complaint")]
    checks = await world.pool.fetchval("SELECT checks FROM send_decisions WHERE reason = 'complaint'")
    assert checks[-1] == {"check": "complaint", "passed": False, "detail": {"cases": [str(first)]}}

    await settle(world, guest, first)
    await world.leave_vip(guest)
    await world.enter_vip(guest)
    await world.run_jobs()
    assert len(simulator.texts) == 2


async def test_case_is_closed_in_whatever_order_one_hears_of_it(world: World, simulator: Simulator) -> None:
    guest, case_id, moment = await world.add_guest(), new_id(), now()
    await settle(world, guest, case_id, moment)
    await complain(world, guest, case_id, moment - DAY)
    await settle(world, guest, case_id, moment)
    await complain(world, guest, case_id, moment - DAY)
    await world.enter_vip(guest)
    await world.run_jobs()
    assert len(simulator.texts) == 1


async def test_erasure_empties_complaints_in_whatever_order(world: World) -> None:
    moment = now()
    for erased_first in (True, False):
        guest, case_id = new_id(), new_id()
        erased = CustomerErased(cafe_id=world.cafe_id, customer_id=guest, occurred_at=moment)
        if erased_first:
            await world.react(recipients.on_customer_erased, erased)
        await complain(world, guest, case_id, moment - DAY)
        await settle(world, guest, case_id, moment + DAY)
        if not erased_first:
            await world.react(recipients.on_customer_erased, erased)
    rows = await world.pool.fetch("SELECT opened_at, closed_at FROM complaint_holds")
    assert [tuple(row) for row in rows] == [(None, moment + DAY)] * 2


# --- judged again when taken up ---


async def test_guest_who_left_the_segment_meanwhile_gets_nothing(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    await world.enter_vip(guest)
    await world.hold()
    await world.leave_vip(guest)
    await world.run_jobs()
    assert simulator.texts == []
    assert (await world.decisions())[-1] == ("skip", "left_segment")


async def test_stay_that_is_heard_of_after_its_end_sends_nothing(world: World, simulator: Simulator) -> None:
    guest, before = await world.add_guest(), now() - timedelta(minutes=5)
    await world.leave_vip(guest)
    await world.enter_vip(guest, occurred_at=before, visit_at=before)
    await world.run_jobs()
    assert simulator.texts == []
    assert await world.decisions() == [("skip", "left_segment")]


async def test_stay_that_ended_meanwhile_is_not_welcomed_beside_the_next(world: World, simulator: Simulator) -> None:
    await set_journey(world, reentry="every_stay")
    guest = await world.add_guest()
    await world.enter_vip(guest)
    await world.hold()
    await world.leave_vip(guest)
    await world.enter_vip(guest)
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert ("skip", "left_segment") in await world.decisions()


async def test_guest_who_left_the_segment_of_a_campaign_gets_nothing_of_it(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await world.pool.execute("UPDATE journeys SET is_active = false")
    stays, leaves = await world.add_guest(), await world.add_guest("+989120000009")
    for guest in (stays, leaves):
        await world.enter_vip(guest)
    sign_in(app, MANAGER)
    campaigns = f"/cafes/{world.cafe_id}/campaigns"
    own = f"{campaigns}/{(await client.post(campaigns, json=CAMPAIGN)).json()['id']}"
    await client.post(f"{own}/schedule", json={"scheduled_date": (now() + DAY).isoformat()})
    sign_in(app, SECOND)
    assert (await client.post(f"{own}/approve")).status_code == 200
    await world.pool.execute("UPDATE campaigns SET scheduled_date = now() WHERE status = 'scheduled'")
    await expanding.start_campaigns(world.pool)
    await world.leave_vip(leaves)
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert sorted(await world.decisions()) == [("send", "all_checks_passed"), ("skip", "left_segment")]


async def test_everything_else_is_judged_again_too(world: World, simulator: Simulator) -> None:
    guests = {
        what: await world.add_guest(f"+98912000000{i}") for i, what in enumerate(("consent", "complaint", "none"))
    }
    for guest in guests.values():
        await world.enter_vip(guest)
    await world.hold()
    await world.consent(guests["consent"], granted=False)
    await complain(world, guests["complaint"], new_id())
    await world.send_due()
    assert len(simulator.texts) == 1
    assert {("skip", "consent"), ("skip", "complaint")} <= set(await world.decisions())

    await world.enter_vip(await world.add_guest("+989120000009"))
    await world.hold()
    await set_journey(world, is_active=False)
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert ("skip", "campaign") in await world.decisions()


async def test_message_that_comes_back_from_its_provider_is_not_sent_for_a_voided_visit(
    world: World, simulator: Simulator
) -> None:
    visit = await world.record_visit(await world.add_guest())
    await world.hold()
    await world.pool.execute(
        "UPDATE campaign_deliveries SET delivery_status = 'sending', sending_at = now(),"
        " provider_id = (SELECT id FROM sms_providers)"
    )
    await world.void(visit)
    await world.pool.execute("UPDATE campaign_deliveries SET delivery_status = 'queued', provider_id = NULL")
    await world.run_jobs()
    assert simulator.texts == []
    assert (await world.decisions())[-1] == ("skip", "visit_voided")


async def test_changed_quiet_hours_are_those_of_what_is_held_too(world: World, simulator: Simulator) -> None:
    clock = now().astimezone(ZoneInfo("Asia/Tehran"))

    def hours(start: int, end: int) -> dict[str, str]:
        return {
            "quiet_from": f"{clock + timedelta(hours=start):%H:%M}",
            "quiet_until": f"{clock + timedelta(hours=end):%H:%M}",
        }

    await world.open_cafe(version=2, **hours(-1, 2))
    await world.record_visit(await world.add_guest())
    await world.run_jobs()
    await world.open_cafe(version=3, **hours(-1, 1))
    await world.run_jobs()
    assert (await world.delivery())["due_at"] < now() + timedelta(hours=1)
    assert simulator.texts == []
    await world.open_cafe(version=4, **hours(1, 2))
    await world.run_jobs()
    assert len(simulator.texts) == 1
    assert await world.decisions() == [("hold", "quiet_hours")] * 2 + [("send", "all_checks_passed")]
