"""A guest at the counter: what is theirs in two taps, why not the rest, and what a bill would earn."""

import re
from typing import Any, get_args
from uuid import UUID, uuid4

import msgspec
import pytest

from services.console.models.counter import (
    BillQuote,
    GuestReferrals,
    OffersAtCounter,
    ReferralOfGuest,
    RewardAtHand,
    TakenAtCounter,
    UsedVoucher,
)
from services.console.rules import counter as rules
from services.console.rules.speech import Speech
from services.console.store.upstream import Away, RefusedCall, RefusedField
from services.loyalty.models.rewards import RewardRefusal
from tests.console.house import CAFE, console
from tests.console.test_rewards import BRANCH, NOTHING, branch

GUEST, ID, VOUCHER = uuid4(), uuid4(), uuid4()
HOME, API = f"/c/{CAFE}/guests/{GUEST}", f"/cafes/{CAFE}/customers/{GUEST}"
TOKEN = {"csrf": "a-token-of-this-session"}
PART = {"hx-request": "true"}
CARD = {"name": "کارت قهوه", "reward": "یک اسپرسو", "stamps": 5, "need": 9, "owed": 0, "missing": 4}


def reward(*refusals: str, **changes: Any) -> RewardAtHand:
    conditions = changes.pop("conditions", {})
    fields = {
        "reward_id": str(ID), "name": "اسپرسوی رایگان", "kind": "item", "cost_points": 60, "value": None,
        "minimum_bill": "0", "currency_unit": "IRT", "conditions": NOTHING | conditions, "stock_left": 4,
        "refusals": [{"code": each} for each in refusals], "points_missing": 0,
    } | changes  # fmt: skip
    return msgspec.convert(fields, RewardAtHand, strict=False)


def offers(*found: RewardAtHand, **changes: Any) -> OffersAtCounter:
    voucher = {"voucher_id": str(VOUCHER), "card_name": "کارت قهوه", "reward": "یک اسپرسو", "expires_at": None}
    used = {"voucher_id": str(uuid4()), "reward": "یک لاته", "used_at": "2026-11-29T08:30:00Z"}
    fields = {
        "current_points": 120, "available_points": 100, "total_visits": 3, "cards": [CARD], "vouchers": [voucher],
        "used_vouchers": [used],
    } | changes  # fmt: skip
    rewards = [msgspec.to_builtins(each) for each in found]
    return msgspec.convert(fields | {"rewards": rewards}, OffersAtCounter, strict=False)


def quote(**changes: Any) -> BillQuote:
    fields = {
        "points": 120, "tier": "bronze", "tier_after": "bronze", "next_tier": "silver", "points_to_next_tier": 60,
        "more_for_next_tier": "60000", "current_points": 100, "currency_unit": "IRT",
        "rewards": [msgspec.to_builtins(reward())], "next_reward": {"name": "کیک", "points_missing": 30},
        "cards": [{"gives": 2, "completes": 0, "after": CARD}],
    } | changes  # fmt: skip
    return msgspec.convert(fields, BillQuote, strict=False)


def test_every_refusal_has_its_reason() -> None:
    s, here = Speech(), {BRANCH: "ونک"}
    conditions = {
        "branches": [str(BRANCH)], "weekdays": ["sat"], "from_time": "09:00", "least_tier": "gold",
        "match": {"names": ["لاته"]},
    }  # fmt: skip
    one = reward(*get_args(RewardRefusal), conditions=conditions, minimum_bill="50000", points_missing=30)
    found = {each.key: each for each in rules.reasons(one, here, s)}
    assert set(found) == {*(key for keys in rules.BY_LIMIT.values() for key in keys), *rules.WHY_NOT}
    assert (found["INSUFFICIENT_POINTS"].values, found["branches"].values) == ({"n": "۳۰"}, {"branches": "ونک"})
    assert found["tier"].limit is not None
    assert found["tier"].limit.tier == "gold"


