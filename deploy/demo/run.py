"""`crm demo`: the whole system on this machine, a year of real visits through a till, its books checked."""

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx2
from rich.console import Console
from rich.live import Live

from deploy.crm import processes
from deploy.demo import board, books, club, crew, dataset, gifts, guests, menu, till
from deploy.demo.shell import crm
from shared.database import db
from shared.persian.phone import canonical
from shared.security.ids import customer_id
from shared.services import FIRST_PORT, WITH_DATABASE, service_of
from shared.settings import Settings

SETTLED_WITHIN_SECONDS = 300
EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class DemoCafe:
    """A cafe with its owner's login and password, and its till's key."""

    cafe_id: UUID
    owner: str
    password: str
    api_key: str


@dataclass
class DemoProgress:
    """How many of the planned visits the broker has confirmed, and when the till began."""

    planned: int
    published: int = 0
    started: float = 0.0


def run(visits: int | None, *, exit_at_end: bool, per_second: float | None, say: Callable[[str], None]) -> int:
    """Plays the demo; returns 0 when the books balance. Stays up until interrupted unless `exit_at_end`.

    `visits` None means all. `per_second` None means as fast as it goes.
    """
    # Who is told to end removes what it started, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = processes.home() / "demo"
    processes.down(folder, wipe=True, say=lambda _: None)
    try:
        # Engines keep the data of one demo apart from those of `crm up`.
        environment = processes.up(folder, simulator=True, say=say)
        os.environ.update(environment)
        config = processes.settings_of(environment)
        cafe = make_cafe(say)
        colleagues = [crew.hire(cafe.cafe_id, role) for role in crew.NAMES]
        balanced = asyncio.run(play(config, cafe, visits, per_second, say))
        balanced = asyncio.run(work(config, cafe, colleagues[0], say)) and balanced
        if not exit_at_end:
            _stay(folder, config, cafe, colleagues, say)
    finally:
        processes.down(folder, wipe=True, say=say)
    return 0 if balanced else 1


def make_cafe(say: Callable[[str], None]) -> DemoCafe:
    """A cafe without quiet hours, its owner and its till, made as an operator makes them: with `crm`."""
    cafe_id = UUID(crm("cafe", "create", "کافهٔ سروان", "--quiet-from", "00:00", "--quiet-until", "00:00"))
    owner, password = f"owner-{cafe_id.hex[-8:]}@example.com", secrets.token_urlsafe(12)
    crm(
        "user",
        "add",
        owner,
        "نسرین احمدی",
        "--cafe",
        str(cafe_id),
        "--role",
        "owner",
        "--password-stdin",
        typed=password,
    )
    api_key = crm("apikey", "create", "till", "--cafe", str(cafe_id))
    say(f"cafe {cafe_id} created")
    return DemoCafe(cafe_id, owner, password, api_key)


async def play(
    config: Settings, cafe: DemoCafe, visits: int | None, per_second: float | None, say: Callable[[str], None]
) -> bool:
    """Publishes the visits, shows the board until all has settled, and checks the books."""
    say("reading the data set")
    baskets = [menu.served(each) for each in dataset.load(visits, until=datetime.now(UTC))]
    async with opened(config) as pools:
        await known_everywhere(pools, cafe)
        await thank_at_once(config, cafe)
        progress = DemoProgress(len(baskets), started=time.monotonic())
        watching = asyncio.create_task(watch(pools, cafe, progress, say))
        rating = asyncio.create_task(guests.rate_what_they_get(config.sms_endpoint))
        try:
            await publish(config, cafe, baskets, per_second, progress)
            found = await settled_books(config, pools, cafe, baskets)
            say(f"the last points came {time.monotonic() - progress.started:.1f} s after the first visit was published")
        finally:
            rating.cancel()
            watching.cancel()
            await asyncio.gather(rating, watching, return_exceptions=True)
        say(board.one_line(await board.read(pools, cafe.cafe_id), progress.published, progress.planned))
    return _verdict(found, baskets, say)


@contextlib.asynccontextmanager
async def opened(config: Settings) -> AsyncIterator[dict[str, db.Pool]]:
    """A pool on each service's database."""
    async with contextlib.AsyncExitStack() as stack:
        pools = {}
        for service in WITH_DATABASE:
            pool = await db.open_pool(config.dsn(service), max_size=2, name="demo")
            stack.push_async_callback(pool.close)
            pools[service] = pool
        yield pools


