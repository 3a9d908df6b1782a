"""What every adapter of the registry keeps, whichever provider it speaks to: asked of each with its simulator, which
also does to calls what networks do. Another adapter is a row of SIMULATORS."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, get_args

import httpx2
import pytest

from deploy.simulators.network import Sent
from services.campaign.channels import transport
from services.campaign.channels.models.http import WriteProvider
from services.campaign.channels.models.values import Credentials, Message, Provider
from services.campaign.channels.protocol import Adapter, CannotKnow
from services.campaign.channels.registry import ADAPTERS, OF_INSTALLATION
from services.campaign.channels.transport import open_client
from services.campaign.messages.api.callbacks import ADDRESSES
from services.campaign.texts.models.http import SendableChannel
from shared.clock import new_id
from tests.campaign.conftest import API_KEY, Simulator, running_simulator
from tests.campaign.test_rules import CONTACT, PROVIDER

SIMULATORS: dict[str, Callable[[], AbstractAsyncContextManager[Simulator]]] = {"kavenegar": running_simulator}
# What an adapter is asked for when it can't be reached at all.
NOWHERE = "http://127.0.0.1:9"
SECRET = "a-secret-of-somebody"
LATER = 1e9
NASTY = ("", "0", "-1", "۱۲", "1" * 5000, "x", "\0", "🙂", "1e9", "null", "٣", "²")
FAULTS = [
    *((kind, 409) for kind in ("hang", "drop", "error_after", "error_before", "slow")),
    *((kind, 409) for kind in ("drip", "flood", "bomb", "headers", "redirect")),
    *(("refuse", code) for code in (400, 402, 403, 409, 412, 418, 429, 451, 500)),
]


@dataclass
class Line:
    """An adapter with an account at its simulator."""

    kind: type[Adapter]
    adapter: Adapter
    simulator: Simulator

    def held(self, message: Message) -> list[Sent]:
        """What the provider really has of a message."""
        return [each for each in self.simulator.network.sent if each.localid == message.local_id]


@pytest.fixture(params=sorted(ADAPTERS))
def kind(request: pytest.FixtureRequest) -> type[Adapter]:
    return ADAPTERS[request.param]


@pytest.fixture
async def line(kind: type[Adapter], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    monkeypatch.setattr(transport, "TIMEOUT", httpx2.Timeout(0.5, connect=2))
    monkeypatch.setattr(transport, "CALL_SECONDS", 1.0)
    async with SIMULATORS[kind.name]() as simulator, open_client() as client:
        yield Line(kind, kind(Credentials(simulator.url, API_KEY, "10004346"), client), simulator)


def message(number: int = 0, text: str = "سلام") -> Message:
    return Message(new_id(), local_id=2**62 + number, address=f"+98912000{number:04}", text=text)


def test_each_adapter_has_a_simulator_a_name_of_its_own_and_callbacks() -> None:
    assert set(SIMULATORS) == set(ADAPTERS)
    assert OF_INSTALLATION in ADAPTERS.values()
    assert set(get_args(WriteProvider.model_fields["provider_name"].annotation)) == set(ADAPTERS)
    for name, kind in ADAPTERS.items():
        assert name == kind.name
        assert kind.endpoint.startswith("https://")
        assert {f"/providers/{name}/receipts", f"/providers/{name}/replies"} <= set(ADDRESSES)


def test_what_may_be_written_for_a_channel_can_be_sent_by_it() -> None:
    offered = next(each for each in get_args(SendableChannel) if hasattr(each, "json_schema")).json_schema["enum"]
    assert set(offered) == {kind.channel for kind in ADAPTERS.values()}


def test_text_costs_by_its_parts_and_an_empty_one_is_one(kind: type[Adapter]) -> None:
    account: Provider = replace(PROVIDER, cost_per_sms=Decimal(100), charged_per_part=Decimal(120))
    sizes = [kind.render("س" * length, account) for length in (0, 1, 70, 71, 900)]
    assert [each.cost for each in sizes] == [each.parts * 120 for each in sizes]
    assert [each.parts for each in sizes] == sorted(each.parts for each in sizes)
    assert sizes[0].parts >= 1
    assert kind.render("سلام").cost == 0


def test_nobody_is_reached_without_an_address(kind: type[Adapter]) -> None:
    assert kind.address_of(CONTACT)
    assert kind.address_of(replace(CONTACT, phone=None)) is None


async def test_every_message_arrives_whole_and_is_known_by_both_ids(line: Line) -> None:
    text = 'نیم‌فاصله، «گیومه»، "quotes", 100% & + = 😀\nhttps://x.ir/f/A-_b'
    messages = [message(1, text), message(2)]
    results = await line.adapter.send(messages, LATER)
    assert {result.verdict for result in results.values()} == {"accepted"}
    assert line.simulator.texts == [text, "سلام"]
    found = await line.adapter.find([each.local_id for each in messages] + [5])
    assert found[5].progress == "missing"
    ids = {each.local_id: results[each.local_id].message_id for each in messages}
    assert {each: found[each].message_id for each in ids} == ids
    assert len(set(ids.values())) == len(messages)
    for _ in range(3):
        line.simulator.network.move(everything=True)
    told = await line.adapter.receipts([str(each) for each in ids.values()])
    assert [receipt.progress for receipt in told.values()] == ["delivered"] * 2


async def test_repeat_by_the_same_local_id_is_one_message(line: Line) -> None:
    assert await line.adapter.send([message()], LATER) == await line.adapter.send([message()], LATER)
    assert len(line.held(message())) == 1


async def test_largest_call_is_one_call(line: Line) -> None:
    messages = [message(number) for number in range(line.kind.largest_send)]
    results = await line.adapter.send(messages, LATER)
    assert {result.verdict for result in results.values()} == {"accepted"}
    assert set(results) == {each.local_id for each in messages}
    assert line.simulator.network.calls == 1


@pytest.mark.parametrize(("fault", "code"), FAULTS)
async def test_verdict_is_never_surer_than_the_truth(line: Line, fault: Any, code: int) -> None:
    line.simulator.fail(fault, code=code, seconds=1)
    messages = [message(1), message(2)]
    results = await line.adapter.send(messages, LATER)
    assert set(results) == {each.local_id for each in messages}
    for each in messages:
        verdict = results[each.local_id].verdict
        assert verdict != "accepted" or len(line.held(each)) == 1
        # Whoever hears this asks another provider, or sends it again.
        assert verdict not in ("refused", "busy", "refused_message") or not line.held(each)
    line.simulator.network.faults.clear()
    found = await line.adapter.find([each.local_id for each in messages])
    assert [found[each.local_id].progress != "missing" for each in messages] == [bool(line.held(e)) for e in messages]


async def test_one_refused_number_holds_up_no_other(line: Line) -> None:
    line.simulator.network.refused = {"09120000002"}
    messages = [message(number) for number in range(1, 6)]
    results = await line.adapter.send(messages, LATER)
    refused = [each for each in messages if results[each.local_id].verdict == "refused_message"]
    assert refused == [messages[1]]
    assert [len(line.held(each)) for each in messages] == [1, 0, 1, 1, 1]


async def test_nothing_leaves_when_its_time_is_over(line: Line) -> None:
    results = await line.adapter.send([message()], 0.0)
    assert results[message().local_id].verdict == "busy"
    assert line.simulator.network.calls == 0


async def test_what_nobody_answers_is_not_known_and_no_key_is_told(kind: type[Adapter], line: Line) -> None:
    line.simulator.network.keys = {API_KEY}
    async with open_client() as client:
        for endpoint in (NOWHERE, line.simulator.url, "http://[", "x"):
            stranger = kind(Credentials(endpoint, SECRET, None), client)
            result = (await stranger.send([message()], LATER))[message().local_id]
            assert result.verdict == "refused"
            for question in (stranger.find([1]), stranger.receipts(["1"])):
                with pytest.raises(CannotKnow) as failed:
                    await question
                assert SECRET not in repr(failed.value)
                assert failed.value.__cause__ is None
    assert not line.held(message())


@pytest.mark.parametrize("nasty", NASTY)
def test_callbacks_of_strangers_are_read_without_harm(kind: type[Adapter], nasty: str) -> None:
    receipt = kind.read_receipt(dict.fromkeys(kind.receipt_fields, nasty))
    assert receipt is None or receipt[0] == nasty
    sender, words = kind.read_reply(dict.fromkeys(kind.reply_fields, nasty))
    assert {sender, words} == {nasty}