def test_dearest_within_reach_comes_first_and_the_nearest_of_the_rest() -> None:
    found = offers(
        reward(name="a"),
        reward(name="b", cost_points=90),
        reward("wrong_day", name="c"),
        reward("INSUFFICIENT_POINTS", name="d", points_missing=50),
        reward("INSUFFICIENT_POINTS", name="e", points_missing=9),
    )
    assert [each.name for each in rules.ready(found)] == ["b", "a"]
    assert [each.name for each in rules.others(found)] == ["e", "d", "c"]


def test_branch_is_the_chosen_one_or_the_only_one() -> None:
    one, other = branch(), msgspec.structs.replace(branch("تجریش"), branch_id=UUID(int=5))
    closed = msgspec.structs.replace(other, is_active=False)
    assert rules.branch_of([], "") is None
    assert rules.branch_of([one, closed], "") == BRANCH
    assert rules.branch_of([one, other], "") is None
    assert rules.branch_of([one, other], str(UUID(int=5))) == UUID(int=5)
    assert rules.branch_of([one, closed], str(UUID(int=5))) == BRANCH


@pytest.mark.parametrize("role", ["staff", "manager"])
async def test_part_has_a_form_for_each_thing_that_is_theirs(role: str) -> None:
    short = reward("INSUFFICIENT_POINTS", name="کیک", points_missing=30)
    async with console(role) as (client, told, _):
        told.answers |= {f"{API}/offers": offers(reward(), short), f"/cafes/{CAFE}/branches": (branch(),)}
        part = await client.get(f"{HOME}/offers", headers=PART)
        whole = await client.get(f"{HOME}/offers")
        asked = [more for _, _, path, more in told.asked if path.endswith("/offers")]
    assert (part.status_code, whole.status_code) == (200, 200)
    assert "<html" not in part.text
    assert "<html" in whole.text
    for words in ("اسپرسوی رایگان", "۳۰ امتیاز کم دارد", "۵ مهر از ۹", "یک اسپرسو", "۴۰ امتیاز می‌ماند", "یک لاته"):
        assert words in part.text, words
    assert part.text.count('name="redemption_id"') == 1
    assert part.text.count('class="on"') == 5
    assert ("take-back" in part.text) == (role == "manager")
    assert asked[0]["params"] == {"branch_id": str(BRANCH)}


async def test_guests_page_asks_for_it_by_itself_and_not_in_its_eight_calls() -> None:
    async with console() as (client, told, _):
        text = (await client.get(f"{HOME}/redeem")).text
        told.answers[f"{API}/offers"] = Away("loyalty")
        away = await client.get(f"{HOME}/offers", headers=PART)
        alone = await client.get(f"{HOME}/offers")
    assert "hx-get" not in text or f'hx-get="{HOME}/offers"' in text
    assert (away.status_code, alone.status_code) == (200, 503)


async def test_second_tap_is_the_same_redemption_and_the_bill_goes_along() -> None:
    form = {"reward_id": str(ID), "redemption_id": str(uuid4()), "branch": str(BRANCH), "bill": "۴۵۰٬۰۰۰"}
    async with console("staff") as (client, told, _):
        told.answers[f"/cafes/{CAFE}/redemptions"] = TakenAtCounter(ID, 60, "completed")
        answers = [await client.post(f"{HOME}/rewards", data=TOKEN | form) for _ in range(2)]
        sent = [msgspec.json.decode(more["content"]) for _, method, _, more in told.asked if method == "POST"]
    assert [each.headers["location"] for each in answers] == [f"{HOME}?done=taken"] * 2
    assert sent[0] == sent[1]
    assert sent[0] == {
        "redemption_id": form["redemption_id"], "customer_id": str(GUEST), "reward_id": str(ID),
        "branch_id": str(BRANCH), "bill": {"final_amount": "450000", "currency_unit": "IRT"},
    }  # fmt: skip


