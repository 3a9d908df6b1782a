"""Somebody of the cafe hears of an unhappy guest, the guest of the cafe's answer: each once, by the usual checks."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2
import pytest
from fastapi import FastAPI

from services.campaign.audience.handlers import guests
from services.campaign.journeys.handlers import enrolling
from services.campaign.journeys.handlers.defaults import DEFAULTS
from shared.clock import new_id, now
from shared.events.feedback import CaseClosed, CaseOpened, FeedbackResponded
from shared.security.ids import feedback_token
from tests.campaign.conftest import CLERK, MANAGER, OWNER, Simulator, World, sign_in

MIGRATION = Path(__file__).parents[2] / "sql" / "campaign" / "0131_tell_who_is_on_duty.sql"
BOSS, CHEF = "09125550001", "۰۹۱۲ ۵۵۵ ۰۰۰۲"
PEOPLE = [{"phone": BOSS, "label": "مدیر شیفت"}, {"phone": CHEF, "label": "سرآشپز", "is_on_duty": False}]


async def name_people(
    app: FastAPI, client: httpx2.AsyncClient, world: World, people: Any = PEOPLE, **changes: Any
) -> httpx2.Response:
    sign_in(app, OWNER)
    return await client.put(f"/cafes/{world.cafe_id}/duty", json={"people": people} | changes)


def opened(world: World, guest: UUID | None = None, *, hours_ago: float = 0, **changes: Any) -> CaseOpened:
    about: dict[str, Any] = {
        "cafe_id": world.cafe_id, "occurred_at": now() - timedelta(hours=hours_ago), "customer_id": guest,
        "visit_id": None, "feedback_id": new_id(), "case_id": new_id(), "due_at": now() + timedelta(days=1),
        "overall_rating": 2, "table_number": "7",
    }  # fmt: skip
    return CaseOpened(**about | changes)


async def test_whoever_is_on_duty_is_told_of_a_case_once(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    assert (await name_people(app, client, world)).status_code == 200
    case = opened(world, await world.add_guest())
    for _ in range(2):
        await world.react(enrolling.on_case_opened, case)
        await world.run_jobs()
    assert simulator.texts == ["امتیاز ۲ برای میز ۷ در کافه نمونه.\nدر پنل ببینید."]
    assert simulator.network.sent[0].receptor == "09125550001"
    row = await world.delivery()
    assert (row["trigger_id"], row["visit_id"], row["correlation_id"]) == (case.case_id, None, case.correlation_id)
    assert await world.decisions() == [("send", "all_checks_passed")]


async def test_case_with_stars_of_a_kind_that_is_made_no_longer_is_told_as_it_was(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await name_people(app, client, world)
    await world.react(enrolling.on_case_opened, opened(world, overall_rating=0))
    await world.run_jobs()
    assert simulator.texts == ["امتیاز ۰ برای میز ۷ در کافه نمونه.\nدر پنل ببینید."]


async def test_nobody_is_told_who_was_not_named(world: World, simulator: Simulator) -> None:
    await world.react(enrolling.on_case_opened, opened(world))
    await world.run_jobs()
    assert simulator.texts == []
    assert await world.pool.fetchval("SELECT count(*) FROM journey_runs") == 0
    assert await world.pool.fetchval("SELECT count(*) FROM case_notices") == 0


async def test_case_of_no_table_and_no_guest_is_told_too_and_an_old_one_is_not(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await name_people(app, client, world)
    await world.react(
        enrolling.on_case_opened, opened(world, table_number=None, overall_rating=1), opened(world, hours_ago=30)
    )
    await world.run_jobs()
    assert simulator.texts == ["امتیاز ۱ برای یک مهمان در کافه نمونه.\nدر پنل ببینید."]
    assert await world.pool.fetchval("SELECT reason FROM journey_runs WHERE state = 'skipped'") == "too_late"


async def test_notices_are_bounded_by_day_and_wait_for_quiet_hours(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await name_people(app, client, world, most_a_day=2)
    await world.react(enrolling.on_case_opened, *(opened(world) for _ in range(4)))
    await world.run_jobs()
    assert len(simulator.texts) == 2
    assert sorted(await world.decisions()) == [
        ("send", "all_checks_passed"), ("send", "all_checks_passed"), ("skip", "frequency_cap"),
        ("skip", "frequency_cap"),
    ]  # fmt: skip


async def test_notices_wait_for_the_end_of_quiet_hours(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await name_people(app, client, world)
    moment = now().astimezone(ZoneInfo("Asia/Tehran"))
    begun, ends = (moment + timedelta(hours=hours) for hours in (-1, 1))
    await world.open_cafe(version=9, quiet_from=f"{begun:%H:%M}", quiet_until=f"{ends:%H:%M}")
    await world.react(enrolling.on_case_opened, opened(world))
    await world.run_jobs()
    assert simulator.texts == []
    assert await world.decisions() == [("hold", "quiet_hours")]


async def test_who_goes_off_duty_or_is_removed_is_told_nothing_more(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    await name_people(app, client, world)
    await world.react(enrolling.on_case_opened, opened(world))
    off = await name_people(app, client, world, [{"phone": BOSS, "label": "مدیر", "is_on_duty": False}])
    assert [each["is_on_duty"] for each in off.json()["people"]] == [False]
    await world.run_jobs()
    assert simulator.texts == []
    assert await world.decisions() == [("skip", "status")]
    await name_people(app, client, world, [])
    await world.react(enrolling.on_case_opened, opened(world))
    await world.run_jobs()
    assert simulator.texts == []


async def test_owners_name_people_and_numbers_are_shown_and_kept_to_nobody(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    named = (await name_people(app, client, world)).json()
    assert [(each["label"], each["phone_ending"]) for each in named["people"]] == [
        ("سرآشپز", "0002"), ("مدیر شیفت", "0001")
    ]  # fmt: skip
    again = (await name_people(app, client, world)).json()
    assert [each["id"] for each in again["people"]] == [each["id"] for each in named["people"]]
    assert again["most_a_day"] == 10
    sign_in(app, CLERK)
    shown = await client.get(f"/cafes/{world.cafe_id}/duty")
    assert shown.json() == again
    assert BOSS[1:] not in shown.text
    for who in (CLERK, MANAGER):
        sign_in(app, who)
        assert (await client.put(f"/cafes/{world.cafe_id}/duty", json={"people": []})).status_code == 403
    rows = await world.pool.fetch("SELECT * FROM duty_people")
    assert not any(BOSS[1:] in str(dict(row)) for row in rows)


@pytest.mark.parametrize(
    "wrong",
    [
        {"people": [{"phone": "02188776655", "label": "تلفن"}]},
        {"people": [{"phone": BOSS, "label": "الف"}, {"phone": "+989125550001", "label": "ب"}]},
        {"people": [{"phone": BOSS}]},
        {"people": [{"phone": f"0912555{n:04}", "label": "ن"} for n in range(11)]},
        {"people": [], "most_a_day": 0},
    ],
)
async def test_lists_that_make_no_sense_are_refused(
    app: FastAPI, client: httpx2.AsyncClient, world: World, wrong: dict[str, Any]
) -> None:
    sign_in(app, OWNER)
    answer = await client.put(f"/cafes/{world.cafe_id}/duty", json=wrong)
    assert answer.status_code == 422
    assert all(each["en"] and each["fa"] for each in answer.json()["errors"])


def responded(world: World, guest: UUID | None, **changes: Any) -> FeedbackResponded:
    about: dict[str, Any] = {
        "cafe_id": world.cafe_id, "occurred_at": now(), "customer_id": guest, "visit_id": new_id(),
        "feedback_id": new_id(),
    }  # fmt: skip
    return FeedbackResponded(**about | changes)


async def test_guest_hears_of_the_answer_once_with_the_visits_link(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest(marketing=None)
    event = responded(world, guest)
    for _ in range(2):
        await world.react(enrolling.on_feedback_responded, event)
        await world.run_jobs()
    link = f"https://cafe.example/f/{feedback_token(world.config.keys, world.cafe_id, event.visit_id or new_id())}"
    assert simulator.texts == [f"سارا عزیز، پاسخ کافه نمونه به نظرتان را ببینید:\n{link}"]
    assert (await world.delivery())["visit_id"] == event.visit_id


async def test_who_wants_no_messages_about_visits_is_told_no_answer(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    await world.consent(guest, granted=False, purpose="service")
    await world.react(enrolling.on_feedback_responded, responded(world, guest), responded(world, None))
    await world.run_jobs()
    assert simulator.texts == []
    assert await world.decisions() == [("skip", "consent")]


async def test_answer_reaches_a_guest_whose_complaint_holds_advertising(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    case = opened(world, guest)
    await world.react(enrolling.on_case_opened, case)
    await world.react(enrolling.on_feedback_responded, responded(world, guest))
    await world.run_jobs()
    assert len(simulator.texts) == 1
    closed = CaseClosed(
        cafe_id=world.cafe_id, occurred_at=now(), customer_id=guest, visit_id=None, feedback_id=case.feedback_id,
        case_id=case.case_id,
    )  # fmt: skip
    await world.react(guests.keep_cases, closed)


def test_cafes_from_before_get_what_new_ones_begin_with() -> None:
    text = MIGRATION.read_text()
    given = [each for each in DEFAULTS if each.trigger in ("case.opened", "feedback.responded")]
    assert len(given) == 2
    for default in given:
        assert f"'{default.key}', '{default.name}', '{default.trigger}'" in text
        assert default.content.replace("\n", "\\n") in text
        assert all(f'"{name}": "{words}"' in text for name, words in default.fallbacks.items())
