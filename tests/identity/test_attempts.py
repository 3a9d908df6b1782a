"""Guessing is slow, a flood empties no machine, and strangers lock nobody out."""

import asyncio
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from services.identity.handlers import attempts, passwords
from services.identity.rules import sessions as rules
from shared.errors import Rejected
from shared.settings import Settings
from tests.identity.given import PASSWORD, a_cafe, a_person, running
from tests.support import Databases

LOGIN = "sara@example.com"


async def signs_in(app: FastAPI, address: str, password: str, **more: Any) -> httpx2.Response:
    transport = httpx2.ASGITransport(app, client=(address, 5000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://identity") as http:
        return await http.post("/sessions", json={"login": LOGIN, "password": password} | more)


async def test_pause_holds_for_one_address_only_and_in_every_process(config: Settings, database: Databases) -> None:
    pool = await database("identity")
    await a_person(pool, LOGIN, await a_cafe(pool), "staff")
    async with running(config) as one, running(config) as two:
        for number in range(rules.FREE_ATTEMPTS):
            answer = await signs_in((one, two)[number % 2], "198.51.100.7", f"a wrong guess {number}")
            assert answer.status_code == 401
        for app in (one, two):
            paused = await signs_in(app, "198.51.100.7", PASSWORD)
            assert paused.status_code == 429
            assert 0 < int(paused.headers["Retry-After"]) <= 15
        assert (await signs_in(two, "203.0.113.9", PASSWORD)).status_code == 201


async def test_line_of_ipv6_counts_as_one_address(config: Settings, database: Databases) -> None:
    await database("identity")
    async with running(config) as app:
        answers = [await signs_in(app, f"2001:db8::{number}", "a wrong guess") for number in range(1, 7)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert (await signs_in(app, "2001:db8:0:1::1", "a wrong guess")).status_code == 401


async def test_known_device_passes_while_strangers_have_to_wait(
    config: Settings, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "FREE_ATTEMPTS_OF_ALL", 8)
    pool = await database("identity")
    cafe = await a_cafe(pool)
    await a_person(pool, LOGIN, cafe, "staff")
    await a_person(pool, "reza@example.com", cafe, "staff")
    async with running(config) as app:
        token = (await signs_in(app, "192.0.2.1", PASSWORD)).json()["device_token"]
        for number in range(9):
            await signs_in(app, f"198.51.100.{number}", "a wrong guess")
        assert (await signs_in(app, "192.0.2.1", PASSWORD)).status_code == 429
        forged = token[:-4] + "AAAA"
        for stranger in (forged, "d1.x.y.z", ".".join(["d1", "0" * 32, "1", "x"])):
            assert (await signs_in(app, "192.0.2.1", PASSWORD, device_token=stranger)).status_code == 429
        # From any address: it is the device that is known.
        assert (await signs_in(app, "203.0.113.9", PASSWORD, device_token=token)).status_code == 201
        for _ in range(rules.FREE_ATTEMPTS):
            assert (await signs_in(app, "203.0.113.9", "a wrong guess", device_token=token)).status_code == 401
        assert (await signs_in(app, "203.0.113.9", PASSWORD, device_token=token)).status_code == 429


async def test_device_of_one_person_is_a_stranger_to_another() -> None:
    from shared.clock import new_id, now
    from tests.identity.given import KEYS

    hers, his, device, moment = new_id(), new_id(), new_id(), now()
    token = attempts.device_token(KEYS, hers, device, moment)
    assert attempts.known_device(KEYS, hers, token) == device
    assert attempts.known_device(KEYS, his, token) is None
    assert attempts.known_device(KEYS, None, token) is None
    old = attempts.device_token(KEYS, hers, device, moment - 2 * rules.DEVICE_LIFETIME)
    assert attempts.known_device(KEYS, hers, old) is None


async def test_flood_from_one_address_is_refused_before_any_password_is_looked_at(
    config: Settings, database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await database("identity")
    looked_at = 0

    def verify(*_: Any) -> tuple[bool, None]:
        nonlocal looked_at
        looked_at += 1
        return False, None

    monkeypatch.setattr(passwords, "_verify", verify)
    async with running(config) as app:
        transport = httpx2.ASGITransport(app, client=("198.51.100.7", 5000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://identity") as http:
            answers = [
                await http.post("/sessions", json={"login": f"u{number}@example.com", "password": "a wrong guess"})
                for number in range(rules.ATTEMPTS_A_MINUTE + 20)
            ]
    assert [answer.status_code for answer in answers] == [401] * rules.ATTEMPTS_A_MINUTE + [429] * 20
    assert looked_at == rules.ATTEMPTS_A_MINUTE
    assert await pool.fetchval("SELECT count(*) FROM login_attempts") == 2 * rules.ATTEMPTS_A_MINUTE


async def test_who_finds_the_queue_full_is_told_to_come_again_and_a_part_is_kept_for_known_devices() -> None:
    gate, go = passwords.Hashing(at_once=1, places=3, kept_for_known=1), asyncio.Event()

    async def waits(*, known: bool) -> None:
        async with gate.turn(known=known):
            await go.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(waits(known=False))
        await asyncio.sleep(0)
        with pytest.raises(Rejected) as refused:
            await waits(known=False)
        assert refused.value.status == 503
        group.create_task(waits(known=True))
        await asyncio.sleep(0)
        with pytest.raises(Rejected):
            await waits(known=True)
        go.set()
    go.set()
    await waits(known=False)
