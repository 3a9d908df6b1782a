"""Rewards in the club room: said in sentences, written in a form, and never lost while somebody types."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.console.api.rendering import catalogue
from services.console.models.http_rewards import RewardForm
from services.console.models.people import BranchOfCafe
from services.console.models.rewards import RewardOfCafe
from services.console.rules import rewards as rules
from services.console.rules.speech import Speech
from services.console.store.upstream import RefusedCall, RefusedField
from tests.console.house import CAFE, console
from tests.console.test_rehearsals import VERSION

ID, BRANCH = uuid4(), uuid4()
HOME, API = f"/c/{CAFE}/club/rewards", f"/cafes/{CAFE}/rewards"
PERSIAN, ENGLISH = Speech(), Speech("en")
NOTHING: dict[str, Any] = {
    "match": None, "least_tier": None, "branches": [], "weekdays": [], "from_time": None, "until_time": None,
    "valid_from": None, "valid_until": None, "per_guest": None, "per_guest_days": None,
}  # fmt: skip
ALL: dict[str, Any] = {
    "match": {"categories": ["قهوه"], "skus": [], "names": ["لاته"]}, "least_tier": "silver",
    "branches": [str(BRANCH)], "weekdays": ["tue", "sat"], "from_time": "15:00", "until_time": None,
    "valid_from": "2026-11-28T20:30:00Z", "valid_until": "2026-12-05T20:30:00Z", "per_guest": 1, "per_guest_days": 7,
}  # fmt: skip


def reward(conditions: dict[str, Any] | None = None, **changes: Any) -> RewardOfCafe:
    fields = {
        "reward_id": str(ID), "name": "اسپرسوی رایگان", "kind": "item", "cost_points": 100, "value": None,
        "minimum_bill": "0", "currency_unit": "IRT", "conditions": NOTHING | (conditions or {}), "stock": 20,
        "stock_left": 3, "taken": 17, "is_active": True,
    } | changes  # fmt: skip
    return msgspec.convert(fields, RewardOfCafe, strict=False)


def branch(name: str = "ونک") -> BranchOfCafe:
    return BranchOfCafe(BRANCH, 1, "vanak", name, True)


def answers(*found: RewardOfCafe) -> dict[str, Any]:
    return {
        API: found,
        f"/cafes/{CAFE}/programs": (msgspec.structs.replace(VERSION, point_worth=Decimal(500)),),
        f"/cafes/{CAFE}/branches": (branch(),),
    }


def spoken(found: tuple[rules.RewardLimit, ...], s: Speech) -> list[str]:
    words = catalogue()
    said = [
        words.say(
            s.language,
            f"reward_limit.{each.key}",
            **each.values,
            **({"tier": words.say(s.language, f"tier.{each.tier}")} if each.tier else {}),
        )
        for each in found
    ]
    return [each.replace("\u2068", "").replace("\u2069", "") for each in said]


def test_every_limit_is_a_sentence() -> None:
    full = reward(ALL, minimum_bill="200000")
    assert spoken(rules.limits(full, {BRANCH: "ونک"}, PERSIAN), PERSIAN) == [
        "از سطح نقره‌ای به بالا", "از خرید ۲۰۰٬۰۰۰ تومان به بالا", "همراه قهوه، لاته", "شنبه، سه‌شنبه",
        "ساعت ۱۵:۰۰ تا ۲۴:۰۰", "از ۸ آذر ۱۴۰۵ تا پایان ۱۴ آذر ۱۴۰۵", "شعبه: ونک", "هر مهمان ۱ بار در ۷ روز",
    ]  # fmt: skip
    assert spoken(rules.limits(full, {}, ENGLISH), ENGLISH)[-2:] == ["at 1", "once a guest in 7 days"]
    assert rules.limits(reward(), {}, PERSIAN) == ()
    assert [each.key for each in rules.limits(reward(cost_points=None), {}, PERSIAN)] == ["cards_only"]
    only_until = reward({"valid_until": "2026-12-05T20:30:00Z", "per_guest": 2})
    assert [each.key for each in rules.limits(only_until, {}, PERSIAN)] == ["until", "guest"]
    assert set(rules.LIMITS) == set(catalogue().values_of("reward_limit"))


def test_points_of_a_reward_have_a_worth_of_their_own() -> None:
    assert rules.worth_of_cost(reward(), Decimal(500)) == 50_000
    assert rules.worth_of_cost(reward(), None) is None
    assert rules.worth_of_cost(reward(cost_points=None), Decimal(500)) is None


@pytest.mark.parametrize("s", [PERSIAN, ENGLISH])
def test_form_is_the_reward_again(s: Speech) -> None:
    full = reward(ALL, kind="discount", value="30000", minimum_bill="200000")
    body = rules.as_change(
        rules.as_form(full, s), "discount", "IRT", full.conditions.valid_from, full.conditions.valid_until
    )
    conditions = body.pop("conditions")
    assert body == {
        "name": "اسپرسوی رایگان", "cost_points": "100", "value": "30000", "minimum_bill": "200000",
        "currency_unit": "IRT",
    }  # fmt: skip
    since, until = conditions.pop("valid_from"), conditions.pop("valid_until")
    assert (since, until) == (datetime(2026, 11, 28, 20, 30, tzinfo=UTC), datetime(2026, 12, 5, 20, 30, tzinfo=UTC))
    wanted = {name: value for name, value in ALL.items() if not name.startswith("valid")}
    assert conditions == wanted | {"per_guest": "1", "per_guest_days": "7"}


def test_what_people_type_is_what_the_api_reads() -> None:
    assert [rules.number(each) for each in ("۱۲٬۵۰۰", "12,500", " ۳٫۵ ", "", "صد")] == [
        "12500", "12500", "3.5", None, "صد",
    ]  # fmt: skip
    assert [rules.clock(each) for each in ("۹", "9:05", "۱۵:۳۰", "", "ظهر")] == ["09:00", "09:05", "15:30", None, "ظهر"]
    assert rules.words("قهوه، کیک,latte ,") == ["قهوه", "کیک", "latte"]
    offered = rules.as_offer(RewardForm(name="x", value="5"), ID, "IRR", None, None)
    assert (offered["reward_id"], offered["value"], offered["conditions"]["match"]) == (ID, None, None)
    assert offered["key"] == rules.as_offer(RewardForm(), ID, "IRR", None, None)["key"]


@pytest.mark.parametrize("role", ["staff", "manager"])
async def test_page_shows_every_reward_and_only_managers_change_it(role: str) -> None:
    gone = reward(reward_id=str(uuid4()), name="کیک", is_active=False, stock=None, stock_left=None)
    async with console(role) as (client, told, _):
        told.answers |= answers(reward(ALL), gone)
        text = (await client.get(HOME)).text
        new, one = await client.get(f"{HOME}/new"), await client.get(f"{HOME}/{ID}")
    for words in ("اسپرسوی رایگان", "۱۰۰", "۵۰٬۰۰۰ تومان", "۳ تا مانده از ۲۰", "ونک", "کنارگذاشته‌ها", "بدون سقف"):
        assert words in text, words
    assert ('method="post"' in text.partition("<main")[2]) == (role == "manager")
    assert {new.status_code, one.status_code} == ({200} if role == "manager" else {403})


async def test_new_reward_is_sent_as_it_was_typed() -> None:
    form = {
        "reward_id": str(ID), "kind": "discount", "name": "نصف قیمت", "cost_points": "۱٬۰۰۰", "value": "۵۰٬۰۰۰",
        "stock": "۱۰", "weekdays": ["sat", "sun"], "branches": [str(BRANCH)], "from_time": "۱۵", "until_time": "18:00",
        "valid_from": "۱۴۰۵/۰۹/۰۸", "valid_until": "1405/9/8", "per_guest": "", "categories": "قهوه، کیک",
    }  # fmt: skip
    async with console() as (client, told, _):
        told.answers |= {**answers(), API: reward()}
        answer = await client.post(HOME, data=form | {"csrf": "a-token-of-this-session"})
        sent = msgspec.json.decode(next(more["content"] for _, method, _, more in told.asked if method == "POST"))
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HOME}?done=offered")
    conditions = sent.pop("conditions")
    assert sent == {
        "reward_id": str(ID), "key": f"reward_{ID.hex[-12:]}", "kind": "discount", "name": "نصف قیمت",
        "cost_points": "1000", "value": "50000", "minimum_bill": "0", "currency_unit": "IRT", "stock": "10",
    }  # fmt: skip
    assert conditions["weekdays"] == ["sat", "sun"]
    assert (conditions["from_time"], conditions["until_time"]) == ("15:00", "18:00")
    # One day of the cafe, from its beginning to its end.
    assert datetime.fromisoformat(conditions["valid_from"]) == datetime(2026, 11, 28, 20, 30, tzinfo=UTC)
    assert datetime.fromisoformat(conditions["valid_until"]) == datetime(2026, 11, 29, 20, 30, tzinfo=UTC)


async def test_refused_form_says_what_is_wrong_where_and_loses_nothing() -> None:
    faults = (
        RefusedField("cost_points", "Whole!", "عدد صحیح!"),
        RefusedField("conditions.match.categories.0", "Word!", "واژه!"),
        RefusedField("conditions", "Never!", "هرگز!"),
    )
    form = {
        "reward_id": str(ID), "name": "نصف قیمت", "cost_points": "صد", "weekdays": ["sun"], "branches": [str(BRANCH)],
        "categories": "دسته", "valid_until": "۱۴۰۵/۰۹/۰۸", "least_tier": "gold", "csrf": "a-token-of-this-session",
    }  # fmt: skip
    async with console() as (client, told, _):
        told.answers |= {**answers(), API: RefusedCall(422, "validation_error", "Wrong", "نادرست", faults, 0)}
        answer = await client.post(HOME, data=form)
        day = await client.post(HOME, data=form | {"valid_until": "فردا"})
    assert answer.status_code == 422
    for words in ("عدد صحیح!", "واژه!", "هرگز!", 'value="صد"', 'value="دسته"', 'value="sun" checked', "۱۴۰۵/۰۹/۰۸"):
        assert words in answer.text, words
    assert f'value="{BRANCH}" checked' in answer.text
    assert 'value="gold" selected' in answer.text
    assert f'value="{ID}"' in answer.text
    assert (day.status_code, 'value="فردا"' in day.text) == (422, True)


async def test_stock_is_what_is_left_and_what_was_given_when_it_was_counted() -> None:
    one = f"{API}/{ID}"
    token = {"csrf": "a-token-of-this-session", "taken": "17"}
    async with console() as (client, told, _):
        told.answers |= {**answers(reward()), one: reward()}
        for left in ("۵", "", "چند"):
            await client.post(f"{HOME}/{ID}/stock", data=token | {"left": left})
        sent = [msgspec.json.decode(more["content"]) for _, method, _, more in told.asked if method == "PATCH"]
        told.answers[one] = RefusedCall(
            422, "validation_error", "Wrong", "نادرست", (RefusedField("stock", "n", "عدد صحیح!"),), 0
        )
        wrong = await client.post(f"{HOME}/{ID}/stock", data=token | {"left": "چند"})
    assert sent == [{"stock": 22}, {"stock": None}, {"stock": "چند"}]
    assert (wrong.status_code, "عدد صحیح!" in wrong.text, 'value="چند"' in wrong.text) == (422, True, True)


async def test_reward_goes_off_the_offer_and_on_again() -> None:
    async with console() as (client, told, _):
        told.answers[f"{API}/{ID}"] = reward()
        token = {"csrf": "a-token-of-this-session"}
        gone = await client.post(f"{HOME}/{ID}/offer", data=token | {"active": "no"})
        back = await client.post(f"{HOME}/{ID}/offer", data=token | {"active": "yes"})
        sent = [msgspec.json.decode(more["content"]) for _, method, _, more in told.asked if method == "PATCH"]
    assert [each.headers["location"].partition("=")[2] for each in (gone, back)] == ["off", "on"]
    assert sent == [{"is_active": False}, {"is_active": True}]


async def test_reward_that_is_none_is_said() -> None:
    async with console() as (client, told, _):
        told.answers |= answers(reward())
        assert (await client.get(f"{HOME}/{UUID(int=9)}")).status_code == 404
