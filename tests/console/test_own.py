"""A guest's own page: what it shows, to whom it does not, and what it leaves nowhere."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from msgspec.structs import replace

from services.console.api import own as page_of_guests
from services.console.models import own
from services.console.models.counter import CardOfGuest, VoucherOfGuest
from services.console.store.upstream import Away, RefusedCall
from shared.clock import now
from shared.security.guest_links import LIVES, guest_token
from tests.console.house import console, settings

CAFE, GUEST = uuid4(), uuid4()
CARD = own.OwnCardTold(
    "کافه سروان", "Asia/Tehran", "jalali",
    (own.OwnConsentTold("sms", "service", True), own.OwnConsentTold("sms", "marketing", False)),
)  # fmt: skip
POINTS = own.OwnPointsTold(1250, "silver", "gold", 250, (own.LapsingTold(date(2026, 12, 21), 40),))
VISITS = own.OwnVisitsTold((own.OwnVisitTold(datetime(2026, 11, 24, 18, tzinfo=UTC), "شعبهٔ ونک", 120),))
ANSWERS: dict[str, Any] = {"/guest/card": CARD, "/guest/points": POINTS, "/guest/visits": VISITS}


def token(made_at: datetime | None = None) -> str:
    return guest_token(settings().keys, CAFE, GUEST, made_at or now())


async def get(browser: httpx2.AsyncClient, address: str) -> httpx2.Response:
    """As somebody who never signed in."""
    return await browser.get(address, headers={"cookie": "", "sec-fetch-site": "none"})


async def test_page_has_points_tier_visits_and_consents_in_both_languages() -> None:
    async with console() as (browser, told, _):
        told.answers |= ANSWERS
        link = token()
        persian = await get(browser, f"/g/{link}")
        english = await get(browser, f"/g/{link}?lang=en&utm_source=x")
        assert (persian.status_code, english.status_code) == (200, 200)
        shown = (
            "۱٬۲۵۰", "نقره‌ای", "طلایی", "مهلت ۴۰ امتیاز", "۳۰ آذر", "شعبهٔ ونک", "۳ آذر ۱۴۰۵", "فراموش شوید",
            'dir="rtl"',
        )  # fmt: skip
        for words in shown:
            assert words in persian.text, words
        for words in ("1,250", "250 points to", "40 points lapse on", "30 Azar", 'dir="ltr"', "Turn on", "Turn off"):
            assert words in english.text, words
        assert len(persian.content) < 60_000
        assert "<script" not in persian.text
        assert "set-cookie" not in persian.headers
        assert [path for _, _, path, _ in told.asked] == [*ANSWERS, *ANSWERS]


async def test_page_has_stamp_cards_vouchers_and_what_points_are_good_for() -> None:
    card = CardOfGuest("کارت قهوه", "یک اسپرسو", 5, 9, 0, 4)
    voucher = VoucherOfGuest(uuid4(), "کارت قهوه", "یک لاته", datetime(2026, 12, 21, tzinfo=UTC))
    rewards = (own.OwnRewardTold("کیک", 60, 0), own.OwnRewardTold("شام", 1300, 50))
    full = replace(POINTS, cards=(card,), vouchers=(voucher,), rewards=rewards, referral_code="HKMTRW")
    async with console() as (browser, told, _):
        told.answers |= ANSWERS | {"/guest/points": full}
        persian = (await get(browser, f"/g/{token()}")).text
        english = (await get(browser, f"/g/{token()}?lang=en")).text
    for words in (
        "کارت قهوه",
        "۵ مهر از ۹",
        "یک لاته",
        "تا پایان",
        "۳۰ آذر",
        "می‌توانید بگیرید",
        "۵۰ امتیاز دیگر",
        "HKMTRW",
    ):
        assert words in persian, words
    for words in ("5 of 9 stamps", "Ready for you", "Yours to have", "50 points to go"):
        assert words in english, words
    assert persian.count('<i class="on">') == 5
    assert persian.count('<i class="on">') + persian.count("<i>") == 9


async def test_address_goes_nowhere() -> None:
    async with console() as (browser, told, _):
        told.answers |= ANSWERS
        link = token()
        answer = await get(browser, f"/g/{link}")
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "noindex" in answer.headers["x-robots-tag"]
        assert "no-store" in answer.headers["cache-control"]
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert link not in answer.text
        assert link not in json.dumps([each[:3] for each in told.asked])


async def test_log_names_the_route_and_not_the_guest(capsys: pytest.CaptureFixture[str]) -> None:
    async with console() as (browser, told, _):
        told.answers |= ANSWERS
        link = token()
        await get(browser, f"/g/{link}")
        await browser.post(f"/g/{link}", data={"channel": "sms", "purpose": "marketing", "granted": "true"})
        said = "".join(capsys.readouterr())
        assert "/g/{token}" in said
        assert link not in said
        assert str(GUEST) not in said


async def test_tap_is_an_answer_and_leads_back_to_the_page() -> None:
    async with console() as (browser, told, _):
        told.answers |= {**ANSWERS, "/guest/consents": CARD}
        link = token()
        # As a browser whose page sends no referrer: its origin is null.
        headers = {"cookie": "", "sec-fetch-site": "", "origin": "null"}
        form = {"channel": "sms", "purpose": "marketing", "granted": "true", "lang": "en"}
        answer = await browser.post(f"/g/{link}", data=form, headers=headers)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/g/{link}?lang=en&done=true")
        [(service, method, path, more)] = told.asked
        assert (service, method, path) == ("customer", "PUT", "/guest/consents")
        assert json.loads(more["content"]) == {"channel": "sms", "purpose": "marketing", "granted": True}
        assert "It holds from now on" in (await get(browser, answer.headers["location"])).text
        wrong = await browser.post(f"/g/{link}", data={**form, "channel": "pigeon"})
        assert wrong.status_code == 422


@pytest.mark.parametrize(
    ("made_at", "status", "words"),
    [(now() - LIVES - timedelta(minutes=2), 410, "زمان این پیوند گذشته"), (now() + timedelta(days=9), 410, "زمان")],
)
async def test_link_whose_time_is_not_now_asks_nobody(made_at: datetime, status: int, words: str) -> None:
    async with console() as (browser, told, _):
        answer = await get(browser, f"/g/{token(made_at)}")
        assert answer.status_code == status
        assert words in answer.text
        assert told.asked == []


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (RefusedCall(401, "guest_link_gone", "", "", (), 0), 410, "این صفحه دیگر نیست"),
        (RefusedCall(401, "guest_link_over", "", "", (), 0), 410, "زمان این پیوند"),
        (Away("customer"), 503, "اکنون در دسترس نیست"),
    ],
)
async def test_nothing_is_shown_before_the_guest_is_known_to_be_there(said: Any, status: int, words: str) -> None:
    async with console() as (browser, told, _):
        told.answers |= {**ANSWERS, "/guest/card": said}
        answer = await get(browser, f"/g/{token()}")
        assert answer.status_code == status
        assert words in answer.text
        assert "۱٬۲۵۰" not in answer.text
        assert [path for _, _, path, _ in told.asked] == ["/guest/card"]


async def test_part_that_is_away_is_missing_and_the_rest_is_there() -> None:
    async with console() as (browser, told, _):
        told.answers |= {**ANSWERS, "/guest/points": Away("loyalty")}
        answer = await get(browser, f"/g/{token()}")
        assert answer.status_code == 200
        assert "شعبهٔ ونک" in answer.text
        assert "این بخش اکنون در دسترس نیست" in answer.text


async def test_guesses_of_an_address_and_uses_of_a_link_are_bounded() -> None:
    async with console() as (browser, told, _):
        told.answers |= ANSWERS
        link = token()
        for _ in range(page_of_guests.USES_OF_A_LINK):
            assert (await get(browser, f"/g/{link}")).status_code == 200
        assert (await get(browser, f"/g/{link}")).status_code == 429
        asked = len(told.asked)
        for number in range(page_of_guests.GUESSES_OF_AN_ADDRESS):
            answer = await get(browser, f"/g/{'x' * 60}{number:08}")
            assert answer.status_code == 404
        assert (await get(browser, f"/g/{'x' * 68}")).status_code == 429
        # Also for a good link: that address guesses.
        assert (await get(browser, f"/g/{token(now() - timedelta(days=1))}")).status_code == 429
        assert len(told.asked) == asked


async def test_forged_link_is_none() -> None:
    async with console() as (browser, told, _):
        link = token()
        for each in (link[:-1] + ("A" if link[-1] != "A" else "B"), link[:40], link + "A", "%00", "..%2f..%2fin"):
            assert (await get(browser, f"/g/{each}")).status_code == 404
        assert told.asked == []
