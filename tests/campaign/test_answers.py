"""What a provider's account may do to us: hang, drip, flood, lie, and answer nonsense of every kind."""

import contextlib
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from deploy.simulators.network import NetworkFault
from services.campaign.channels import transport
from services.campaign.channels.kavenegar.adapter import Kavenegar
from services.campaign.channels.models.values import DEAREST_MESSAGE, Credentials, Message
from services.campaign.channels.protocol import CannotKnow
from services.campaign.channels.transport import open_client
from shared.clock import new_id
from tests.campaign.conftest import API_KEY, Simulator

LOCAL_ID = 2**62
LATER = 1e9
ID = "8000000000"


def message(number: int = 0) -> Message:
    return Message(new_id(), local_id=LOCAL_ID + number, address=f"+9891200000{number:02}", text="سلام")


def answer(entries: Any, status: Any = 200) -> str:
    return json.dumps({"return": {"status": status}, "entries": entries})


def entry(**changes: Any) -> dict[str, Any]:
    return {"messageid": int(ID), "localid": str(LOCAL_ID), "status": 1, "cost": 1390} | changes


COSTS: list[tuple[Any, Decimal | None]] = [
    ("1390", Decimal(1390)), (1390.5, Decimal("1390.50")), (1390, Decimal(1390)), ("۱۲۰", Decimal(120)),
    (0, Decimal(0)), ("1e-400", Decimal(0)), (-1, None), (int(DEAREST_MESSAGE) + 1, None), (10**30, None),
    ("1e999", None), ("NaN", None), ("Infinity", None), ("x", None), (None, None), ([], None), ({}, None),
    (True, None), (str(10**30), None),
]  # fmt: skip


@pytest.fixture
async def provider(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kavenegar]:
    monkeypatch.setattr(transport, "TIMEOUT", httpx2.Timeout(0.5, connect=2))
    monkeypatch.setattr(transport, "CALL_SECONDS", 1.0)
    async with open_client() as client:
        yield Kavenegar(Credentials(simulator.url, API_KEY, "10004346"), client)


NONSENSE = [
    "", "null", "[]", "[[]]", "1", '"', "{}", '{"return": null}', '{"return": []}', '{"return": {"status": {}}}',
    '{"return": {"status": null}, "entries": []}', "[" * 100_000, '{"return": {"status": 1e999}}',
    '{"return": {"status": -1}}', '{"return": {"status": true}}', '{"return": {"status": NaN}}', "\ufeff{}", "{" * 5000,
    answer(None), answer([]), answer({}), answer([None]), answer([[]]), answer([[entry()]]), answer(["x"]),
    answer([entry(), entry()]), answer([entry(messageid={})]), answer([entry(messageid=[1])]),
    answer([entry(messageid=None)]), answer([entry(messageid=0)]), answer([entry(messageid="x" * 1000)]),
    answer([entry(messageid="\u0000")]), answer([entry(messageid=True)]), answer([entry(messageid=1.5)]),
    answer([entry(messageid="۱۲۰")]), answer([entry()], "abc"), answer([entry()], 10**30),
]  # fmt: skip


async def test_answer_that_says_nothing_leaves_the_outcome_unknown(provider: Kavenegar, simulator: Simulator) -> None:
    for words in NONSENSE:
        simulator.network.moods[API_KEY] = NetworkFault("say", words=words)
        result = (await provider.send([message()], LATER))[LOCAL_ID]
        assert (result.verdict, result.message_id) == ("unknown", None), words[:80]


async def test_look_up_that_says_nothing_is_never_taken_for_a_no(provider: Kavenegar, simulator: Simulator) -> None:
    for words in NONSENSE:
        simulator.network.moods[API_KEY] = NetworkFault("say", words=words)
        with contextlib.suppress(CannotKnow):
            found = await provider.find([LOCAL_ID])
            # Something may be said of this message, but not that it is not known.
            assert LOCAL_ID not in found or found[LOCAL_ID].progress != "missing", words[:80]