async def known_everywhere(pools: dict[str, db.Pool], cafe: DemoCafe) -> None:
    """Waits until the events of the cafe's creation have arrived where the first visit needs them."""
    key_id = cafe.api_key.split("_")[1]
    async with asyncio.timeout(60):
        while not await pools["visit"].fetchval("SELECT count(*) FROM till_keys WHERE key_id = $1", key_id):
            await asyncio.sleep(0.1)
        for service in WITH_DATABASE:
            while not await pools[service].fetchval("SELECT count(*) FROM cafes WHERE cafe_id = $1", cafe.cafe_id):
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def signed_in(config: Settings, cafe: DemoCafe) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that acts as the owner of the cafe."""
    async with httpx2.AsyncClient(timeout=10, trust_env=False) as client:
        body = {"login": cafe.owner, "password": cafe.password}
        answer = (await client.post(f"{config.identity_url}/sessions", json=body)).raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


async def thank_at_once(config: Settings, cafe: DemoCafe) -> None:
    """Sets the thanks journey to send without its usual minutes, through the API as the owner would."""
    async with signed_in(config, cafe) as client:
        base = f"{api_url(config, 'campaign')}/cafes/{cafe.cafe_id}/journeys"
        async with asyncio.timeout(30):
            while not (journeys := (await client.get(base)).raise_for_status().json()):
                await asyncio.sleep(0.1)
        for journey in journeys:
            (await client.patch(f"{base}/{journey['id']}", json={"delay_minutes": 0})).raise_for_status()


def api_url(config: Settings, service: str) -> str:
    """Where a service's API is; ports follow the identity service's."""
    base, _, port = config.identity_url.rpartition(":")
    return f"{base}:{int(port) + service_of(service).port - FIRST_PORT}"


async def publish(
    config: Settings, cafe: DemoCafe, baskets: list[dataset.Basket], per_second: float | None, progress: DemoProgress
) -> None:
    """The till at work."""
    async with till.producer(config.kafka_servers) as producer:
        topic = f"{config.topic_prefix}pos.visits"
        async for sent in till.publish(producer, topic, cafe.api_key, baskets, per_second=per_second):
            progress.published = sent


async def watch(pools: dict[str, db.Pool], cafe: DemoCafe, progress: DemoProgress, say: Callable[[str], None]) -> None:
    """Redraws the board every second on a terminal, or says a line every five without one."""
    console = Console(stderr=True)
    live = Live(console=console, refresh_per_second=2, transient=True) if console.is_terminal else None
    last, rounds = 0, 0
    with live or contextlib.nullcontext():
        while True:
            reading = await board.read(pools, cafe.cafe_id)
            speed, last = (reading.numbers["visits"] - last) / EVERY_SECONDS, reading.numbers["visits"]
            if live:
                live.update(
                    board.render(reading, published=progress.published, planned=progress.planned, per_second=speed)
                )
            elif rounds % 5 == 0:
                say(board.one_line(reading, progress.published, progress.planned))
            rounds += 1
            await asyncio.sleep(EVERY_SECONDS)


async def settled_books(
    config: Settings,
    pools: dict[str, db.Pool],
    cafe: DemoCafe,
    baskets: list[dataset.Basket],
    within: float = SETTLED_WITHIN_SECONDS,
) -> list[str]:
    """What is wrong with the books: nothing, or what is left when they have not moved for `within` seconds."""
    plan = books.expected(baskets, datetime.now(UTC))
    wanted: dict[object, books.BookedAccount] = {
        customer_id(config.keys, cafe.cafe_id, canonical(till.phone_of(household))): account
        for household, account in plan.items()
    }
    until, last = time.monotonic() + within, None
    while True:
        numbers = (await board.read(pools, cafe.cafe_id)).numbers
        if numbers["points_on_visits"] == sum(account.points for account in plan.values()) or time.monotonic() > until:
            async with pools["loyalty"].acquire() as loyalty, pools["visit"].acquire() as visit:
                found = await books.breaches(loyalty, visit, cafe.cafe_id, wanted)
            if not found or time.monotonic() > until:
                return found
        if numbers != last:
            until, last = time.monotonic() + within, numbers
        await asyncio.sleep(0.2)


def _verdict(found: list[str], baskets: list[dataset.Basket], say: Callable[[str], None]) -> bool:
    for line in found[:20]:
        say(f"  {line}")
    if found:
        say(f"the books do NOT balance: {len(found)} differences")
        return False
    households = len({basket.household_id for basket in baskets})
    say(
        f"the books balance: for each of {households:,} guests and {len(baskets):,} visits, "
        "ledger = balance = lots = the rule computed a second time"
    )
    return True


async def work(config: Settings, cafe: DemoCafe, manager: crew.CrewMember, say: Callable[[str], None]) -> bool:
    """Has the manager do what a manager does in a day; whether the ledger has a row of each of its types then."""
    urls = {service: api_url(config, service) for service in WITH_DATABASE}
    async with signed_in(config, replace(cafe, owner=manager.login, password=manager.password)) as client:
        await crew.work(client, urls, cafe.cafe_id)
        async with signed_in(config, cafe) as owner:
            await club.price_points(owner, client, urls, cafe.cafe_id)
            await club.offer_rewards(client, urls, cafe.cafe_id)
            await gifts.give(owner, client, urls, cafe.cafe_id, cafe.api_key)
    async with opened(config) as pools:
        await crew.let_a_case_wait(pools["feedback"], cafe.cafe_id)
        await club.let_points_lapse(pools["loyalty"], cafe.cafe_id)
        await gifts.let_time_pass(pools["customer"], pools["loyalty"], cafe.cafe_id)
        return await gifts.complete(pools["loyalty"], cafe.cafe_id, say)


def _stay(
    folder: Path, config: Settings, cafe: DemoCafe, colleagues: Sequence[crew.CrewMember], say: Callable[[str], None]
) -> None:
    for started in processes.read_state(folder).started:
        if started.part.name.endswith("-api") and not started.part.name.startswith("console"):
            say(f"  {started.part.name:<14} {started.part.url}/docs")
        elif started.part.name == processes.SIMULATOR:
            say(f"  {started.part.name:<14} {started.part.url}/  (what the guests' phones received)")
    say(f"  cafe {cafe.cafe_id}, till key {cafe.api_key}")
    say(f"\n  the console is at {config.console_url}/  sign in as")
    for each in (crew.CrewMember("owner", cafe.owner, cafe.password), *colleagues):
        say(f"    {each.role:<8} {each.login}  {each.password}")
    say("\nrunning until you press Ctrl-C")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(3600)