async def test_refusal_is_said_beside_what_there_is_then() -> None:
    form = {"reward_id": str(ID), "redemption_id": str(uuid4())}
    async with console() as (client, told, _):
        told.answers |= {f"{API}/offers": offers(reward("out_of_stock")), f"/cafes/{CAFE}/branches": ()}
        told.answers[f"/cafes/{CAFE}/redemptions"] = RefusedCall(409, "out_of_stock", "Gone.", "تمام شده.", (), 0)
        answer = await client.post(f"{HOME}/rewards", data=TOKEN | form)
    assert answer.status_code == 409
    assert 'role="alert"' in answer.text
    assert "تمام شده است" in answer.text


async def test_bill_says_what_it_earns_and_what_is_near() -> None:
    async with console() as (client, told, _):
        told.answers |= {f"{API}/quotes": quote(), f"{API}/offers": offers(), f"/cafes/{CAFE}/branches": (branch(),)}
        part = await client.post(f"{HOME}/bill", data=TOKEN | {"amount": "۱۲۰٬۰۰۰"}, headers=PART)
        whole = await client.post(f"{HOME}/bill", data=TOKEN | {"amount": "۱۲۰٬۰۰۰"})
        sent = msgspec.json.decode(next(more["content"] for _, _, path, more in told.asked if path.endswith("quotes")))
        told.answers[f"{API}/quotes"] = quote(tier_after="silver", cards=[{"gives": 4, "completes": 1, "after": CARD}])
        risen = await client.post(f"{HOME}/bill", data=TOKEN | {"amount": "1"}, headers=PART)
    assert sent == {"final_amount": "120000", "currency_unit": "IRT", "branch_id": str(BRANCH)}
    said = [re.sub("[\u2068\u2069]", "", each.text) for each in (part, whole, risen)]
    for text in said[:2]:
        for words in ("+۱۲۰", "۲۲۰ امتیاز دارد", "۶۰٬۰۰۰ تومان بیشتر", "۳۰ امتیاز تا «کیک»", "۲ مهر روی «کارت قهوه»"):
            assert words in text, words
        assert 'name="bill" value="۱۲۰٬۰۰۰"' in text
    assert "با همین خرید نقره‌ای می‌شود" in said[2]
    assert "«کارت قهوه» پر می‌شود" in said[2]


async def test_amount_that_is_none_is_said_at_its_field_and_stays() -> None:
    wrong = RefusedCall(422, "x", "Wrong", "نادرست", (RefusedField("final_amount", "Exact!", "عدد دقیق!"),), 0)
    async with console() as (client, told, _):
        told.answers |= {f"{API}/quotes": wrong, f"{API}/offers": offers(), f"/cafes/{CAFE}/branches": ()}
        part = await client.post(f"{HOME}/bill", data=TOKEN | {"amount": "زیاد"}, headers=PART)
        whole = await client.post(f"{HOME}/bill", data=TOKEN | {"amount": "زیاد"})
        nothing = await client.post(f"{HOME}/bill", data=TOKEN, headers=PART)
    assert (part.status_code, whole.status_code, nothing.status_code) == (200, 422, 200)
    assert "عدد دقیق!" in part.text
    assert "عدد دقیق!" in whole.text
    assert 'value="زیاد"' in whole.text


async def test_voucher_is_used_once_and_taken_back() -> None:
    path = f"/cafes/{CAFE}/vouchers/{VOUCHER}"
    request = str(uuid4())
    async with console() as (client, told, _):
        told.answers |= {f"{path}/{each}": UsedVoucher(VOUCHER, "x", None) for each in ("use", "take-back")}
        used = await client.post(f"{HOME}/vouchers/{VOUCHER}/use", data=TOKEN | {"request_id": request})
        back = await client.post(f"{HOME}/vouchers/{VOUCHER}/take-back", data=TOKEN)
        sent = [msgspec.json.decode(more["content"]) for _, _, at, more in told.asked if at == f"{path}/use"]
        told.answers |= {f"{API}/offers": offers(), f"/cafes/{CAFE}/branches": ()}
        told.answers[f"{path}/use"] = RefusedCall(409, "voucher_used", "It is used.", "خرج شده است.", (), 0)
        refused = await client.post(f"{HOME}/vouchers/{VOUCHER}/use", data=TOKEN | {"request_id": request})
    assert [each.headers["location"].rpartition("=")[2] for each in (used, back)] == ["used", "given_back"]
    assert sent == [{"request_id": request}]
    assert (refused.status_code, "خرج شده است." in refused.text) == (409, True)


