"""A cafe with guests, and a provider on a real socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from deploy.simulators.kavenegar import make_app
from deploy.simulators.network import FaultyNetwork, NetworkFault
from services.campaign.api.app import make_app as make_api
from services.campaign.audience.handlers import guests
from services.campaign.campaigns.handlers import expanding
from services.campaign.channels import transport
from services.campaign.channels.handlers.lanes import Lanes
from services.campaign.journeys.handlers import defaults, enrolling
from services.campaign.messages.handlers import asking, recipients, sending
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.events.base import Event
from shared.events.customer import ConsentChanged, CustomerProfiled, SegmentEntered, SegmentLeft
from shared.events.identity import AccessGranted, CafeChanged, Role
from shared.events.registry import decode
from shared.events.visit import VisitRecorded, VisitVoided
from shared.security.auth import Staff
from shared.security.crypto import seal
from shared.security.ids import customer_id
from shared.settings import Settings
from shared.web.dependencies import current_staff

API_KEY = "the-installation-s-key"
PHONE = "+989121112233"
OWNER, MANAGER, SECOND, CLERK, STRANGER = (new_id() for _ in range(5))


@dataclass
class Simulator:
    """The provider: its address, and what it holds."""

    url: str
    network: FaultyNetwork

    @property
    def texts(self) -> list[str]:
        """What guests received, oldest first."""
        return [message.message for message in self.network.sent]

    def fail(self, kind: Any, *, code: int = 409, seconds: float = 60.0, times: int = 1) -> None:
        """Lets the next calls fail."""
        self.network.faults.extend([NetworkFault(kind, code, seconds)] * times)


@asynccontextmanager
async def running_simulator() -> AsyncIterator[Simulator]:
    """A provider that answers while the block lasts."""
    network = FaultyNetwork(step_seconds=None)
    server = uvicorn.Server(
        uvicorn.Config(make_app(network, API_KEY), port=0, log_level="critical", timeout_graceful_shutdown=0)
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Simulator(f"http://127.0.0.1:{port}", network)
    server.should_exit = True
    await serving


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with running_simulator() as running:
        yield running


@pytest.fixture
def campaign_config(config: Settings, simulator: Simulator) -> Settings:
    return config.model_copy(
        update={
            "sms_endpoint": simulator.url,
            "sms_api_key": SecretStr(API_KEY),
            "sms_sender": "10004346",
            "public_url": "https://cafe.example",
        }
    )


async def ended(lanes: Lanes) -> None:
    """Waits for the calls that are under way."""
    await asyncio.gather(*lanes.under_way)


@dataclass
class World:
    """One cafe as its events made it, and the jobs that send for it."""

    pool: Pool
    config: Settings
    cafe_id: UUID = field(default_factory=new_id)

    async def react(self, react: Any, *events: Event, **bound: Any) -> None:
        async with transaction(self.pool) as conn:
            await react(conn, events, **bound)

    async def open_cafe(self, version: int = 1, **changes: Any) -> None:
        """Without quiet hours, unless `changes` says otherwise."""
        values = {
            "name": "کافه نمونه", "time_zone": "Asia/Tehran", "calendar": "jalali", "currency_unit": "IRT",
            "quiet_from": "00:00", "quiet_until": "00:00",
        } | changes  # fmt: skip
        cafe = CafeChanged(cafe_id=self.cafe_id, occurred_at=now(), version=version, **values)
        await self.react(defaults.on_cafe_changed, cafe)

    async def add_guest(
        self, phone: str = PHONE, name: str | None = "سارا", *, marketing: bool | None = True, version: int = 1
    ) -> UUID:
        guest = customer_id(self.config.keys, self.cafe_id, phone)

        def sealed(text: str, column: str) -> str:
            return seal(self.config.keys, text, table="customer.profiles", column=column, row=guest)

        profile = CustomerProfiled(
            cafe_id=self.cafe_id, occurred_at=now(), customer_id=guest, version=version,
            phone_sealed=sealed(phone, "phone"), name_sealed=sealed(name, "name") if name else None,
            registered_at=now(),
        )  # fmt: skip
        await self.react(recipients.on_customer_profiled, profile, keys=self.config.keys)
        if marketing is not None:
            await self.consent(guest, granted=marketing)
        return guest

    async def consent(self, guest: UUID, *, granted: bool, purpose: Any = "marketing", channel: Any = "sms") -> None:
        word = ConsentChanged(
            cafe_id=self.cafe_id, occurred_at=now(), customer_id=guest, channel=channel, purpose=purpose,
            granted=granted, source="test",
        )  # fmt: skip
        await self.react(guests.on_consent_changed, word)

    def visit(self, guest: UUID | None, *, minutes_ago: float = 10, visit_id: UUID | None = None) -> VisitRecorded:
        return VisitRecorded(
            cafe_id=self.cafe_id, occurred_at=now() - timedelta(minutes=minutes_ago), visit_id=visit_id or new_id(),
            customer_id=guest, device_id="till-1", receipt_number="1", final_amount=Decimal(100),
            currency_unit="IRT", total_amount=Decimal(100), discount_amount=Decimal(0),
        )  # fmt: skip

    async def record_visit(self, guest: UUID | None, *, minutes_ago: float = 10) -> VisitRecorded:
        visit = self.visit(guest, minutes_ago=minutes_ago)
        await self.react(enrolling.on_visit_recorded, visit)
        return visit

    async def void(self, visit: VisitRecorded) -> None:
        voided = VisitVoided(
            cafe_id=self.cafe_id, occurred_at=visit.occurred_at, visit_id=visit.visit_id,
            customer_id=visit.customer_id, device_id="till-1", receipt_number="1", final_amount=Decimal(100),
            currency_unit="IRT", voided_at=now(),
        )  # fmt: skip
        await self.react(enrolling.on_visit_voided, voided)

    async def enter_vip(self, guest: UUID, **changes: Any) -> SegmentEntered:
        """By a visit of this moment, unless `changes` says otherwise."""
        moment = now()
        values = {
            "occurred_at": moment, "segment_id": UUID(int=7), "segment_key": "vip_customers", "reason": "visit",
            "visit_at": moment,
        } | changes  # fmt: skip
        entered = SegmentEntered(cafe_id=self.cafe_id, customer_id=guest, **values)
        await self.react(enrolling.on_segment_entered, entered)
        return entered

    async def leave_vip(self, guest: UUID) -> None:
        left = SegmentLeft(
            cafe_id=self.cafe_id, occurred_at=now(), customer_id=guest, segment_id=UUID(int=7),
            segment_key="vip_customers", reason="time",
        )  # fmt: skip
        await self.react(guests.on_segment_left, left)

    async def run_jobs(self) -> None:
        """Everything that is due is decided about and sent, and every campaign looked at."""
        await self.pool.execute("UPDATE campaigns SET look_at = NULL")
        while await expanding.start_campaigns(self.pool):
            pass
        while await self.send_due():
            pass

    async def send_due(self, config: Settings | None = None) -> int:
        """One round of sending, to the end of its calls; returns how many messages were decided about."""
        sender = sending.Sender(config or self.config)
        looked_at = await sender.send_due(self.pool)
        await ended(sender.lanes)
        return looked_at

    async def ask(self, status: asking.Status) -> None:
        """One round of asking providers, to the end of its calls."""
        asker = asking.Asker(status, self.config)
        await asker.ask(self.pool)
        await ended(asker.lanes)

    async def hold(self) -> None:
        """As if what is due had come while no provider could be used: it was held, and is due again."""
        await self.pool.execute("UPDATE sms_providers SET is_active = false")
        await self.send_due()
        await self.pool.execute("UPDATE sms_providers SET is_active = true")
        await self.pool.execute("UPDATE campaign_deliveries SET due_at = now() WHERE delivery_status = 'queued'")

    async def end_pauses(self) -> None:
        """As if the pauses of accounts were over, and what was held for them due again."""
        await self.pool.execute("UPDATE sms_providers SET paused_until = now() WHERE paused_until IS NOT NULL")
        await self.pool.execute("UPDATE campaign_deliveries SET due_at = now() WHERE delivery_status = 'queued'")

    async def settle_unknown(self) -> None:
        """As if the time had come to ask about interrupted sendings."""
        await self.pool.execute("UPDATE campaign_deliveries SET check_at = now() WHERE delivery_status = 'sending'")
        await self.ask("sending")

    async def poll(self) -> None:
        """As if the time had come to ask about delivery."""
        await self.pool.execute("UPDATE campaign_deliveries SET check_at = now() WHERE delivery_status = 'sent'")
        await self.ask("sent")

    async def delivery(self) -> Any:
        """The only message there is."""
        rows = await self.pool.fetch("SELECT * FROM campaign_deliveries")
        assert len(rows) == 1
        return rows[0]

    async def decisions(self) -> list[tuple[str, str]]:
        """Outcome and reason of every decision, oldest first."""
        rows = await self.pool.fetch("SELECT outcome::text, reason FROM send_decisions ORDER BY decided_at, id")
        return [(row["outcome"], row["reason"]) for row in rows]

    async def campaign(self, key: str = "thanks") -> Any:
        """The standing campaign of a journey."""
        return await self.pool.fetchrow(
            "SELECT c.* FROM campaigns c JOIN journeys j ON j.campaign_id = c.id WHERE j.journey_key = $1", key
        )

    async def emitted(self) -> list[Event]:
        """Events in the outbox, oldest first."""
        rows = await self.pool.fetch("SELECT type, payload FROM crm.outbox ORDER BY id")
        return [decode(row["type"], row["payload"]) for row in rows]

    async def grant(self, user_id: UUID, role: Role) -> None:
        granted = AccessGranted(cafe_id=self.cafe_id, occurred_at=now(), version=1, user_id=user_id, role=role)
        from shared.security import access

        await self.react(access.on_access_granted, granted)


@pytest.fixture
async def world(database: Any, campaign_config: Settings, monkeypatch: pytest.MonkeyPatch) -> World:
    # A hanging provider must not hold up the suite for as long as it would a real sender.
    monkeypatch.setattr(transport, "TIMEOUT", httpx2.Timeout(0.5, connect=2))
    found = World(await database("campaign"), campaign_config)
    await found.open_cafe()
    return found


async def add_provider(world: World, *, priority: int) -> None:
    await world.pool.execute(
        """
        INSERT INTO sms_providers (id, cafe_id, provider_name, cost_per_sms, priority_order, created_at)
        VALUES ($1, $2, 'kavenegar', $3, $4, now())
        """,
        new_id(), world.cafe_id, Decimal(1000), priority,
    )  # fmt: skip


@pytest.fixture
async def app(world: World) -> AsyncIterator[FastAPI]:
    for user, role in ((OWNER, "owner"), (MANAGER, "manager"), (SECOND, "manager"), (CLERK, "staff")):
        await world.grant(user, role)
    app = make_api()
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as client:
        yield client


def sign_in(app: FastAPI, user: Any) -> None:
    app.dependency_overrides[current_staff] = lambda: Staff(user)
