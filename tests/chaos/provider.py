"""A provider that loses answers, breaks, dawdles and reports twice or never: no guest is written to twice."""

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock
from uuid import UUID

import httpx2
from pydantic import SecretStr

from deploy import pids
from deploy.crm import processes
from deploy.crm.migrate import migrate
from deploy.engines.engine import free_port
from services.campaign.channels import transport
from services.campaign.channels.handlers.accounts import callback_token
from shared.database import db
from shared.settings import Settings, settings
from tests.campaign.conftest import World as Cafe
from tests.chaos.scenario import Scenario, World

API_KEY: Final = "simulated"
# So that a hanging call costs a second instead of twenty; the shortest hang is longer.
CALL_SECONDS: Final = 0.6
HANG_SECONDS: Final = 1.0
UP_WITHIN_SECONDS: Final = 30.0
SETTLED_WITHIN_SECONDS: Final = 60.0
FAULTS: Final = ("hang", "drop", "error_after", "error_before", "slow", "refuse")
NOWHERE: Final = "http://127.0.0.1:9/receipts"

# A sender as the worker's job is one, to be killed while its call hangs.
SENDER: Final = """
import asyncio
from services.campaign.messages.handlers import sending
from shared.database import db
from shared.settings import settings

async def main():
    pool = await db.open_pool(settings().dsn("campaign"))
    sender = sending.Sender(settings())
    await sender.send_due(pool)
    await asyncio.gather(*sender.lanes.under_way)

asyncio.run(main())
"""
ON_THE_WAY: Final = "SELECT count(*) FROM campaign_deliveries WHERE delivery_status <> 'delivered'"
MESSAGES: Final = """
SELECT d.local_id, d.provider_message_id, d.delivery_status::text AS status, d.message_cost AS cost,
       (SELECT count(*) FROM send_decisions s WHERE s.delivery_id = d.id AND s.outcome = 'send') AS decided,
       d.delivery_attempts AS attempts
FROM campaign_deliveries d
"""
CAMPAIGN: Final = (
    "SELECT sum(messages_sent) AS sent, sum(reserved_cost) AS reserved, sum(actual_cost) AS cost FROM campaigns"
)


@dataclass
class Provider:
    """The simulator's process, spoken to at its /control."""

    url: str
    client: httpx2.AsyncClient

    async def control(self, **change: Any) -> None:
        """Sets faults and the like."""
        (await self.client.post(f"{self.url}/control", json=change)).raise_for_status()

    async def messages(self) -> list[Mapping[str, Any]]:
        """Everything it accepted."""
        found: list[Mapping[str, Any]] = (await self.client.get(f"{self.url}/control/messages")).json()
        return found


@dataclass
class Stage:
    """The cafe, its provider and its campaign service; what was done to them so far."""

    cafe: Cafe
    provider: Provider
    receipts_url: str
    dice: random.Random
    guests: int = 0
    faults: Counter[str] = field(default_factory=Counter)


async def play(stage: Stage, rounds: int, kills: int) -> None:
    """Rounds of faults, then kills in a hanging call, then a quiet end.

    Raises AssertionError when somebody was written to twice, or the books do not say what the provider did.
    """
    for _ in range(rounds):
        await _visits(stage, stage.dice.randint(3, 12))
        await _spoil(stage)
        await stage.cafe.end_pauses()
        await stage.cafe.run_jobs()
        if stage.dice.random() < 0.5:
            await stage.cafe.settle_unknown()
    for _ in range(kills):
        await _kill_in_a_call(stage)
    await stage.provider.control(receipts_url=stage.receipts_url, receipts_twice=True)
    await _settle(stage)
    await assert_books(stage)


async def _visits(stage: Stage, count: int) -> None:
    for _ in range(count):
        stage.guests += 1
        guest = await stage.cafe.add_guest(f"+98912{stage.guests:07}")
        await stage.cafe.record_visit(guest)


async def _spoil(stage: Stage) -> None:
    kinds = stage.dice.choices(FAULTS, k=stage.dice.randint(1, 3))
    stage.faults.update(kinds)
    await stage.provider.control(
        faults=[(kind, stage.dice.choice((409, 418, 429)), HANG_SECONDS) for kind in kinds],
        receipts_url=stage.dice.choice((stage.receipts_url, NOWHERE)),
        receipts_twice=stage.dice.random() < 0.5,
    )


async def _kill_in_a_call(stage: Stage) -> None:
    """The sender dies after the provider accepted and before it answered, or while the provider still dawdles."""
    kind = stage.dice.choice(("hang", "slow"))
    stage.faults["killed in a call"] += 1
    await _visits(stage, 3)
    before = len(await stage.provider.messages())
    await stage.provider.control(faults=[(kind, 409, 4 * HANG_SECONDS)])
    environment = {**os.environ, **environment_of(stage.cafe.config)}
    await stage.cafe.end_pauses()
    process = pids.spawn([sys.executable, "-c", SENDER], Path(os.devnull), env=environment)
    try:
        async with asyncio.timeout(UP_WITHIN_SECONDS):
            while not await stage.cafe.pool.fetchval(
                "SELECT count(*) FROM campaign_deliveries WHERE delivery_status = 'sending'"
            ):
                await asyncio.sleep(0.02)
            while kind == "hang" and len(await stage.provider.messages()) == before:
                await asyncio.sleep(0.02)
    finally:
        await asyncio.to_thread(pids.kill, process)


