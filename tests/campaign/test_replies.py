"""What guests' answers by SMS mean, and what becomes of those that only a person can read."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from services.campaign.messages.handlers import recipients, replies
from services.campaign.messages.rules.replies import Meaning, read_reply
from shared.clock import now
from shared.database.db import transaction
from shared.events.campaign import ReplyReceived
from shared.events.customer import CustomerErased
from tests.campaign.conftest import CLERK, STRANGER, Simulator, World, sign_in

PHRASES: dict[Meaning, list[str]] = {
    "stop": [
        "11", "۱۱", " ١١ ", "11.", "۱۱!", "*11*", "۱۱ لطفا", "لطفاً ۱۱", "یازده", "11 11", "لغو", "لغو.",
        "لغو!!", "«لغو»", "لغو؟", "لغو۱۱", "لغو 11", "لغو11", "لغو١١", "لغو\u200c۱۱", "لغو-۱۱",
        "لغو: ۱۱", "۱۱ لغو", "۱۱لغو", "لـغـو", "لغو ۱۱ لطفا", "لطفا لغو", "لطفا لغو کنید", "لغو کنید",
        "لغو کن", "لغو شود", "لغو لطفاً 🙏", "سلام لغو", "سلام، لغو ۱۱، ممنون", "لغو عضویت", "عضویت لغو",
        "لغو اشتراک", "لغو پیامک تبلیغاتی", "پیامک تبلیغاتی لغو", "تبلیغات لغو", "لغو\n۱۱", "لَغو",
        "STOP", "stop", "Stop.", "stop!", "STOP 11", "please stop", "Stop please", "stop sending",
        "STOP ALL", "ＳＴＯＰ", "unsubscribe", "Unsubscribe me", "کنسل", "انصراف",
    ],
    "rejoin": [
        "12", "۱۲", "١٢", "12.", "۱۲ لطفا", "دوازده", "عضویت", "عضویت.", "عضویت ۱۲", "۱۲ عضویت",
        "لطفا عضویت", "عضویت لطفا", "عضو", "START", "start!", "join please",
    ],
    "unclear": [
        "سفارش را لغو نکنید", "لغو نکنید", "سفارش لغو", "لغو سفارش", "لغو رزرو", "رزرو امشب لغو",
        "میز ۱۱", "ساعت 11", "ساعت 11 میام", "۱۱ نفریم", "ما ۱۱ نفر هستیم", "۱۱:۳۰", "فردا ۱۱", "111",
        "1 1", "110", "I'll stop by at 11", "stop by at 11", "don't stop", "Don’t stop", "never stop!",
        "non-stop", "ممنون", "لطفا", "ساعت ۱۲", "۱۲ نفر", "11 12", "لغو ۱۲", "عضویت ۱۱", "عضویت نه",
        "سفارشم را لغو کنید", "چرا لغو شد؟", "قهوه سرد بود و اصلا خوب نبود لغو", "آیا امروز باز هستید؟",
        "لغو میز ۱۱ برای امشب",
    ],
    "nothing": [
        "", "   ", "\n", "!!!", "🙏",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("meaning", "words"), [(meaning, text) for meaning, texts in PHRASES.items() for text in texts]
)
def test_answer_is_read_as_a_person_would_read_it(meaning: Meaning, words: str) -> None:
    assert read_reply(words) == meaning


async def answer(world: World, text: str, sender: str = "09121112233") -> None:
    async with transaction(world.pool) as conn:
        await replies.take_reply(conn, world.config.keys, world.cafe_id, sender, text)


async def kept(world: World, guest: UUID) -> Any:
    """Whether the guest agrees to advertising, as this service knows."""
    return await world.pool.fetchval("SELECT granted FROM consents WHERE customer_id = $1", guest)


async def test_guest_who_stopped_rejoins_by_the_other_word(world: World) -> None:
    guest = await world.add_guest()
    await answer(world, "لغو.")
    assert await kept(world, guest) is False
    await answer(world, "۱۲")
    assert await kept(world, guest) is True
    said = [event for event in await world.emitted() if isinstance(event, ReplyReceived)]
    assert [(event.opted_out, event.rejoined) for event in said] == [(True, False), (False, True)]


@pytest.fixture
async def staff(app: FastAPI, client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Somebody of the cafe."""
    sign_in(app, CLERK)
    return client


