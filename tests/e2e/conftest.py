"""One running system for all end-to-end tests: every process of it, on the run's engines, with databases of its own.

For those that look at the console in a browser: a cafe with people of each role, and a guest in it."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
import pytest
from playwright.async_api import Browser

from deploy.crm import processes
from deploy.demo import crew
from deploy.demo import run as demo
from deploy.engines.engine import Engine, free_port, port_is_free
from shared.database import db
from shared.persian.phone import canonical
from shared.security.ids import customer_id
from shared.settings import Settings, settings
from tests import support
from tests.e2e import pages
from tests.e2e.bills import bill
from tests.e2e.screens import Scene

FINDABLE = """
SELECT count(*) FROM customers c JOIN customer_activity a ON a.cafe_id = c.cafe_id AND a.customer_id = c.id
WHERE c.id = $1 AND c.phone_hash IS NOT NULL AND a.total_visits = 1
"""
NAME = "سارا English محمدی"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One system serves all end-to-end tests, so one of the parallel processes runs them all."""
    for item in items:
        if "system" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("system"))


@dataclass(frozen=True)
class System:
    """A running system: `folder` is its home, `environment` what a program needs to reach it."""

    folder: Path
    environment: dict[str, str]

    @property
    def config(self) -> Settings:
        return processes.settings_of(self.environment)

    def api(self, service: str) -> str:
        """The base address of a service's API."""
        return demo.api_url(self.config, service)

    def part(self, name: str) -> processes.Started:
        """A running part, as in `visit-worker`."""
        return next(started for started in processes.read_state(self.folder).started if started.part.name == name)


def free_ports() -> int:
    """A base from which every port of a system is free."""
    while True:
        base = free_port()
        if all(port_is_free(part.port) for part in processes.parts(base, simulator=True)):
            return base


@pytest.fixture(scope="session")
def system(postgres_server: Engine, kafka_server: Engine, run: support.Run) -> Iterator[System]:
    """The whole system, started once and stopped at the end."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    folder = run.folder / f"system-{worker}"
    names = {
        "CRM_POSTGRES_URL": postgres_server.url,
        "CRM_KAFKA_SERVERS": kafka_server.url,
        "CRM_DATABASE_PREFIX": f"t{run.id}_{worker}_e2e_",
        "CRM_TOPIC_PREFIX": f"t{run.id}.{worker}.e2e.",
        "CRM_BASE_PORT": str(free_ports()),
        # Whatever our processes may say is looked through for words about guests.
        "CRM_LOG_LEVEL": "DEBUG",
    }
    with mock.patch.dict(os.environ, names):
        os.environ.pop("CRM_IDENTITY_URL", None)
        environment = processes.up(folder, simulator=True, say=print)
        yield System(folder, environment)
        processes.down(folder, wipe=False, say=print)


@pytest.fixture
def cafe(system: System) -> Iterator[demo.DemoCafe]:
    """A new cafe with an owner and a till, made with the `crm` command."""
    with mock.patch.dict(os.environ, system.environment):
        settings.cache_clear()
        yield demo.make_cafe(print)
    settings.cache_clear()


@pytest.fixture
async def pools(system: System, cafe: demo.DemoCafe) -> AsyncIterator[dict[str, db.Pool]]:
    """A pool on each database, once the cafe is known to every service."""
    async with demo.opened(system.config) as opened:
        await demo.known_everywhere(opened, cafe)
        yield opened


@pytest.fixture
async def till(cafe: demo.DemoCafe, pools: dict[str, db.Pool]) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client that carries the till's key, which is known by then: `pools` waits for that."""
    async with httpx2.AsyncClient(timeout=30, headers={"X-Api-Key": cafe.api_key}) as client:
        yield client


@pytest.fixture
async def owner(system: System, cafe: demo.DemoCafe) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client signed in as the cafe's owner."""
    async with httpx2.AsyncClient(timeout=30) as client:
        body = {"login": cafe.owner, "password": cafe.password}
        answer = (await client.post(f"{system.api('identity')}/sessions", json=body)).raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


