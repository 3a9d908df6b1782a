"""Guests' page and API, staff's routes."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from services.feedback.api import page
from services.feedback.api.app import make_app
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.events.feedback import CaseOpened
from shared.events.identity import AccessGranted
from shared.security import access
from shared.security.auth import Staff
from shared.web.dependencies import current_staff
from tests.feedback.given import (
    CAFE,
    OTHER_CAFE,
    STAFF,
    cafe_with_staff,
    claimed,
    corrected,
    emitted,
    recorded,
    token_of,
    visits,
    voided,
)
from tests.feedback.test_handlers import react

MANAGER = new_id()
FORM = {"overall_rating": "5", "service": "4", "comment": "قهوه عالی بود"}


@pytest.fixture
async def pool(database: Any) -> Pool:
    opened: Pool = await database("feedback")
    await cafe_with_staff(opened)
    return opened


@pytest.fixture
async def app(pool: Pool) -> AsyncIterator[FastAPI]:
    app = make_app()
    app.dependency_overrides[current_staff] = lambda: Staff(STAFF)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app, client=("203.0.113.7", 4000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
        yield client


async def count(pool: Pool) -> int:
    found: int = await pool.fetchval("SELECT count(*) FROM customer_feedback")
    return found


async def test_page_names_the_cafe_and_the_day_and_changes_nothing(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    before = await pool.fetch("SELECT * FROM feedback_links")
    for _ in range(3):
        answer = await client.get(f"/f/{token_of(visit)}")
        assert answer.status_code == 200
    assert '<html lang="fa" dir="rtl">' in answer.text
    assert "کافه سروان" in answer.text
    assert "سه‌شنبه ۳ آذر" in answer.text
    assert "350000" not in answer.text
    assert "۳۵۰" not in answer.text
    assert await pool.fetch("SELECT * FROM feedback_links") == before
    assert await count(pool) == 0


async def test_page_allows_nothing_but_its_own_style(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    answer = await client.get(f"/f/{token_of(visit)}")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    for forbidden in ("<script", "style=", "http://", "https://", "onclick"):
        assert forbidden not in answer.text


async def test_names_are_escaped(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded(cafe_id=OTHER_CAFE)
    await cafe_with_staff(pool, OTHER_CAFE, new_id(), name="<script>alert(1)</script>")
    await visits(pool, visit)
    answer = await client.get(f"/f/{token_of(visit)}")
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text
    again = await client.post(f"/f/{token_of(visit)}", data={"comment": "</textarea><script>"})
    assert "<script" not in again.text


async def test_form_is_taken_once_and_thanks(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    sent = await client.post(f"/f/{token_of(visit)}?s=q", data=FORM, headers={"user-agent": "x (iPhone) Mobile"})
    assert sent.status_code == 303
    thanks = await client.get(str(sent.next_request.url if sent.next_request else ""))
    assert thanks.status_code == 200
    assert "سپاس از شما" in thanks.text
    row = await pool.fetchrow("SELECT * FROM customer_feedback")
    assert (row["overall_rating"], row["category_ratings"]) == (5, {"service": 4})
    assert (row["feedback_source"], row["comment"]) == ("qr_code", "قهوه عالی بود")
    assert str(row["ip_address"]) == "203.0.113.7"
    assert row["device_info"] == {"system": "ios", "mobile": True, "language": None}
    for answer in (await client.get(f"/f/{token_of(visit)}"), await client.post(f"/f/{token_of(visit)}", data=FORM)):
        assert answer.status_code == 409
        assert "نظر شما ثبت شده است" in answer.text
        assert "already sent" in answer.text
    assert await count(pool) == 1


async def test_form_without_stars_comes_back_filled_in(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    answer = await client.post(f"/f/{token_of(visit)}", data={"service": "2", "comment": "سلام"})
    assert answer.status_code == 422
    assert "لطفاً از یک تا پنج ستاره بدهید" in answer.text
    assert 'name="service" value="2" checked' in answer.text
    assert ">سلام</textarea>" in answer.text
    answer = await client.post(f"/f/{token_of(visit)}", data=FORM | {"comment": "ب" * 2001})
    assert "کوتاه‌ترش کنید" in answer.text
    assert await count(pool) == 0


async def test_thanks_before_sending_leads_to_the_form(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    answer = await client.get(f"/f/{token_of(visit)}/thanks", follow_redirects=True)
    assert str(answer.url).endswith(f"/f/{token_of(visit)}")
    assert answer.status_code == 200


async def test_links_that_cannot_be_used_say_why_in_both_languages(client: httpx2.AsyncClient, pool: Pool) -> None:
    expired, void = recorded(recorded_at=now() - timedelta(days=15)), recorded()
    await visits(pool, expired, void)
    await react(pool, voided(void))
    for token, status, state in (
        (token_of(expired), 410, "expired"),
        (token_of(void), 410, "closed"),
        ("A" * 22, 404, "unknown"),
        ("x", 404, "unknown"),
    ):
        answer = await client.get(f"/f/{token}")
        assert answer.status_code == status
        title, text, english = page.ANSWERS[state]
        assert all(words in answer.text for words in (title, text, english))
        assert "content-security-policy" in answer.headers
        refused = (await client.post(f"/api/feedback/{token}", json={"overall_rating": 5})).json()
        assert (refused["status"], refused["code"]) == (status, f"link_{state}")
        assert refused["title"]
        assert refused["title_fa"]
    assert await count(pool) == 0


async def test_api_takes_what_the_form_takes(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    about = await client.get(f"/api/feedback/{token_of(visit)}")
    assert about.json() == {"cafe_name": "کافه سروان", "visit_date": "2026-11-24"}
    body = {"overall_rating": "۴", "category_ratings": {"quality": 5}, "comment": "  خوب   بود  "}
    sent = await client.post(f"/api/feedback/{token_of(visit)}?s=w", json=body)
    assert sent.status_code == 201
    row = await pool.fetchrow("SELECT * FROM customer_feedback")
    assert row["id"] == UUID(sent.json()["feedback_id"])
    assert (row["overall_rating"], row["comment"], row["feedback_source"]) == (4, "خوب بود", "website")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"overall_rating": 0},
        {"overall_rating": 6},
        {"overall_rating": True},
        {"overall_rating": 4.5},
        {"overall_rating": 4, "category_ratings": {"price": 5}},
        {"overall_rating": 4, "category_ratings": {"service": 9}},
        {"overall_rating": 4, "comment": "ب" * 2001},
        {"overall_rating": 4, "customer_id": "00000000-0000-7000-8000-000000000001"},
    ],
)
async def test_api_refuses_what_is_no_rating(client: httpx2.AsyncClient, pool: Pool, body: dict[str, Any]) -> None:
    visit = recorded()
    await visits(pool, visit)
    answer = await client.post(f"/api/feedback/{token_of(visit)}", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert await count(pool) == 0


async def test_comment_loses_what_no_database_can_keep(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    body = b'{"overall_rating": 4, "comment": "\\ud83d\\u0000 \xd8\xae\xd9\x88\xd8\xa8 \\ud83d\\ude0a"}'
    headers = {"content-type": "application/json"}
    answer = await client.post(f"/api/feedback/{token_of(visit)}", content=body, headers=headers)
    assert answer.status_code == 201
    assert await pool.fetchval("SELECT comment FROM customer_feedback") == "خوب 😊"


async def submit(client: httpx2.AsyncClient, pool: Pool, **body: Any) -> str:
    visit = recorded(**body.pop("visit", {}))
    await visits(pool, visit)
    client.headers["x-forwarded-for"] = "ignored"
    sent = await client.post(f"/api/feedback/{token_of(visit)}", json={"overall_rating": 4, **body})
    found: str = sent.json()["feedback_id"]
    return found


async def test_staff_search_feedback_in_any_spelling(client: httpx2.AsyncClient, pool: Pool) -> None:
    cold = await submit(client, pool, comment="قهوه‌ی من سرد بود، حیف!", overall_rating=2)
    cake = await submit(client, pool, comment="کیک شکلاتی عالی", category_ratings={"quality": 5})
    await submit(client, pool)
    listed = (await client.get(f"/cafes/{CAFE}/feedback")).json()
    assert len(listed["items"]) == 3
    assert listed["items"][1]["id"] == cake
    assert "ip_address" not in listed["items"][0]
    for query, found in (
        ({"q": "كيك شكلات"}, [cake]),  # an Arabic keyboard, and the beginning of a word
        ({"q": "حیف"}, [cold]),
        ({"q": "قهوه کیک"}, []),
        ({"rating_to": 2}, [cold]),
        ({"follow_up": True}, [cold]),
        ({"category": "quality", "q": "کیک"}, [cake]),
        ({"source": "phone_call"}, []),
        ({"q": "\x00'!& | (کیک:*"}, [cake]),
    ):
        answer = await client.get(f"/cafes/{CAFE}/feedback", params=query)
        assert [item["id"] for item in answer.json()["items"]] == found, query
    first = (await client.get(f"/cafes/{CAFE}/feedback", params={"limit": 2})).json()
    rest = await client.get(f"/cafes/{CAFE}/feedback", params={"limit": 2, "before": first["next"]})
    assert [item["id"] for item in rest.json()["items"]] == [cold]
    assert rest.json()["next"] is None


async def test_staff_answer_feedback(client: httpx2.AsyncClient, pool: Pool) -> None:
    feedback_id = await submit(client, pool, comment="سرد بود")
    answer = await client.put(f"/cafes/{CAFE}/feedback/{feedback_id}/response", json={"text": "ببخشید"})
    assert answer.status_code == 200
    shown = (await client.get(f"/cafes/{CAFE}/feedback/{feedback_id}")).json()
    assert (shown["response_text"], shown["responded_by"]) == ("ببخشید", str(STAFF))
    assert shown["response_date"]
    empty = await client.put(f"/cafes/{CAFE}/feedback/{feedback_id}/response", json={"text": "  "})
    assert empty.status_code == 422
    missing = await client.put(f"/cafes/{CAFE}/feedback/{new_id()}/response", json={"text": "ببخشید"})
    assert missing.status_code == 404


async def test_staff_work_off_cases_by_urgency(client: httpx2.AsyncClient, pool: Pool) -> None:
    await submit(client, pool, overall_rating=2)
    late = await submit(client, pool, overall_rating=1, comment="سرد بود")
    await pool.execute("UPDATE feedback_cases SET due_at = $2 WHERE feedback_id = $1", UUID(late), now())
    cases = (await client.get(f"/cafes/{CAFE}/cases")).json()
    assert [(case["is_overdue"], case["overall_rating"]) for case in cases] == [(True, 1), (False, 2)]
    (overdue,) = (await client.get(f"/cafes/{CAFE}/cases", params={"status": "overdue"})).json()
    assert (overdue["feedback_id"], overdue["comment"]) == (late, "سرد بود")
    closed = await client.post(f"/cafes/{CAFE}/cases/{overdue['id']}/close", json={"resolution": "تماس گرفتیم"})
    assert closed.status_code == 204
    (done,) = (await client.get(f"/cafes/{CAFE}/cases", params={"status": "closed"})).json()
    both = (await client.get(f"/cafes/{CAFE}/cases", params={"status": "all"})).json()
    assert [case["closed_at"] is None for case in both] == [True, False]
    asked = {"status": "all", "feedback_id": done["feedback_id"]}
    assert (await client.get(f"/cafes/{CAFE}/cases", params=asked)).json() == [done]
    assert (done["resolution"], done["closed_by"], done["is_overdue"]) == ("تماس گرفتیم", str(STAFF), False)
    assert len((await client.get(f"/cafes/{CAFE}/cases")).json()) == 1


async def test_staff_write_down_what_they_heard_and_managers_see_what_was_paid(
    app: FastAPI, client: httpx2.AsyncClient, pool: Pool
) -> None:
    visit = recorded()
    await visits(pool, visit)
    body = {"overall_rating": 2, "source": "phone_call", "visit_id": str(visit.visit_id), "comment": "سفارش اشتباه بود"}
    entered = await client.post(f"/cafes/{CAFE}/feedback", json=body)
    assert entered.status_code == 201
    path = f"/cafes/{CAFE}/feedback/{entered.json()['feedback_id']}"
    shown = (await client.get(path)).json()
    assert (shown["feedback_source"], shown["customer_id"]) == ("phone_call", str(visit.customer_id))
    assert shown["follow_up_required"]
    answered = await client.put(f"{path}/response", json={"text": "ببخشید"})
    (found,) = (await client.get(f"/cafes/{CAFE}/feedback")).json()["items"]
    assert (shown["order_amount"], answered.json()["order_amount"], found["order_amount"]) == (None, None, None)
    async with transaction(pool) as conn:
        granted = AccessGranted(cafe_id=CAFE, occurred_at=now(), version=1, user_id=MANAGER, role="manager")
        await access.on_access_granted(conn, [granted])
    app.dependency_overrides[current_staff] = lambda: Staff(MANAGER)
    (found,) = (await client.get(f"/cafes/{CAFE}/feedback")).json()["items"]
    shown = (await client.get(path)).json()
    assert (shown["order_amount"], shown["currency_unit"], found["order_amount"]) == ("350000.00", "IRT", "350000.00")
    for wrong in ({"source": "sms_link"}, {"order_amount": 12.5, "currency_unit": "IRT"}, {"order_amount": "5"}):
        assert (await client.post(f"/cafes/{CAFE}/feedback", json=body | wrong)).status_code == 422


async def test_summary_counts_and_averages_a_period(client: httpx2.AsyncClient, pool: Pool) -> None:
    await submit(client, pool, overall_rating=1, category_ratings={"service": 2})
    answered = await submit(client, pool, overall_rating=4, category_ratings={"service": 5}, comment="خوب بود")
    await client.put(f"/cafes/{CAFE}/feedback/{answered}/response", json={"text": "سپاس"})
    summary = (await client.get(f"/cafes/{CAFE}/feedback/summary")).json()
    assert summary == {
        "responses": 2,
        "average_rating": "2.50",
        "average_service": "3.50",
        "average_quality": None,
        "average_ambiance": None,
        "average_sentiment": "0.60",
        "low_ratings": 1,
        "answered": 1,
        "open_cases": 1,
        "of_voided_visits": 0,
    }
    past = {"since": "2020-01-01T00:00:00Z", "until": "2020-02-01T00:00:00Z"}
    assert (await client.get(f"/cafes/{CAFE}/feedback/summary", params=past)).json()["responses"] == 0


async def test_staff_of_one_cafe_see_nothing_of_another(client: httpx2.AsyncClient, pool: Pool) -> None:
    await cafe_with_staff(pool, OTHER_CAFE, new_id())
    theirs = await submit(client, pool, overall_rating=1, visit={"cafe_id": OTHER_CAFE})
    case_id = await pool.fetchval("SELECT id FROM feedback_cases")
    assert (await client.get(f"/cafes/{OTHER_CAFE}/feedback")).status_code == 404
    assert (await client.get(f"/cafes/{CAFE}/feedback")).json()["items"] == []
    assert (await client.get(f"/cafes/{CAFE}/feedback/{theirs}")).status_code == 404
    answer = await client.post(f"/cafes/{CAFE}/cases/{case_id}/close", json={"resolution": "x"})
    assert answer.status_code == 404
    body = {"overall_rating": 5, "source": "manual"}
    assert (await client.post(f"/cafes/{OTHER_CAFE}/feedback", json=body)).status_code == 404
    assert await pool.fetchval("SELECT status FROM feedback_cases") == "open"


async def test_staff_routes_want_a_token(app: FastAPI, client: httpx2.AsyncClient) -> None:
    app.dependency_overrides.clear()
    for path in ("feedback", "feedback/summary", "cases", f"feedback/{new_id()}"):
        assert (await client.get(f"/cafes/{CAFE}/{path}")).status_code == 401


async def test_correction_before_the_guest_opens_shows_the_corrected_day(
    client: httpx2.AsyncClient, pool: Pool
) -> None:
    visit = recorded()
    await visits(pool, visit)
    await react(pool, corrected(visit, occurred_at=visit.occurred_at + timedelta(days=1)))
    assert "چهارشنبه ۴ آذر" in (await client.get(f"/f/{token_of(visit)}")).text


async def test_rating_without_a_word_is_taken(client: httpx2.AsyncClient, pool: Pool) -> None:
    visit = recorded()
    await visits(pool, visit)
    page = await client.post(f"/f/{token_of(visit)}", data={"overall_rating": "4", "comment": "  "})
    assert page.status_code == 303
    assert await pool.fetchval("SELECT overall_rating FROM customer_feedback") == 4


async def test_what_was_said_of_a_voided_visit_counts_no_longer(client: httpx2.AsyncClient, pool: Pool) -> None:
    kept, gone = recorded(), recorded()
    await visits(pool, kept, gone)
    for visit, stars in ((kept, 4), (gone, 1)):
        await client.post(f"/api/feedback/{token_of(visit)}", json={"overall_rating": stars, "comment": "قهوه سرد بود"})
    summary = (await client.get(f"/cafes/{CAFE}/feedback/summary")).json()
    assert (summary["responses"], summary["average_rating"], summary["of_voided_visits"]) == (2, "2.50", 0)
    await react(pool, voided(gone))
    summary = (await client.get(f"/cafes/{CAFE}/feedback/summary")).json()
    assert (summary["responses"], summary["average_rating"], summary["low_ratings"]) == (1, "4.00", 0)
    assert (summary["of_voided_visits"], summary["open_cases"]) == (1, 1)
    [case] = (await client.get(f"/cafes/{CAFE}/cases")).json()
    assert case["visit_voided_at"] is not None
    shown = (await client.get(f"/cafes/{CAFE}/feedback")).json()["items"]
    assert [item["visit_voided_at"] is not None for item in shown] == [True, False]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_what_nobody_said_is_whose_the_visit_becomes(
    client: httpx2.AsyncClient, pool: Pool, order: tuple[int, ...]
) -> None:
    nobodys, guest = recorded(customer_id=None), new_id()
    claim = claimed(nobodys, guest)
    moved = corrected(nobodys, customer_id=guest)
    for place in order:
        await react(pool, (nobodys, claim, moved)[place])
    answer = await client.post(f"/api/feedback/{token_of(nobodys)}", json={"overall_rating": 2})
    assert answer.status_code == 201
    await react(pool, claim)
    [row] = await pool.fetch(
        "SELECT f.customer_id, k.customer_id AS of_case, l.customer_id AS of_link"
        " FROM customer_feedback f, feedback_cases k, feedback_links l"
    )
    assert set(row.values()) == {guest}
    assert await pool.fetchval("SELECT final_amount FROM visits") == 300000


async def test_feedback_that_came_before_the_claim_is_the_guests(client: httpx2.AsyncClient, pool: Pool) -> None:
    nobodys, guest = recorded(customer_id=None), new_id()
    await react(pool, nobodys)
    await client.post(f"/api/feedback/{token_of(nobodys)}", json={"overall_rating": 1})
    await react(pool, claimed(nobodys, guest))
    assert await pool.fetchval("SELECT customer_id FROM customer_feedback") == guest
    assert await pool.fetchval("SELECT customer_id FROM feedback_cases") == guest
    told = [event for event in await emitted(pool) if isinstance(event, CaseOpened)]
    assert [event.customer_id for event in told] == [None, guest]
    assert told[0].case_id == told[1].case_id
    assert told[0].occurred_at == told[1].occurred_at
