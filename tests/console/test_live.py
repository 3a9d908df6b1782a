"""The live stream: a hole in the wall between cafes, unless each of these holds."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from deploy.crm import engines
from services.console import worker
from services.console.handlers import live, rings
from services.console.rules import live as rules
from shared.errors import Rejected
from shared.events import registry
from shared.events.base import Event
from shared.events.identity import AccessGranted, AccessRevoked, SessionsEnded
from shared.events.visit import DeviceGapDetected
from shared.messaging import tail, topics
from shared.messaging.clients import opened
from shared.security.auth import Staff
from shared.settings import Settings
from tests.conftest import Kafka
from tests.console.streams import LATE, SOON, House, reading, running
from tests.shared.records import record_of, visit
from tests.shared.test_wiring import sample_of
from tests.shared.working import publish

OURS, THEIRS = UUID(int=1), UUID(int=2)
PERSONAL = ("amount", "185000", "till-1", "receipt", "phone", "name")


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with running() as found:
        found.identity.hire("ours", "manager", OURS)
        found.identity.hire("theirs", "owner", THEIRS)
        yield found


def gap(cafe_id: UUID = OURS) -> DeviceGapDetected:
    found = sample_of(DeviceGapDetected)
    assert isinstance(found, DeviceGapDetected)
    return msgspec.structs.replace(found, cafe_id=cafe_id)


def granted(kind: type[Any], staff: Staff, **more: Any) -> Event:
    event: Event = kind(cafe_id=OURS, occurred_at=datetime.now(UTC), user_id=staff.user_id, **more)
    return event


async def refused(house: House, token: str, cafe_id: UUID = OURS) -> int:
    with pytest.raises(Rejected) as error:
        async with reading(house, token, cafe_id):
            raise AssertionError
    return error.value.status


async def test_stream_never_carries_what_is_another_cafes(house: House) -> None:
    mine, others = [visit(cafe_id=OURS) for _ in range(5)], [visit(cafe_id=THEIRS) for _ in range(5)]
    async with reading(house, "ours", OURS) as here, reading(house, "theirs", THEIRS) as there:
        for pair in zip(mine, others, strict=True):
            for event in pair:
                house.happens(event)
        assert [(await here.sign())["visit"] for _ in mine] == [str(each.visit_id) for each in mine]
        assert [(await there.sign())["visit"] for _ in others] == [str(each.visit_id) for each in others]
    # Neither does the replay, nor by a place of the other's ring.
    async with reading(house, "theirs", THEIRS, here.place) as there:
        await there.until(rules.OPEN)
        house.happens(visit(cafe_id=THEIRS))
        await there.sign()
        said = str(there.seen)
    assert not any(str(each.visit_id) in said or str(each.customer_id) in said for each in mine)


async def test_nobody_without_a_role_in_the_cafe_has_a_stream_of_it(house: House) -> None:
    house.identity.hire("nowhere", "owner")
    assert await refused(house, "theirs") == 404
    assert await refused(house, "nowhere") == 404
    assert await refused(house, "never-signed-in") == 401
    assert await refused(house, "") == 401
    house.identity.away = True
    assert await refused(house, "ours") == 503
    assert house.app.hub.count == 0


async def test_stream_carries_ids_kinds_and_moments_and_nothing_else(house: House) -> None:
    async with reading(house, "ours", OURS) as here:
        for kind in rules.SHOWN:
            house.happens(msgspec.structs.replace(sample_of(registry.BY_TYPE[kind]), cafe_id=OURS))
        for kind in rules.SHOWN:
            sign = await here.sign()
            assert sign["kind"] == kind
            assert sign.keys() <= {"kind", "at", "visit", "guest"}
            assert all(UUID(sign[name]) for name in ("visit", "guest") if name in sign)
            datetime.fromisoformat(sign["at"])
        assert not any(word in str(here.seen) for word in PERSONAL)


async def test_staff_are_not_told_what_only_managers_may_know(house: House) -> None:
    house.identity.hire("counter", "staff", OURS)
    for event in (gap(), visit(cafe_id=OURS)):
        house.happens(event)
    async with reading(house, "counter", OURS) as counter, reading(house, "ours", OURS) as manager:
        for reader in (counter, manager):
            await reader.until(rules.OPEN)
        for event in (gap(), visit(cafe_id=OURS)):
            house.happens(event)
        assert [(await manager.sign())["kind"] for _ in range(2)] == ["device.gap_detected", "visit.recorded"]
        assert (await counter.sign())["kind"] == "visit.recorded"
    mark, _, _ = counter.place.partition("-")
    async with reading(house, "counter", OURS, f"{mark}-0") as counter:
        assert [(await counter.sign())["kind"] for _ in range(2)] == ["visit.recorded"] * 2


async def test_what_nobody_vouches_for_is_not_shown(house: House) -> None:
    true = visit(cafe_id=OURS)
    theirs = record_of(visit(cafe_id=THEIRS))
    moved = [(name, str(OURS).encode() if name == "ce_cafeid" else value) for name, value in theirs.headers]
    async with reading(house, "ours", OURS) as here:
        await here.until(rules.OPEN)
        house.comes(replace(record_of(visit(cafe_id=OURS)), headers=record_of(visit(cafe_id=OURS)).headers[:-1]))
        house.comes(replace(theirs, headers=moved))
        house.comes(replace(record_of(visit(cafe_id=OURS)), value=record_of(visit(cafe_id=OURS)).value))
        house.comes(replace(record_of(visit(cafe_id=OURS)), topic="loyalty.events"))
        house.comes(replace(record_of(visit(cafe_id=OURS)), value=None))
        house.happens(true)
        assert (await here.sign())["visit"] == str(true.visit_id)
        assert house.app.hub.rings.total == 1


async def test_forged_end_of_access_ends_nothing(house: House) -> None:
    record = record_of(granted(AccessRevoked, house.identity.people["ours"], version=9))
    async with reading(house, "ours", OURS) as here:
        await here.until(rules.OPEN)
        house.comes(replace(record, headers=record.headers[:-1]))
        house.happens(visit(cafe_id=OURS))
        assert await here.sign()


@pytest.mark.parametrize("way", ["revoked", "other role", "session", "all sessions"])
async def test_stream_ends_at_once_with_the_access_it_was_given_for(house: House, way: str) -> None:
    staff = house.identity.people["ours"]
    ends = {
        "revoked": granted(AccessRevoked, staff, version=2),
        "other role": granted(AccessGranted, staff, version=2, role="staff"),
        "session": granted(SessionsEnded, staff, sessions_from=0, session_id=staff.session_id),
        "all sessions": granted(SessionsEnded, staff, sessions_from=1),
    }
    async with reading(house, "ours", OURS) as here, reading(house, "theirs", THEIRS) as there:
        for reader in (here, there):
            await reader.until(rules.OPEN)
        house.happens(ends[way])
        await here.until(rules.OVER)
        assert await here.next() == ("", None)
        house.happens(visit(cafe_id=THEIRS))
        assert await there.sign()


async def test_what_ends_other_sessions_and_repeats_the_role_ends_no_stream(house: House) -> None:
    staff = house.identity.people["ours"]
    async with reading(house, "ours", OURS) as here:
        await here.until(rules.OPEN)
        house.happens(granted(AccessGranted, staff, version=2, role="manager"))
        house.happens(granted(SessionsEnded, staff, sessions_from=0, session_id=uuid4()))
        house.happens(msgspec.structs.replace(granted(AccessRevoked, staff, version=3), cafe_id=THEIRS))
        house.happens(granted(AccessRevoked, Staff(uuid4()), version=3))
        house.happens(visit(cafe_id=OURS))
        assert await here.sign()


async def test_access_that_is_revoked_while_it_is_asked_for_gives_no_seat(house: House) -> None:
    house.identity.holds = asyncio.Event()
    coming = asyncio.create_task(refused(house, "ours"))
    async with asyncio.timeout(SOON):
        while not house.identity.asked:
            await asyncio.sleep(0.01)
    house.happens(granted(AccessRevoked, house.identity.people["ours"], version=2))
    house.identity.holds.set()
    assert await coming == 404


@pytest.mark.parametrize("lost", ["role", "token", "identity"])
async def test_who_is_asked_about_each_minute_and_not_known_any_more_loses_the_stream(
    house: House, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in {"ASK_SECONDS": 0.05, "ASK_AGAIN_SECONDS": 0.05, "UNASKED_SECONDS": 0.2}.items():
        monkeypatch.setattr(live, name, seconds)
    async with reading(house, "ours", OURS) as here:
        await here.until(rules.OPEN)
        asked = house.identity.asked
        async with asyncio.timeout(SOON):
            while house.identity.asked < asked + 3:
                await asyncio.sleep(0.01)
        house.happens(visit(cafe_id=OURS))
        assert await here.sign()
        if lost == "role":
            house.identity.roles["ours"] = {THEIRS: "owner"}
        elif lost == "token":
            del house.identity.roles["ours"]
        else:
            house.identity.away = True
        # Only who lost the role is told so: anybody else comes again by the console.
        await here.until(rules.OVER if lost == "role" else "")


async def test_who_was_away_for_a_moment_gets_what_they_missed(house: House) -> None:
    house.happens(visit(cafe_id=OURS))
    async with reading(house, "ours", OURS) as here:
        # What was before the page asks for by itself.
        await here.until(rules.OPEN)
        house.happens(visit(cafe_id=OURS))
        await here.sign()
    missed = [visit(cafe_id=OURS) for _ in range(3)]
    for event in missed:
        house.happens(event)
    async with reading(house, "ours", OURS, here.place) as back:
        assert [(await back.sign())["visit"] for _ in missed] == [str(each.visit_id) for each in missed]
        assert [kind for kind, _ in back.seen] == ["stale", "sign", "sign", "sign"]
    async with reading(house, "ours", OURS, back.place) as nothing:
        house.happens(last := visit(cafe_id=OURS))
        assert (await nothing.sign())["visit"] == str(last.visit_id)


@pytest.mark.parametrize("place", ["x", "-", f"{'0' * 12}-1", "mark-99999999999999999999", "mark-²", "mark-7"])
async def test_place_that_is_none_of_the_ring_is_answered_as_none_at_all(house: House, place: str) -> None:
    house.happens(visit(cafe_id=OURS))
    mark = house.app.hub.rings.end(OURS).partition("-")[0]
    async with reading(house, "ours", OURS, place.replace("mark", mark).replace("²", "9")) as here:
        await here.until(rules.OPEN)


async def test_too_far_behind_is_told_as_open() -> None:
    kept = rings.Rings()
    places = [kept.add(OURS, "visit.recorded", b"{}", 0.0) for _ in range(rings.OF_ONE_CAFE + 2)]
    assert kept.after(OURS, places[0]) is None
    assert len(kept.after(OURS, places[1]) or ()) == rings.OF_ONE_CAFE
    assert kept.after(OURS, places[-1]) == []
    assert kept.after(THEIRS, places[1]) is None


def test_memory_is_bounded_over_all_cafes_and_the_longest_silent_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "OF_ALL", 10)
    kept = rings.Rings()
    for number in range(20):
        kept.add(UUID(int=number), "visit.recorded", b"{}", 0.0)
        kept.add(OURS, "visit.recorded", b"{}", 0.0)
        assert kept.total == sum(len(ring.signs) for ring in kept.rings.values()) <= 10 + 1
    assert OURS in kept.rings
    kept.add(THEIRS, "visit.recorded", b"{}", rings.IDLE_SECONDS + 1)
    assert list(kept.rings) == [THEIRS]
    assert kept.total == 1


async def test_reader_that_does_not_keep_up_is_dropped_and_holds_up_nobody(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_WAITING", 50)
    slow = await house.app.hub.enter("ours", OURS, "")
    async with reading(house, "ours", OURS) as quick:
        await quick.until(rules.OPEN)
        for _ in range(200):
            house.happens(visit(cafe_id=OURS))
            await quick.sign()
    assert slow.over == "slow"
    assert not slow.waiting
    house.app.hub.leave(slow)


async def test_connection_that_is_not_read_is_closed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_WAITING", 20)
    host, port = "127.0.0.1", int(house.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection(host, port, limit=1024)
    writer.write(f"GET /live/{OURS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ours\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    async with asyncio.timeout(60):
        while house.app.hub.count:
            house.happens(visit(cafe_id=OURS))
            if not house.app.hub.count % 50:
                await asyncio.sleep(0)
            await asyncio.sleep(0)
    writer.close()


async def test_one_person_has_so_many_streams_and_all_together_so_many(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    seats = [await house.app.hub.enter("ours", OURS, "") for _ in range(live.OF_ONE_PERSON)]
    assert await refused(house, "ours") == 429
    async with reading(house, "theirs", THEIRS):
        monkeypatch.setattr(live, "OF_ALL", live.OF_ONE_PERSON + 1)
        house.identity.hire("third", "staff", OURS)
        assert await refused(house, "third") == 503
    house.app.hub.leave(seats[0])
    house.app.hub.leave(seats[0])
    async with reading(house, "ours", OURS):
        pass
    for seat in seats:
        house.app.hub.leave(seat)
    async with asyncio.timeout(SOON):
        while house.app.hub.count:
            await asyncio.sleep(0.01)
    assert not house.app.hub.by_cafe
    assert not house.app.hub.by_person


async def test_stream_says_that_it_is_there(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.05)
    async with (
        httpx2.AsyncClient(timeout=SOON) as client,
        client.stream("GET", f"{house.url}/live/{OURS}", headers={"authorization": "Bearer ours"}) as answer,
    ):
        text = ""
        async for part in answer.aiter_text():
            text += part
            if text.count(":\n\n") >= 2:
                break


async def test_process_that_stops_waits_for_no_stream(house: House) -> None:
    async with reading(house, "ours", OURS) as here:
        await here.until(rules.OPEN)
        house.app.hub.close()
        await here.until("")
    assert await refused(house, "ours") == 503


async def test_only_reading_is_served_and_nothing_beside_it(house: House) -> None:
    async with httpx2.AsyncClient(headers={"authorization": "Bearer ours"}) as client:
        assert (await client.post(f"{house.url}/live/{OURS}")).status_code == 405
        for path in ("/live", "/live/x", f"/live/{OURS}/x", "/docs", "/"):
            assert (await client.get(f"{house.url}{path}")).status_code == 404
        assert (await client.get(f"{house.url}/healthz")).text == "ok"
        assert (await client.get(f"{house.url}/readyz")).status_code == 503
        assert "crm_live_seats" in (await client.get(f"{house.url}/metrics")).text


async def test_events_of_the_broker_arrive_from_ten_minutes_ago_on_and_forged_ones_do_not(kafka: Kafka) -> None:
    before, after = visit(cafe_id=OURS), visit(cafe_id=OURS)
    await publish(kafka, [before, visit(cafe_id=THEIRS)])
    async with running(kafka.config) as house:
        house.identity.hire("ours", "owner", OURS)
        async with asyncio.timeout(SOON):
            while house.app.hub.rings.total < 2:
                await asyncio.sleep(0.02)
        async with reading(house, "ours", OURS) as here:
            await here.until(rules.OPEN)
            await forge(kafka, visit(cafe_id=OURS))
            await publish(kafka, [after])
            assert (await here.sign())["visit"] == str(after.visit_id)
        mark, _, _ = here.place.partition("-")
        async with reading(house, "ours", OURS, f"{mark}-0") as again:
            assert [(await again.sign())["visit"] for _ in range(2)] == [
                str(before.visit_id), str(after.visit_id),
            ]  # fmt: skip
        async with httpx2.AsyncClient() as client:
            assert (await client.get(f"{house.url}/readyz")).status_code == 200


async def forge(kafka: Kafka, event: Event) -> None:
    record = record_of(event, kafka.prefix)
    await publish_records(kafka.servers, replace(record, headers=record.headers[:-1]))


async def publish_records(servers: str, *records: Any) -> None:
    async with opened(AIOKafkaProducer(bootstrap_servers=servers)) as producer:
        for each in records:
            await producer.send_and_wait(each.topic, each.value, key=each.key, headers=list(each.headers))


async def test_broker_that_goes_away_is_told_and_the_stream_goes_on_where_it_was(
    tmp_path: Path, config: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "ASK_SECONDS", 0.2)
    monkeypatch.setattr(tail, "ANSWER_SECONDS", 2.0)
    folder = tmp_path / "kafka"
    engine = await asyncio.to_thread(engines.start_kafka, folder)
    own = config.model_copy(update={"kafka_servers": engine.url})
    await topics.create(own)
    try:
        async with running(own) as house:
            house.identity.hire("ours", "owner", OURS)
            async with reading(house, "ours", OURS) as here:
                await here.until("live")
                first, second = (record_of(visit(cafe_id=OURS), own.topic_prefix) for _ in range(2))
                await publish_records(engine.url, first)
                await here.sign()
                await asyncio.to_thread(engines.stop, engine)
                here.within = LATE
                await here.until("stale")
                port = int(engine.url.rpartition(":")[2])
                engine = await asyncio.to_thread(engines.start_kafka, folder, port=port)
                await publish_records(engine.url, second)
                await here.until("live")
                assert (await here.sign())["visit"] in str(second.value)
                assert len([kind for kind, _ in here.seen if kind == "sign"]) == 2
    finally:
        await asyncio.to_thread(engines.stop, engine)
