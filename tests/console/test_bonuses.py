"""Points for a segment: seen first, given once, and refused beside what was typed."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.console.models.bonuses import BonusRun, BonusSeen
from services.console.models.segments import SegmentFile
from services.console.store.upstream import RefusedCall, RefusedField
from tests.console.house import CAFE, console

ID = uuid4()
HOME, API = f"/c/{CAFE}/segments/{ID}/bonus", f"/cafes/{CAFE}"
FORM = {"csrf": "a-token-of-this-session", "run_id": str(UUID(int=3)), "points": "۵۰", "budget_points": "۱٬۰۰۰"}
SEGMENT = SegmentFile(
    id=ID, name="مشتریان منظم", description=None, segment_key="regulars", criteria={}, customer_count=12,
    reachable_count=9, is_being_calculated=False, last_calculated_at=None, is_system_segment=True, is_active=True,
    color_hex="#000000",
)  # fmt: skip


def run(state: str = "done", *keys: str, **changes: Any) -> BonusRun:
    fields: dict[str, Any] = {
        "run_id": UUID(int=3), "segment_keys": keys or ("regulars",), "reason": "یلدا", "guests": 12,
        "total_points": 600, "state": state, "given": 12, "created_at": datetime(2026, 11, 29, 8, 30, tzinfo=UTC),
    } | changes  # fmt: skip
    return BonusRun(**fields)


def answers(*runs: BonusRun) -> dict[str, Any]:
    return {f"{API}/segments/{ID}": SEGMENT, f"{API}/grant-runs": runs}


async def test_it_is_seen_before_it_is_given() -> None:
    async with console() as (client, told, _):
        told.answers |= answers(run(), run("pending", "others", reason="نوروز"))
        told.answers[f"{API}/bonuses/preview"] = BonusSeen(12, 600, Decimal(60_000), "IRT")
        empty = (await client.get(HOME)).text
        seen = (await client.post(HOME, data=FORM | {"reason": "شب یلدا"})).text
        asked = msgspec.json.decode(next(more["content"] for _, _, at, more in told.asked if at.endswith("preview")))
        assert not any(at.endswith("/bonuses") for _, _, at, _ in told.asked)
    assert 'value="give"' not in empty
    assert ("یلدا" in empty, "نوروز" in empty) == (True, False)
    for words in ("۱۲ مهمان، روی هم ۶۰۰ امتیاز", "۶۰٬۰۰۰ تومان", 'value="give"', 'value="۵۰"', "شب یلدا"):
        assert words in seen, words
    assert f'value="{UUID(int=3)}"' in seen
    assert asked == {"segment_keys": ["regulars"], "points": "50"}


@pytest.mark.parametrize(("state", "done"), [("approved", "given"), ("pending", "asked")])
async def test_it_is_given_or_waits_for_another(state: str, done: str) -> None:
    async with console() as (client, told, _):
        told.answers |= answers() | {f"{API}/bonuses": run(state)}
        answer = await client.post(HOME, data=FORM | {"reason": "یلدا", "step": "give"})
        after = (await client.get(answer.headers["location"])).text
        sent = msgspec.json.decode(next(more["content"] for _, _, at, more in told.asked if at.endswith("/bonuses")))
    assert answer.headers["location"] == f"{HOME}?done={done}"
    assert ("نفر دوم" in after) == (done == "asked")
    assert sent == {
        "segment_keys": ["regulars"], "points": "50", "run_id": str(UUID(int=3)), "reason": "یلدا",
        "budget_points": "1000",
    }  # fmt: skip


async def test_refusal_keeps_what_was_typed() -> None:
    faults = (RefusedField("budget_points", "600", "۶۰۰"), RefusedField("points", "Whole!", "عدد صحیح!"))
    async with console() as (client, told, _):
        told.answers |= answers()
        told.answers[f"{API}/bonuses"] = RefusedCall(409, "over_budget", "Too much.", "بیش از بودجه.", faults, 0)
        answer = await client.post(HOME, data=FORM | {"reason": "شب یلدا", "step": "give"})
    assert answer.status_code == 409
    for words in ("بیش از بودجه.", "عدد صحیح!", "شب یلدا", 'value="۱٬۰۰۰"'):
        assert words in answer.text, words


async def test_staff_have_no_such_page() -> None:
    async with console("staff") as (client, told, _):
        told.answers |= answers()
        assert (await client.get(HOME)).status_code == 403


async def test_only_what_was_seen_can_be_given() -> None:
    async with console() as (client, told, _):
        told.answers |= answers()
        told.answers[f"{API}/bonuses/preview"] = BonusSeen(12, 600, None, "IRT")
        seen = (await client.post(HOME, data=FORM | {"reason": "یلدا"})).text
    # Another form than the one with fields: what somebody types after looking is not sent with it.
    [giving] = [each for each in seen.split("<form") if 'value="give"' in each.partition("</form>")[0]]
    assert giving.count('type="hidden"') == 5
    assert 'id="f-points"' not in giving.partition("</form>")[0]
