"""Asking for a rehearsal: a job counts it in processes of its own, and the cafe keeps the newest."""

from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from msgspec.structs import replace

from services.loyalty.api.app import make_app
from services.loyalty.handlers import accounts, proposals, rehearsal_runs, rehearsing
from services.loyalty.handlers.cafes import on_cafe_changed
from services.loyalty.models.http import PublishProgram
from services.loyalty.models.http_rehearsals import AskRehearsal, ShownRehearsal
from services.loyalty.models.programs import ProgramRules
from services.loyalty.models.rehearsals import DueRehearsal
from services.loyalty.store import programs, rehearsals
from shared import crashpoints
from shared.database import db
from shared.errors import NotFound, Rejected
from shared.events.identity import AccessGranted, Role
from shared.jobs.by_cafe import ByCafe
from shared.security import access
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.loyalty import books, schemes
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import (
    CAFE,
    GUEST,
    NOON,
    OTHER_CAFE,
    cafe_changed,
    recorded,
)
from tests.loyalty.rehearsing import DAY, DEFAULT, found, wanted


def asked(**changes: Any) -> AskRehearsal:
    return AskRehearsal.model_validate({"rules": {"tier_period": "jalali_year", "earn_per_toman": 500}} | changes)


async def ask(pool: db.Pool, wanted: AskRehearsal, cafe_id: UUID = CAFE) -> UUID:
    async with db.transaction(pool) as conn:
        made = await rehearsing.ask(conn, cafe_id, uuid4(), "owner", wanted, schemes.KEYS)
    return made.rehearsal_id


async def show(pool: db.Pool, rehearsal_id: UUID, cafe_id: UUID = CAFE) -> ShownRehearsal:
    async with db.transaction(pool) as conn:
        return await rehearsing.show(conn, cafe_id, rehearsal_id)


@pytest.fixture(autouse=True)
def nobody_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal_runs, "_rehearsing", ByCafe("loyalty", "loyalty.rehearse_rules"))


@pytest.fixture
async def two_cafes(pool: db.Pool) -> db.Pool:
    async with db.transaction(pool) as conn:
        await on_cafe_changed(conn, [cafe_changed(OTHER_CAFE)])
    await books.take_in(pool, recorded(1, 90_000), replace(recorded(1, 40_000), cafe_id=OTHER_CAFE))
    return pool


async def test_job_does_it_in_a_process_of_its_own_and_each_cafe_sees_its_own(two_cafes: db.Pool) -> None:
    mine, theirs = await ask(two_cafes, asked()), await ask(two_cafes, asked(), OTHER_CAFE)
    while await rehearsal_runs.run(two_cafes):
        pass
    for rehearsal_id, cafe_id, points in ((mine, CAFE, 90), (theirs, OTHER_CAFE, 40)):
        made = await show(two_cafes, rehearsal_id, cafe_id)
        assert (made.state, made.error) == ("done", None)
        assert made.report is not None
        assert made.report.check.holds
        assert (made.report.points_before, made.report.points_after) == (points, 2 * points)
        async with db.transaction(two_cafes) as conn:
            rows = [
                each async for each in rehearsing.lines(partial(rehearsals.guests_of_part, conn, cafe_id, rehearsal_id))
            ]
        assert "".join(rows).splitlines()[1:] == [
            f"{GUEST},{points},{2 * points},{points},{points},{2 * points},bronze,bronze"
        ]
    with pytest.raises(NotFound):
        await show(two_cafes, mine, OTHER_CAFE)