async def eventually(pool: db.Pool, sql: str, *arguments: Any, wanted: Any, within: float = 60) -> None:
    """Waits until the query's single value is `wanted`; shows the last value when it does not come."""
    last = None
    try:
        async with asyncio.timeout(within):
            while (last := await pool.fetchval(sql, *arguments)) != wanted:
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"still {last!r}, wanted {wanted!r}: {sql}")


@pytest.fixture(scope="session")
def staffed(system: System) -> tuple[demo.DemoCafe, dict[str, tuple[str, str]]]:
    """One cafe for all tests of the console, with somebody of each role: making one takes seconds."""
    with mock.patch.dict(os.environ, system.environment):
        settings.cache_clear()
        cafe = demo.make_cafe(print)
        hired = [crew.hire(cafe.cafe_id, role) for role in crew.NAMES]
    settings.cache_clear()
    return cafe, {"owner": (cafe.owner, cafe.password)} | {each.role: (each.login, each.password) for each in hired}


@pytest.fixture
async def houses(system: System, staffed: tuple[demo.DemoCafe, object]) -> AsyncIterator[dict[str, db.Pool]]:
    """A pool on each database, once the cafe and its people are known to every service."""
    hired = "SELECT count(*) FROM user_cafe_access WHERE cafe_id = $1 AND role IS NOT NULL"
    async with demo.opened(system.config) as opened:
        await demo.known_everywhere(opened, staffed[0])
        for pool in opened.values():
            await eventually(pool, hired, staffed[0].cafe_id, wanted=3)
        yield opened


@pytest.fixture
async def scene(
    system: System, staffed: tuple[demo.DemoCafe, dict[str, tuple[str, str]]], houses: dict[str, db.Pool]
) -> Scene:
    """A guest of this test's own who was here once, earned 120 points and is unhappy."""
    cafe, people = staffed
    number = f"0912{secrets.randbelow(10**7):07}"
    guest_id = customer_id(system.config.keys, cafe.cafe_id, canonical(number))
    written = bill(number, phone=number, guest_name=NAME, marketing_consent=True)
    async with httpx2.AsyncClient(timeout=30) as client:
        key = {"X-Api-Key": cafe.api_key}
        taken = await client.post(f"{system.api('visit')}/visits", json=written, headers=key)
        visit_id = taken.raise_for_status().json()["visit_id"]
        points = "SELECT current_points FROM customer_loyalty WHERE customer_id = $1"
        await eventually(houses["loyalty"], points, guest_id, wanted=120)
        await eventually(houses["customer"], FINDABLE, guest_id, wanted=1)
        await eventually(
            houses["feedback"], "SELECT count(*) FROM visits WHERE visit_id = $1::uuid", visit_id, wanted=1
        )
        body = {"login": cafe.owner, "password": cafe.password}
        token = (await client.post(f"{system.api('identity')}/sessions", json=body)).json()["access_token"]
        said = {"source": "staff_tablet", "visit_id": visit_id, "overall_rating": 1, "comment": "قهوه سرد بود"}
        ratings = f"{system.api('feedback')}/cafes/{cafe.cafe_id}/feedback"
        client.headers["Authorization"] = f"Bearer {token}"
        rated = await client.post(ratings, json=said)
        draft = {"name": "یلدا", "target": {"everyone": True}, "template": "{{name|دوست}} عزیز، یلدا مبارک"}
        drafted = await client.post(f"{system.api('campaign')}/cafes/{cafe.cafe_id}/campaigns", json=draft)
    base = f"http://127.0.0.1:{system.config.outside_port('console')}"
    rating_id = rated.raise_for_status().json()["feedback_id"]
    campaign_id = drafted.raise_for_status().json()["id"]
    return Scene(base, cafe, people, number, str(guest_id), visit_id, rating_id, campaign_id)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with pages.opened() as found:
        yield found