async def test_unclear_answer_waits_for_a_person_who_takes_it_for_a_stop(
    world: World, simulator: Simulator, staff: httpx2.AsyncClient
) -> None:
    guest = await world.add_guest()
    await answer(world, "دیگه پیام نفرستید")
    listed = (await staff.get(f"/cafes/{world.cafe_id}/replies")).json()
    assert [(each["customer_id"], each["words"]) for each in listed] == [(str(guest), "دیگه پیام نفرستید")]
    assert await kept(world, guest) is True
    address = f"/cafes/{world.cafe_id}/replies/{listed[0]['id']}/settlement"
    for _ in range(2):
        settled = await staff.post(address, json={"settled_as": "stop"})
        assert (settled.status_code, settled.json()["settled_as"]) == (200, "stop")
    assert (await staff.post(address, json={"settled_as": "nothing"})).status_code == 409
    assert (await staff.get(f"/cafes/{world.cafe_id}/replies")).json() == []
    assert await kept(world, guest) is False
    said = [event for event in await world.emitted() if isinstance(event, ReplyReceived)]
    assert [event.opted_out for event in said] == [False, True]
    assert said[0].occurred_at == said[1].occurred_at
    await world.enter_vip(guest)
    await world.run_jobs()
    assert simulator.texts == []


async def test_answer_that_needs_nothing_changes_nothing(world: World, staff: httpx2.AsyncClient) -> None:
    guest = await world.add_guest()
    await answer(world, "ساعت 11 میام")
    [waiting] = (await staff.get(f"/cafes/{world.cafe_id}/replies")).json()
    address = f"/cafes/{world.cafe_id}/replies/{waiting['id']}/settlement"
    assert (await staff.post(address, json={"settled_as": "nothing"})).status_code == 200
    assert await kept(world, guest) is True
    assert (await staff.get(f"/cafes/{world.cafe_id}/replies")).json() == []


async def test_another_cafe_neither_sees_nor_settles_an_answer(
    world: World,
    app: FastAPI,
    staff: httpx2.AsyncClient,
) -> None:
    await world.add_guest()
    await answer(world, "ساعت 11 میام")
    reply_id = await world.pool.fetchval("SELECT id FROM unclear_replies")
    other = World(world.pool, world.config)
    await other.open_cafe()
    await other.grant(STRANGER, "owner")
    sign_in(app, STRANGER)
    stranger = staff
    assert (await stranger.get(f"/cafes/{world.cafe_id}/replies")).status_code == 404
    assert (await stranger.get(f"/cafes/{other.cafe_id}/replies")).json() == []
    address = f"/cafes/{other.cafe_id}/replies/{reply_id}/settlement"
    assert (await stranger.post(address, json={"settled_as": "stop"})).status_code == 404
    assert await world.pool.fetchval("SELECT settled_as FROM unclear_replies") is None


async def test_words_are_sealed_and_go_with_their_guest_or_after_90_days(world: World) -> None:
    guest, other = await world.add_guest(), await world.add_guest("+989120000009")
    await answer(world, "ساعت 11 میام")
    await answer(world, "فردا 11", sender="09120000009")
    sealed = [row["words_sealed"] for row in await world.pool.fetch("SELECT words_sealed FROM unclear_replies")]
    assert len(sealed) == 2
    assert not [text for text in sealed if "11" in text.split("میام")]
    await world.react(
        recipients.on_customer_erased, CustomerErased(cafe_id=world.cafe_id, occurred_at=now(), customer_id=guest)
    )
    left = await world.pool.fetch("SELECT customer_id FROM unclear_replies")
    assert [row["customer_id"] for row in left] == [other]
    assert await replies.forget_old(world.pool) == 0
    await world.pool.execute("UPDATE unclear_replies SET received_at = $1", now() - timedelta(days=91))
    assert await replies.forget_old(world.pool) == 1
    assert await world.pool.fetchval("SELECT count(*) FROM unclear_replies") == 0


@pytest.mark.parametrize("way", ["reply", "staff"])
async def test_message_that_was_held_is_not_sent_after_a_no(world: World, simulator: Simulator, way: str) -> None:
    guest = await world.add_guest()
    await world.enter_vip(guest)
    await world.hold()
    if way == "reply":
        await answer(world, "لغو.")
    else:
        await world.consent(guest, granted=False)
    await world.run_jobs()
    assert simulator.texts == []
    assert (await world.decisions())[-1] == ("skip", "consent")


async def test_answer_of_an_unknown_number_is_nobodys(world: World) -> None:
    await answer(world, "سلام خوبید", sender="09350000000")
    await answer(world, "سلام خوبید", sender="not a number")
    assert await world.pool.fetchval("SELECT count(*) FROM unclear_replies") == 0
