"""What is told of segments: who may be written to, who came and went day by day, and what a change would do."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.customer.handlers import segments as handlers
from services.customer.handlers.lists import list_changed
from services.customer.handlers.segments import prune_days
from services.customer.models.values import MovesOfDay
from services.customer.rules.history import day_by_day
from services.customer.store import activity
from services.customer.store import segments as store
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from tests.customer.given import (
    CAFE,
    DAY,
    OTHER_CAFE,
    add_segment,
    guest_of,
    recalculated,
    recorded,
    staff,
    visits,
)
from tests.customer.test_api import CUSTOMERS, HELPER, SEGMENTS, register

CAME = {"visit_count": {"min": 1}}
REACHED = """
SELECT coalesce(r.slot, t.slot) AS slot, r.reachable, t.counted
FROM segment_reach AS r
FULL JOIN (
    SELECT slot, count(*) AS counted FROM listed_guests CROSS JOIN generate_series(0, 62) AS slot
    WHERE cafe_id = $1 AND reachable AND segment_mask >> slot & 1 = 1 GROUP BY slot
) AS t ON t.slot = r.slot
WHERE coalesce(r.reachable, 0) <> coalesce(t.counted, 0)
"""


async def lists_are_right(pool: Pool) -> None:
    while await list_changed(pool):
        pass
    assert await pool.fetch(REACHED, CAFE) == []


async def numbers(client: httpx2.AsyncClient, key: str) -> tuple[int, int]:
    found = {each["segment_key"]: each for each in (await client.get(SEGMENTS)).json()}[key]
    one = (await client.get(f"{SEGMENTS}/{found['id']}")).json()
    assert one == found
    return found["customer_count"], found["reachable_count"]


async def test_a_segment_says_how_many_may_be_written_to(client: httpx2.AsyncClient, pool: Pool) -> None:
    ids = [
        (await register(client, phone=f"0912000000{number}", marketing_consent=number < 2))["id"] for number in range(3)
    ]
    await lists_are_right(pool)
    assert await numbers(client, "new_customers") == (3, 2)
    consents = f"{CUSTOMERS}/{ids[2]}/consents"
    await client.put(consents, json={"channel": "email", "purpose": "marketing", "granted": True})
    await lists_are_right(pool)
    assert await numbers(client, "new_customers") == (3, 2)
    await client.put(consents, json={"channel": "sms", "purpose": "marketing", "granted": True})
    await lists_are_right(pool)
    assert await numbers(client, "new_customers") == (3, 3)
    await client.put(f"{CUSTOMERS}/{ids[0]}/status", json={"status": "blocked"})
    await lists_are_right(pool)
    assert await numbers(client, "new_customers") == (3, 2)
    await client.delete(f"{CUSTOMERS}/{ids[1]}")
    assert (await numbers(client, "new_customers"))[0] == 2
    await lists_are_right(pool)
    assert await numbers(client, "new_customers") == (2, 1)


async def test_guests_move_with_what_they_may_be_sent(client: httpx2.AsyncClient, pool: Pool) -> None:
    moment = now()
    for number in range(2):
        await register(client, phone=f"0912000000{number}", marketing_consent=True)
    await add_segment(pool, CAME, now=moment)
    await recalculated(pool)
    await lists_are_right(pool)
    assert await numbers(client, "own") == (0, 0)
    await visits(pool, [recorded(guest_of("+989120000000"), at=moment)], now=moment)
    await lists_are_right(pool)
    assert await numbers(client, "own") == (1, 1)
    assert await numbers(client, "new_customers") == (2, 2)


async def test_who_was_listed_before_reach_was_kept_is_looked_up(client: httpx2.AsyncClient, pool: Pool) -> None:
    await register(client, marketing_consent=True)
    await lists_are_right(pool)
    await pool.execute("UPDATE listed_guests SET reachable = NULL")
    assert await numbers(client, "new_customers") == (1, 0)
    await lists_are_right(pool)
    assert await numbers(client, "new_customers") == (1, 1)


async def test_a_day_says_who_came_and_went(client: httpx2.AsyncClient, pool: Pool) -> None:
    moment = now()
    made = await add_segment(pool, {"monthly_visits": {"min": 1}}, now=moment - 40 * DAY)
    await recalculated(pool)
    for number in range(2):
        await register(client, phone=f"0912000000{number}")
    gone = guest_of("+989120000000")
    await visits(pool, [recorded(gone, at=moment - 33 * DAY)], now=moment - 5 * DAY)
    await visits(pool, [recorded(gone, at=moment - 5 * DAY)], now=moment - 5 * DAY)
    await visits(pool, [recorded(guest_of("+989120000001"), at=moment - 2 * DAY)], now=moment - 2 * DAY)
    answer = (await client.get(f"{SEGMENTS}/{made.id}/history?days=7")).json()
    assert [(day["members"], day["entered"], day["left"]) for day in answer] == [
        (0, 0, 0), (1, 1, 0), (1, 0, 0), (1, 0, 0), (2, 1, 0), (2, 0, 0), (2, 0, 0),
    ]  # fmt: skip
    every = {each["segment_id"]: each["days"] for each in (await client.get(f"{SEGMENTS}/history?days=7")).json()}
    assert every[str(made.id)] == answer
    assert len(every) == 4
    # The system's segments began with the cafe, today.
    assert {len(days) for id_, days in every.items() if id_ != str(made.id)} == {1}


async def test_the_history_of_another_cafes_segment_is_not_there(client: httpx2.AsyncClient, pool: Pool) -> None:
    other = await add_segment(pool, CAME, cafe_id=OTHER_CAFE)
    assert (await client.get(f"{SEGMENTS}/{other.id}/history")).status_code == 404
    assert (await client.get(f"{SEGMENTS}/{new_id()}/history")).status_code == 404
    assert (await client.get(f"{SEGMENTS}/history?days=367")).status_code == 422
    told = (await client.get(f"{SEGMENTS}/history")).json()
    assert str(other.id) not in {each["segment_id"] for each in told}


async def test_old_days_go(pool: Pool) -> None:
    await pool.execute(
        "INSERT INTO segment_days SELECT $1, current_date - days, $1, 1, 0, 1 FROM unnest($2::int[]) AS days",
        CAFE, [399, 402, 500],
    )  # fmt: skip
    while await prune_days(pool):
        pass
    assert await pool.fetchval("SELECT array_agg(current_date - day) FROM segment_days") == [399]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=20), st.integers(0, 20))
def test_days_are_counted_back_from_today(moves: list[tuple[int, int]], kept: int) -> None:
    """Whichever days had moves: each day's members are those of the day before, and who came, without who went."""
    segment, today, members, rows, expected = UUID(int=1), date(2026, 11, 24), 0, [], []
    for place, (entered, asked) in enumerate(moves):
        day = today - timedelta(days=len(moves) - 1 - place)
        gone = min(asked, members + entered)
        members += entered - gone
        expected.append((day, members, entered, gone))
        if entered or gone:
            rows.append(MovesOfDay(segment, day, entered, gone, members))
    since = today - timedelta(days=kept)
    found = day_by_day(segment, rows, since=since, today=today, members=members)
    shown = [(day.day, day.members, day.entered, day.gone) for day in found]
    assert len(shown) == kept + 1
    assert shown[-len(expected) :][-(kept + 1) :] == expected[-(kept + 1) :] or not expected


