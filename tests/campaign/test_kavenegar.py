"""The adapter and the simulator, over a real socket."""

from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import UUID

import httpx2
import pytest

from services.campaign.channels import transport
from services.campaign.channels.kavenegar.adapter import Kavenegar
from services.campaign.channels.models.values import Credentials, Message
from services.campaign.channels.protocol import CannotKnow
from services.campaign.channels.transport import open_client
from shared.clock import new_id
from tests.campaign.conftest import API_KEY, Simulator

LATER = 1e9


def message(number: int, text: str = "سلام") -> Message:
    return Message(new_id(), local_id=2**62 + number, address=f"+9891200000{number:02}", text=text)


@pytest.fixture
async def provider(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kavenegar]:
    monkeypatch.setattr(transport, "TIMEOUT", httpx2.Timeout(0.5, connect=2))
    async with open_client() as client:
        yield Kavenegar(Credentials(simulator.url, API_KEY, "10004346"), client)


async def test_messages_arrive_whole_and_are_found_by_both_ids(provider: Kavenegar, simulator: Simulator) -> None:
    text = 'نیم‌فاصله، «گیومه»، "quotes", 100% & + = 😀\nhttps://x.ir/f/A-_b'
    messages = [message(1, text), message(2)]
    results = await provider.send(messages, LATER)
    assert simulator.texts == [text, "سلام"]
    assert [sent.sender for sent in simulator.network.sent] == ["10004346"] * 2
    assert [results[m.local_id].verdict for m in messages] == ["accepted"] * 2
    assert results[messages[1].local_id].cost == Decimal(1390)

    found = await provider.find([m.local_id for m in messages] + [5])
    assert [receipt.progress for receipt in found.values()] == ["under_way", "under_way", "missing"]
    first = results[messages[0].local_id].message_id
    assert found[messages[0].local_id].message_id == first
    assert first is not None
    for _ in range(3):
        simulator.network.move(everything=True)
    receipts = await provider.receipts([first, "1"])
    assert [receipt.progress for receipt in receipts.values()] == ["delivered", "missing"]


async def test_same_local_id_is_the_same_message(provider: Kavenegar, simulator: Simulator) -> None:
    first = await provider.send([message(1)], LATER)
    second = await provider.send([message(1)], LATER)
    assert first == second
    assert len(simulator.texts) == 1


async def test_two_hundred_messages_go_in_one_call(provider: Kavenegar, simulator: Simulator) -> None:
    messages = [Message(UUID(int=n), n, f"+9891200{n:05}", "سلام") for n in range(1, 201)]
    results = await provider.send(messages, LATER)
    assert {result.verdict for result in results.values()} == {"accepted"}
    assert simulator.network.calls == 1


@pytest.mark.parametrize(
    ("code", "verdict"),
    [(400, "refused"), (403, "refused"), (418, "refused"), (412, "refused"), (429, "busy"), (451, "busy"),
     (409, "unknown"), (402, "unknown"), (500, "unknown")],
)  # fmt: skip
async def test_refusals_are_told_apart(code: int, verdict: str, provider: Kavenegar, simulator: Simulator) -> None:
    simulator.fail("refuse", code=code)
    result = (await provider.send([message(1)], LATER))[message(1).local_id]
    assert (result.verdict, result.code) == (verdict, str(code))


@pytest.mark.parametrize("kind", ["hang", "drop", "error_after"])
async def test_lost_answer_is_unknown_and_found_by_local_id(
    kind: str, provider: Kavenegar, simulator: Simulator
) -> None:
    simulator.fail(kind, seconds=1)
    result = (await provider.send([message(1)], LATER))[message(1).local_id]
    assert result.verdict == "unknown"
    assert (await provider.find([message(1).local_id]))[message(1).local_id].progress == "under_way"


async def test_wrong_key_is_a_refusal_and_stays_out_of_errors(simulator: Simulator) -> None:
    async with open_client() as client:
        stranger = Kavenegar(Credentials(simulator.url, "a-secret-of-somebody", None), client)
        assert (await stranger.send([message(1)], LATER))[message(1).local_id].verdict == "refused"
        with pytest.raises(CannotKnow) as failed:
            await stranger.find([1])
    assert "secret" not in repr(failed.value)
    assert failed.value.__cause__ is None


async def test_provider_that_is_away_has_surely_nothing() -> None:
    async with open_client() as client:
        nobody = Kavenegar(Credentials("http://127.0.0.1:9", "a-secret-of-somebody", None), client)
        result = (await nobody.send([message(1)], LATER))[message(1).local_id]
        assert (result.verdict, result.code) == ("refused", "unreachable")
        with pytest.raises(CannotKnow) as failed:
            await nobody.receipts(["1"])
    assert "secret" not in repr(failed.value)


async def test_simulator_shows_the_phones_with_masked_numbers(provider: Kavenegar, simulator: Simulator) -> None:
    await provider.send([message(1, "سلام <b>x</b> https://cafe.example/f/abc")], LATER)
    async with httpx2.AsyncClient() as client:
        page = (await client.get(simulator.url)).text
        account = (await client.get(f"{simulator.url}/v1/{API_KEY}/account/info.json")).json()
        outbox = (await client.get(f"{simulator.url}/v1/{API_KEY}/sms/latestoutbox.json")).json()
        unknown = (await client.get(f"{simulator.url}/v1/{API_KEY}/sms/nothing.json")).json()
    assert 'dir="rtl"' in page
    assert "<b>x</b>" not in page
    assert 'href="https://cafe.example/f/abc"' in page
    assert "09120000001" not in page
    assert "۰۹۱۲۰۰۰۰۰۰۱" not in page
    assert account["entries"]["remaincredit"] == 1_000_000_000_000 - 1390
    assert len(outbox["entries"]) == 1
    assert unknown["return"]["status"] == 404
