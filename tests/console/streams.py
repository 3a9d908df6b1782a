"""The console's worker, serving its live stream inside of the test's process, and a reader of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx2
import msgspec

from deploy.engines.engine import free_port
from services.console.models.people import SignedIn
from services.console.store.upstream import Away, SignedOut, Upstream
from services.console.worker import LiveApp, LiveServer, serving
from shared.errors import Rejected
from shared.events.base import Event
from shared.messaging.tail import Tail
from shared.security.auth import Staff, session_ended
from shared.settings import Settings, settings
from tests.console.house import membership
from tests.shared.records import FakeRecord, record_of

SOON, LATE = 10.0, 60.0


class Identity(Upstream):
    """Identity as a test wants it: `roles` of each token by cafe. A token that is not there has ended."""

    def __init__(self, config: Settings) -> None:
        super().__init__(config)
        self.roles: dict[str, dict[UUID, str]] = {}
        self.people: dict[str, Staff] = {}
        self.away = False
        self.asked = 0
        self.holds: asyncio.Event | None = None

    def hire(self, token: str, role: str, *cafes: UUID, staff: Staff | None = None) -> Staff:
        """Somebody with that role in these cafes."""
        self.roles[token] = dict.fromkeys(cafes, role)
        self.people[token] = staff or Staff(uuid4(), 0, uuid4())
        return self.people[token]

    async def verify(self, token: str) -> Staff:
        if token not in self.people:
            raise session_ended()
        return self.people[token]

    async def _call(self, access: Any, service: str, method: str, path: str, *_: Any, **__: Any) -> Any:
        assert (service, method, path) == ("identity", "GET", "/me")
        self.asked += 1
        if self.holds is not None:
            await self.holds.wait()
        if self.away:
            raise Away(service)
        if access.token not in self.roles:
            raise SignedOut
        cafes = tuple(membership(role, cafe_id) for cafe_id, role in self.roles[access.token].items())
        return SignedIn(self.people[access.token].user_id, "o•••", cafes)


@dataclass
class House:
    """A running worker. `tail` is fed by the test, unless the worker follows a broker."""

    app: LiveApp
    url: str
    identity: Identity

    @property
    def tail(self) -> Tail:
        return self.app.tail

    def happens(self, event: Event) -> None:
        """An event as its publisher signs it comes from the topic."""
        self.comes(record_of(event))

    def comes(self, record: FakeRecord) -> None:
        """A record comes from the topic, whoever wrote it."""
        self.tail._look_at(record.topic, record)


@asynccontextmanager
async def running(config: Settings | None = None) -> AsyncIterator[House]:
    """The worker. Without settings there is no broker."""
    given = config or settings().model_copy(update={"kafka_servers": "127.0.0.1:1"})
    identity = Identity(given)
    app = LiveApp(given)
    await app.hub.up.close()
    app.hub.up, app.hub.verify = identity, identity.verify
    port = free_port()
    server = LiveServer(serving(app, "127.0.0.1", port))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(30):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        yield House(app, f"http://127.0.0.1:{port}", identity)
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 20)


@dataclass
class Reader:
    """Reads a stream message by message; `place` is where it is."""

    answer: httpx2.Response
    within: float = SOON
    text: str = ""
    place: str = ""
    seen: list[tuple[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._parts = self.answer.aiter_text()

    async def next(self) -> tuple[str, Any]:
        """Kind and data of the next message; an empty kind at the end. Heartbeats are passed over."""
        while "\n\n" not in self.text:
            try:
                async with asyncio.timeout(self.within):
                    self.text += await anext(self._parts)
            except (StopAsyncIteration, httpx2.HTTPError):
                return "", None
        one, _, self.text = self.text.partition("\n\n")
        fields = dict(line.split(": ", 1) for line in one.split("\n") if ": " in line)
        if "data" not in fields:
            return await self.next()
        self.place = fields.get("id", self.place)
        data = msgspec.json.decode(fields["data"])
        self.seen.append((fields.get("event", "sign"), data))
        return self.seen[-1]

    async def sign(self) -> dict[str, Any]:
        """The next sign."""
        while True:
            kind, data = await self.next()
            if kind == "sign":
                assert isinstance(data, dict)
                return data
            assert kind, self.seen

    async def until(self, wanted: str) -> None:
        """Waits for a message of that kind; an empty one is the end of the stream."""
        while (kind := (await self.next())[0]) != wanted:
            assert kind, self.seen


@asynccontextmanager
async def reading(house: House | str, token: str, cafe_id: UUID, place: str = "") -> AsyncIterator[Reader]:
    """A reader with a seat. Raises `Rejected` with the status when there is none."""
    url = house if isinstance(house, str) else house.url
    headers = ({"authorization": f"Bearer {token}"} if token else {}) | ({"last-event-id": place} if place else {})
    async with (
        httpx2.AsyncClient(timeout=LATE) as client,
        client.stream("GET", f"{url}/live/{cafe_id}", headers=headers) as answer,
    ):
        if not answer.is_success:
            said = msgspec.json.decode(await answer.aread())
            raise Rejected(said["code"], said["title"], said["title_fa"], status=answer.status_code)
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Reader(answer)