async def test_entry_without_a_readable_status_says_nothing(provider: Kavenegar, simulator: Simulator) -> None:
    for status in ("abc", None, [], {}, "1" * 50, 1e300, True, -1, "۱"):
        simulator.network.moods[API_KEY] = NetworkFault("say", words=answer([entry(status=status)]))
        assert await provider.find([LOCAL_ID]) == {}
        assert await provider.receipts([ID]) == {}


async def test_cost_is_taken_within_its_bounds_or_not_at_all(provider: Kavenegar, simulator: Simulator) -> None:
    for cost, expected in COSTS:
        simulator.network.moods[API_KEY] = NetworkFault("say", words=answer([entry(cost=cost)]))
        result = (await provider.send([message()], LATER))[LOCAL_ID]
        assert (result.verdict, result.cost) == ("accepted", expected), str(cost)[:40]


async def test_number_that_no_json_holds_leaves_the_outcome_unknown(provider: Kavenegar, simulator: Simulator) -> None:
    for cost in ("1e999", "NaN", "Infinity"):
        words = answer([entry(cost="COST")]).replace('"COST"', cost)
        simulator.network.moods[API_KEY] = NetworkFault("say", words=words)
        result = (await provider.send([message()], LATER))[LOCAL_ID]
        assert result.cost is None


async def test_one_id_for_two_messages_is_the_id_of_neither(provider: Kavenegar, simulator: Simulator) -> None:
    simulator.network.moods[API_KEY] = NetworkFault("say", words=answer([entry(), entry(), entry(messageid=7)]))
    results = await provider.send([message(0), message(1), message(2)], LATER)
    assert [result.verdict for result in results.values()] == ["unknown", "unknown", "accepted"]


@pytest.mark.parametrize("kind", ["hang", "drip", "flood", "bomb", "headers", "redirect", "drop", "error_after"])
async def test_answer_is_bounded_in_time_and_bytes(kind: Any, provider: Kavenegar, simulator: Simulator) -> None:
    simulator.network.moods[API_KEY] = NetworkFault(kind, seconds=3)
    result = (await provider.send([message()], LATER))[LOCAL_ID]
    with pytest.raises(CannotKnow):
        await provider.find([LOCAL_ID])
    assert (result.verdict, len(simulator.texts)) == ("unknown", 1)


@pytest.mark.parametrize("packed", [True, False])
async def test_more_than_anybody_has_to_say_is_not_read(
    packed: bool, provider: Kavenegar, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TIMEOUT", httpx2.Timeout(10, connect=2))
    monkeypatch.setattr(transport, "CALL_SECONDS", 10.0)
    simulator.network.moods[API_KEY] = NetworkFault("bomb" if packed else "flood")
    result = (await provider.send([message()], LATER))[LOCAL_ID]
    assert (result.verdict, result.code) == ("unknown", "TooMuch")


@pytest.mark.parametrize(
    "key", ["a\r\nb-and-more", "a\0bcdefgh", "\ud800-surrogate", "with space", "slash/slash", "کلیدفارسی", "a" * 5000]
)
async def test_key_that_breaks_the_client_sends_nothing_and_harms_nothing(key: str, simulator: Simulator) -> None:
    async with open_client() as client:
        broken = Kavenegar(Credentials(simulator.url, key, None), client)
        result = (await broken.send([message()], LATER))[LOCAL_ID]
        assert result.verdict in ("refused", "unknown")
        with pytest.raises(CannotKnow) as failed:
            await broken.find([1])
    assert simulator.texts == []
    assert key not in repr(failed.value)


async def test_what_is_too_late_does_not_leave(provider: Kavenegar, simulator: Simulator) -> None:
    result = (await provider.send([message()], 0.0))[LOCAL_ID]
    assert (result.verdict, result.code, simulator.network.calls) == ("busy", "out_of_time", 0)