async def previewed(client: httpx2.AsyncClient, **asked: Any) -> dict[str, Any]:
    answer = await client.post(f"{SEGMENTS}/preview", json=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_preview_shows_faces_and_who_would_come_and_go(client: httpx2.AsyncClient, pool: Pool) -> None:
    moment, ids = now(), []
    for number in range(14):
        ids.append((await register(client, phone=f"091200000{number:02}", marketing_consent=number < 3))["id"])
        seen = [
            recorded(guest_of(f"+9891200000{number:02}"), at=moment - (number + 1) * DAY) for _ in range(number % 2 + 1)
        ]
        await visits(pool, seen, now=moment)
    made = await add_segment(pool, {"last_visit_days": {"max": 5}}, now=moment)
    await recalculated(pool)
    await lists_are_right(pool)

    def places(cards: list[dict[str, Any]]) -> list[int]:
        return [ids.index(card["id"]) for card in cards]

    found = await previewed(client, criteria=CAME)
    assert (found["matching"], found["customers"], found["reachable"]) == (14, 14, 3)
    assert places(found["sample"]) == list(range(12))
    assert (found["would_enter"], found["would_leave"], found["entering"], found["leaving"]) == (None, None, [], [])
    found = await previewed(client, criteria={"visit_count": {"min": 2}}, segment_id=str(made.id))
    assert (found["matching"], found["reachable"]) == (7, 1)
    assert (found["would_enter"], found["would_leave"]) == (5, 3)
    assert places(found["entering"]) == [5, 7, 9, 11, 13]
    assert places(found["leaving"]) == [0, 2, 4]
    assert (await numbers(client, "own"))[0] == 5


async def test_a_preview_against_another_cafes_segment_is_not_there(client: httpx2.AsyncClient, pool: Pool) -> None:
    other = await add_segment(pool, CAME, cafe_id=OTHER_CAFE)
    answer = await client.post(f"{SEGMENTS}/preview", json={"criteria": CAME, "segment_id": str(other.id)})
    assert answer.status_code == 404


async def test_a_preview_that_takes_too_long_says_so(
    client: httpx2.AsyncClient, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(client)
    slow = activity.JUDGE_ALL.replace("FROM judged\n", "FROM judged, pg_sleep(30)\n")
    monkeypatch.setattr(activity, "JUDGE_ALL", slow)
    monkeypatch.setattr(handlers, "LONGEST_PREVIEW", 1)
    answer = await client.post(f"{SEGMENTS}/preview", json={"criteria": CAME})
    assert (answer.status_code, answer.json()["code"]) == (422, "preview_takes_too_long")


async def test_only_managers_preview_and_staff_read(client: httpx2.AsyncClient, app: Any, pool: Pool) -> None:
    from shared.security.auth import Staff
    from shared.web.dependencies import current_staff

    await staff(pool, user_id=HELPER, role="staff")
    app.dependency_overrides[current_staff] = lambda: Staff(HELPER)
    assert (await client.get(f"{SEGMENTS}/history")).status_code == 200
    assert (await client.post(f"{SEGMENTS}/preview", json={"criteria": CAME})).status_code == 403


async def test_attributes_say_how_they_are_compared(client: httpx2.AsyncClient) -> None:
    found = {each["name"]: each for each in (await client.get(f"{SEGMENTS}/attributes")).json()}
    assert (found["visit_count"]["kind"], found["visit_count"]["most"]) == ("count", 2**31 - 1)
    assert (found["city"]["kind"], found["city"]["most"]) == ("choice", None)
    assert {each["kind"] for each in found.values()} == {
        "count", "money", "score", "days_since", "newer_than", "newest", "choice", "flag",
    }  # fmt: skip


async def test_counting_many_moves_at_once_keeps_every_day(pool: Pool) -> None:
    """Of two batches that count the same day the second adds to the first."""
    made = await add_segment(pool, CAME)
    moment = now()
    for entered, gone in ((3, 0), (1, 2)):
        async with transaction(pool) as conn:
            await store.count(conn, {(CAFE, made.id): (entered, gone)}, moment)
    rows = await pool.fetch("SELECT entered, gone, members FROM segment_days WHERE segment_id = $1", made.id)
    assert [tuple(row) for row in rows] == [(4, 2, 2)]


async def test_groups_in_groups_may_be_saved_as_deep_as_criteria_are_read(client: httpx2.AsyncClient) -> None:
    criteria: dict[str, Any] = {"visit_count": {"min": 1}}
    for how in ("any", "all", "any", "all", "any", "all", "any", "all"):
        criteria = {how: [criteria, {"points": {"min": 1}}]}
    asked = {"name": "تودرتو", "segment_key": "nested", "criteria": {"not": criteria}}
    assert (await client.post(SEGMENTS, json=asked)).status_code == 201
    answer = await client.post(SEGMENTS, json=asked | {"criteria": {"not": {"not": {"all": [criteria]}}}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "too_deep"