async def _settle(stage: Stage) -> None:
    until = time.monotonic() + SETTLED_WITHIN_SECONDS
    while await stage.cafe.pool.fetchval(ON_THE_WAY):
        left = await stage.cafe.pool.fetch(MESSAGES)
        assert time.monotonic() < until, f"not settled: {Counter(row['status'] for row in left)}"
        await stage.cafe.end_pauses()
        await stage.cafe.run_jobs()
        await stage.cafe.settle_unknown()
        await stage.cafe.poll()
        await asyncio.sleep(0.1)


async def assert_books(stage: Stage) -> None:
    """What we wrote down is what the provider accepted, message by message and Rial by Rial."""
    accepted = await stage.provider.messages()
    texts = Counter(f"{message['receptor']} {message['message']}" for message in accepted)
    twice = [text for text, times in texts.items() if times > 1]
    assert not twice, f"{len(twice)} guests got a message twice: {twice[:3]}"
    assert len({message["receptor"] for message in accepted}) == stage.guests, "somebody got no message, or two"
    ours = {row["local_id"]: row for row in await stage.cafe.pool.fetch(MESSAGES)}
    assert len(ours) == stage.guests
    for message in accepted:
        row = ours[message["localid"]]
        assert row["status"] == "delivered", dict(row)
        assert row["provider_message_id"] == str(message["messageid"]), dict(row)
        assert row["cost"] == message["cost"], dict(row)
        assert row["decided"] == row["attempts"] >= 1, f"attempts without a decision: {dict(row)}"
    books = await stage.cafe.pool.fetchrow(CAMPAIGN)
    used = await stage.cafe.pool.fetchrow("SELECT sum(messages) AS messages, sum(cost) AS cost FROM sms_usage")
    cost = sum(message["cost"] for message in accepted)
    assert books is not None
    assert used is not None
    assert tuple(books) == (len(accepted), 0, cost), tuple(books)
    assert tuple(used) == (len(accepted), cost), tuple(used)


def environment_of(config: Settings) -> dict[str, str]:
    """What a process of the campaign service needs to know."""
    return {
        "CRM_SECRET": config.secret.get_secret_value(), "CRM_POSTGRES_URL": config.postgres_url,
        "CRM_DATABASE_PREFIX": config.database_prefix, "CRM_SMS_ENDPOINT": config.sms_endpoint,
        "CRM_SMS_API_KEY": API_KEY, "CRM_SMS_SENDER": "10004346", "CRM_PUBLIC_URL": config.public_url,
    }  # fmt: skip


@contextlib.asynccontextmanager
async def on_stage(folder: Path, config: Settings, pool: db.Pool, dice: random.Random) -> AsyncIterator[Stage]:
    """Starts provider and API as processes, opens the cafe. `config` names the campaign's migrated database."""
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    ports = [free_port(), free_port()]
    config = config.model_copy(
        update={
            "sms_endpoint": f"http://127.0.0.1:{ports[0]}", "sms_api_key": SecretStr(API_KEY),
            "sms_sender": "10004346", "public_url": "https://cafe.example",
        }
    )  # fmt: skip
    faster = ("--port", str(ports[0]), "--step-seconds", "0.1")
    parts = (
        processes.Part("sms-simulator", "deploy.simulators.kavenegar", ports[0], faster, "/healthz"),
        processes.Part("campaign-api", "services.campaign.api", ports[1]),
    )
    started: list[processes.Started] = []
    try:
        started += [processes.start_part(folder, part, environment_of(config)) for part in parts]
        await asyncio.to_thread(processes.wait_ready, folder, tuple(started))
        cafe = Cafe(pool, config)
        await cafe.open_cafe()
        provider_id: UUID = await pool.fetchval("SELECT id FROM sms_providers WHERE cafe_id = $1", cafe.cafe_id)
        token = callback_token(config.keys, cafe.cafe_id, provider_id)
        receipts = (
            f"{parts[1].url}/providers/kavenegar/receipts?cafe={cafe.cafe_id}&provider={provider_id}&token={token}"
        )
        patience = httpx2.Timeout(CALL_SECONDS, connect=2)
        async with httpx2.AsyncClient(timeout=20, trust_env=False) as client:
            with mock.patch.object(transport, "TIMEOUT", patience):
                yield Stage(cafe, Provider(config.sms_endpoint, client), receipts, dice)
    finally:
        for each in started:
            await asyncio.to_thread(pids.stop, each.process, deadline=10, how=signal.SIGTERM)


async def _provider(world: World) -> str:
    config = settings().model_copy(update={"postgres_url": world.postgres.url, "database_prefix": "provider_"})
    await migrate(config, ["campaign"])
    pool = await db.open_pool(config.dsn("campaign"), name="provider")
    try:
        async with on_stage(world.folder, config, pool, world.dice) as stage:
            await play(stage, *((8, 2) if world.quick else (80, 20)))
    finally:
        await pool.close()
    return f"{stage.guests} messages, each once; {_told(stage.faults)}"


def _told(faults: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in sorted(faults.items()))


SCENARIOS = [Scenario("SMS provider", _provider)]