async def test_code_is_shown_to_who_was_here_and_asked_of_who_is_new() -> None:
    brought = [ReferralOfGuest(state, uuid4(), GUEST) for state in ("completed", "completed", "waiting", "cancelled")]
    known, new = GuestReferrals("HKMTRW", None, tuple(brought)), GuestReferrals("ABCDEF", None, ())
    by = GuestReferrals(None, ReferralOfGuest("waiting", GUEST, ID), ())
    async with console("staff") as (client, told, _):
        told.answers |= {f"{API}/offers": offers(), f"/cafes/{CAFE}/branches": (), f"{API}/referrals": known}
        old = (await client.get(f"{HOME}/offers", headers=PART)).text
        told.answers |= {f"{API}/offers": offers(total_visits=0), f"{API}/referrals": new}
        fresh = (await client.get(f"{HOME}/offers", headers=PART)).text
        told.answers[f"{API}/referrals"] = by
        came = (await client.get(f"{HOME}/offers", headers=PART)).text
    for words in ("HKMTRW", "۲ نفر را آورده", "۱ نفر در راه"):
        assert words in old, words
    assert [f'action="{HOME}/referral"' in each for each in (old, fresh, came)] == [False, True, False]
    assert "ABCDEF" not in fresh
    assert f"/guests/{ID}" in came
    assert "در انتظار نخستین خرید" in came


async def test_claim_is_sent_in_capitals_and_a_refused_one_keeps_its_letters() -> None:
    path = f"/cafes/{CAFE}/referrals"
    async with console("staff") as (client, told, _):
        told.answers |= {f"{API}/offers": offers(total_visits=0), f"/cafes/{CAFE}/branches": ()}
        told.answers |= {f"{API}/referrals": GuestReferrals("A", None, ()), path: ReferralOfGuest("waiting", GUEST, ID)}
        done = await client.post(f"{HOME}/referral", data=TOKEN | {"code": " hkmtrw "})
        sent = msgspec.json.decode(next(more["content"] for _, _, at, more in told.asked if at == path))
        why = (RefusedField("code", "Nobody has it.", "هیچ مهمانی این کد را ندارد."),)
        told.answers[path] = RefusedCall(409, "unknown_code", "No.", "نه.", why, 0)
        wrong = await client.post(f"{HOME}/referral", data=TOKEN | {"code": "hkmtrx"})
    assert done.headers["location"] == f"{HOME}?done=brought"
    assert sent == {"customer_id": str(GUEST), "code": "HKMTRW"}
    assert wrong.status_code == 409
    assert "هیچ مهمانی این کد را ندارد." in wrong.text
    assert 'value="hkmtrx"' in wrong.text


async def test_device_remembers_the_branch_that_was_chosen() -> None:
    other = msgspec.structs.replace(branch("تجریش"), branch_id=UUID(int=5))
    async with console("staff") as (client, told, _):
        told.answers |= {f"{API}/offers": offers(), f"/cafes/{CAFE}/branches": (branch(), other)}
        chosen = await client.get(f"{HOME}/offers", params={"branch": str(BRANCH)}, headers=PART)
        session = client.headers["cookie"]
        kept = {"cookie": f"{session}; branch={BRANCH}"}
        await client.get(f"{HOME}/offers", headers=PART | kept)
        await client.get(f"{HOME}/offers", headers=PART)
        asked = [more["params"] for _, _, path, more in told.asked if path.endswith("/offers")]
    assert asked == [{"branch_id": str(BRANCH)}, {"branch_id": str(BRANCH)}, {}]
    said = chosen.headers["set-cookie"]
    for words in (f"branch={BRANCH}", "HttpOnly", "Secure", f"Path=/c/{CAFE}"):
        assert words in said, words