@pytest.mark.parametrize("point", ["rehearsal.between_guests", "rehearsal.before_report"])
async def test_killed_in_the_middle_it_leaves_nothing_and_begins_again(
    two_cafes: db.Pool, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    rehearsal_id = await ask(two_cafes, asked())
    monkeypatch.setenv(crashpoints.CRASH_AT, point)
    assert await rehearsal_runs.run(two_cafes) == 1
    assert (await show(two_cafes, rehearsal_id)).state == "running"
    assert not await two_cafes.fetchval("SELECT count(*) FROM rehearsal_guests")
    # Its cafe rests for a while.
    assert await rehearsal_runs.run(two_cafes) == 0
    monkeypatch.delenv(crashpoints.CRASH_AT)
    monkeypatch.setattr(rehearsal_runs, "_rehearsing", ByCafe("loyalty", "loyalty.rehearse_rules"))
    assert await rehearsal_runs.run(two_cafes) == 1
    assert (await show(two_cafes, rehearsal_id)).state == "done"
    assert await two_cafes.fetchval("SELECT count(*) FROM rehearsal_guests") == 1


async def test_what_breaks_each_time_fails_with_words(two_cafes: db.Pool) -> None:
    rehearsal_id = await ask(two_cafes, asked())
    await two_cafes.execute("UPDATE rehearsals SET state = 'running', attempts = $1", rehearsal_runs.MOST_ATTEMPTS)
    assert await rehearsal_runs.run(two_cafes) == 1
    made = await show(two_cafes, rehearsal_id)
    assert (made.state, made.error) == ("failed", "interrupted")
    assert made.error_en
    assert made.error_fa
    await ask(two_cafes, asked())


async def test_attempt_that_was_given_up_writes_nothing(two_cafes: db.Pool) -> None:
    rehearsal_id = await ask(two_cafes, asked())
    made = await found(two_cafes, wanted(DEFAULT, NOON + DAY))
    async with db.transaction(two_cafes) as conn:
        first = await rehearsals.begin(conn, CAFE, rehearsal_id)
        second = await rehearsals.begin(conn, CAFE, rehearsal_id)
        due = DueRehearsal(CAFE, rehearsal_id, first)
        assert not await rehearsals.finish(conn, due, made.report, made.guests, NOON)
        assert await rehearsals.finish(conn, replace(due, attempts=second), made.report, made.guests, NOON)


async def test_one_of_a_cafe_at_a_time_and_the_newest_are_kept(
    two_cafes: db.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsing, "KEPT", 3)
    made = await found(two_cafes, wanted(DEFAULT, NOON + DAY))
    ids = []
    for _ in range(5):
        ids.append(await ask(two_cafes, asked()))
        with pytest.raises(Rejected, match="has not ended"):
            await ask(two_cafes, asked())
        async with db.transaction(two_cafes) as conn:
            due = DueRehearsal(CAFE, ids[-1], await rehearsals.begin(conn, CAFE, ids[-1]))
            assert await rehearsals.finish(conn, due, made.report, made.guests, NOON)
    async with db.transaction(two_cafes) as conn:
        kept = await rehearsing.list_all(conn, CAFE)
    assert [each.rehearsal_id for each in kept] == ids[:1:-1]
    assert await two_cafes.fetchval("SELECT count(*) FROM rehearsal_guests") == 3
    await ask(two_cafes, asked(), OTHER_CAFE)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"rules": {"tier_period": "gregorian_year"}}, "tier_period_is_fixed"),
        ({"earn_per": "0.5", "currency_unit": "IRT"}, "invalid_input"),
        (
            {"rules": {"tier_period": "jalali_year", "multiply": [{"key": "a", "factor": 2, "on": ["none"]}]}},
            "invalid_input",
        ),
    ],
)
async def test_what_could_not_be_published_is_not_rehearsed(
    two_cafes: db.Pool, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(Rejected) as refused:
        await ask(two_cafes, asked(**changes))
    assert refused.value.code == code


async def test_past_dates_can_be_rehearsed_and_what_is_left_out_stays_as_it_is(
    two_cafes: db.Pool, clock: Clock
) -> None:
    draft = schemes.rules_of()
    async with db.transaction(two_cafes) as conn:
        await programs.publish(conn, CAFE, 2, NOON, draft.model_dump(mode="json"), uuid4(), schemes.codes_of(draft))
    rehearsal_id = await ask(two_cafes, asked(mode="from_date", valid_from="2020-01-01T00:00:00Z"))
    kept = await two_cafes.fetchrow("SELECT rules, menu_codes, valid_from FROM rehearsals WHERE id = $1", rehearsal_id)
    assert ProgramRules.model_validate(kept["rules"]).earn == draft.earn
    assert kept["menu_codes"] == schemes.codes_of(draft)
    assert kept["valid_from"] == datetime(2020, 1, 1, tzinfo=UTC)


async def test_version_keeps_the_rehearsal_of_its_own_rules_and_of_no_others(two_cafes: db.Pool) -> None:
    rehearsal_id = await ask(two_cafes, asked())
    body = {"rules": {"tier_period": "jalali_year", "earn_per_toman": 500}, "rehearsal_id": str(rehearsal_id)}

    owner = uuid4()
    granted = AccessGranted(cafe_id=CAFE, user_id=owner, role="owner", version=1, occurred_at=NOON)
    async with db.transaction(two_cafes) as conn:
        await access.on_access_granted(conn, [granted])

    async def publish(**changes: Any) -> Any:
        async with db.staff_transaction(two_cafes, owner) as conn:
            wanted = PublishProgram.model_validate(body | changes)
            return await proposals.propose(conn, CAFE, owner, "owner", wanted, schemes.KEYS)

    with pytest.raises(Rejected, match="has ended"):
        await publish()
    await rehearsal_runs.run(two_cafes)
    with pytest.raises(Rejected, match="other rules"):
        await publish(rules={"tier_period": "jalali_year", "earn_per_toman": 501})
    with pytest.raises(Rejected, match="has ended"):
        await publish(rehearsal_id=str(uuid4()))
    assert (await publish()).rehearsal_id == rehearsal_id
    async with db.transaction(two_cafes) as conn:
        assert [each.rehearsal_id for each in await accounts.list_programs(conn, CAFE)] == [None, rehearsal_id]


async def test_over_http_managers_ask_wait_and_keep_the_file_of_guests(two_cafes: db.Pool) -> None:
    manager, helper = uuid4(), uuid4()
    roles: dict[UUID, Role] = {manager: "manager", helper: "staff"}
    granted = [
        AccessGranted(cafe_id=CAFE, user_id=user, role=role, version=1, occurred_at=NOON)
        for user, role in roles.items()
    ]
    async with db.transaction(two_cafes) as conn:
        await access.on_access_granted(conn, granted)
    app, path = make_app(), f"/cafes/{CAFE}/programs/rehearsals"
    body = {"rules": {"tier_period": "jalali_year"}, "earn_per": "500", "point_worth": "20"}
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
            app.dependency_overrides[current_staff] = lambda: Staff(helper)
            assert (await client.post(path, json=body)).status_code == 403
            app.dependency_overrides[current_staff] = lambda: Staff(manager)
            asked = await client.post(path, json=body)
            one = f"{path}/{asked.json()['rehearsal_id']}"
            assert (asked.status_code, asked.json()["state"], asked.json()["report"]) == (202, "waiting", None)
            assert (await client.get(f"{one}/guests.csv")).json()["code"] == "rehearsal_not_done"
            await rehearsal_runs.run(two_cafes)
            made = (await client.get(one)).json()
            assert made["report"]["check"]["holds"]
            assert (made["earn_per"], made["point_worth"]) == ("500", "20")
            assert (made["issued_worth_before"], made["issued_worth_after"]) == (None, "3600")
            (listed,) = (await client.get(path)).json()
            assert (listed["state"], listed["report"]) == ("done", None)
            kept = await client.get(f"{one}/guests.csv")
            assert kept.headers["content-type"] == "text/csv; charset=utf-8"
            assert kept.text.splitlines()[1].startswith(f"{GUEST},90,180,90,")
            assert (await client.get(f"{path}/{uuid4()}")).status_code == 404
