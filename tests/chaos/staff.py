"""People of the cafe at work in every service's API, so that each has requests under way when a scenario hurts it."""

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from deploy.demo import till
from tests.chaos.load import ANSWER_WITHIN_SECONDS, PUT_OFF, supply
from tests.chaos.system import Scene

EVERY_SECONDS = 0.5
# Also right: the guest's first visit may be under way, and what was taken before its answer was cut off is there.
KNOWN: Mapping[str, tuple[int, ...]] = {"loyalty": (404,), "identity": (409,), "campaign": (409,)}

Where = Callable[[str], str]


@dataclass
class Staff:
    """One loop per service asks its API for something that writes, twice a second. `where` gives a service's address
    at the moment. `failed` holds what could not be had; an answer that blames us or the request ends the scenario."""

    scene: Scene
    where: Where
    dice: random.Random
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    token: str = ""

    async def run(self) -> None:
        """Works until cancelled."""
        async with (
            httpx2.AsyncClient(timeout=ANSWER_WITHIN_SECONDS, trust_env=False) as client,
            asyncio.TaskGroup() as desks,
        ):
            await self._sign_in(client)
            while not self.token:
                await asyncio.sleep(EVERY_SECONDS)
                await self._sign_in(client)
            for service, work in self._work().items():
                desks.create_task(self._repeat(client, service, *work))
            desks.create_task(self._sign_in_again(client))

    def _work(self) -> Mapping[str, tuple[str, Callable[[int], dict[str, Any]]]]:
        cafe = f"/cafes/{self.scene.cafe.cafe_id}"
        word = f"{self.dice.getrandbits(32):x}"
        return {
            "identity": (f"{cafe}/branches", lambda n: {"code": f"b{word}{n}", "name": f"شعبهٔ {n}"}),
            "customer": (f"{cafe}/customers/search", lambda _: {"name": "سارا"}),
            "loyalty": ("/loyalty/lookup", lambda _: {"phone": till.phone_of(supply()[0].household_id)}),
            "campaign": (f"{cafe}/templates", lambda n: {"name": f"متن {word} {n}", "content": "سلام"}),
            "feedback": (f"{cafe}/feedback", lambda _: {"overall_rating": 5, "source": "manual"}),
        }

    async def _repeat(
        self, client: httpx2.AsyncClient, service: str, path: str, body: Callable[[int], dict[str, Any]]
    ) -> None:
        for number in itertools.count():
            await self._ask(client, service, path, body(number))
            await asyncio.sleep(EVERY_SECONDS)

    async def _sign_in_again(self, client: httpx2.AsyncClient) -> None:
        while True:
            await asyncio.sleep(5)
            await self._sign_in(client)

    async def _sign_in(self, client: httpx2.AsyncClient) -> None:
        cafe = self.scene.cafe
        answer = await self._ask(client, "identity", "/sessions", {"login": cafe.owner, "password": cafe.password})
        if answer is not None:
            self.token = answer.json()["access_token"]

    async def _ask(
        self, client: httpx2.AsyncClient, service: str, path: str, body: dict[str, Any]
    ) -> httpx2.Response | None:
        headers = {"X-Api-Key": self.scene.cafe.api_key}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            answer = await client.post(self.where(service) + path, json=body, headers=headers)
        except httpx2.HTTPError as error:
            self.failed.append(f"{service}: {type(error).__name__}")
            return None
        if answer.status_code in PUT_OFF:
            self.failed.append(f"{service}: {answer.status_code}")
            return None
        well = answer.is_success or answer.status_code in KNOWN.get(service, ())
        assert well, f"{service}: {answer.status_code} {answer.text}"
        self.answered += 1
        return answer


@contextlib.asynccontextmanager
async def staff_at_work(scene: Scene, where: Where | None = None) -> AsyncIterator[Staff]:
    """People who work while the block runs; `where` when the services are not at their own parts' addresses."""
    dice = random.Random(scene.dice.random())
    staff = Staff(scene, where or (lambda service: scene.system.url(f"{service}-api")), dice)
    # An answer that ends the staff's work ends the block too.
    async with asyncio.TaskGroup() as group:
        working = group.create_task(staff.run())
        try:
            yield staff
        finally:
            working.cancel()
