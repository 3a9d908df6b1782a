"""Where a life is played: loyalty's real handlers and jobs on one database, by a clock that the player moves."""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from services.loyalty.handlers import periodic, rewards
from services.loyalty.handlers.cafes import on_cafe_changed, on_customer_registered, publish_program
from services.loyalty.handlers.visits import on_visit_corrected, on_visit_recorded, on_visit_voided
from services.loyalty.models.http import PublishProgram
from services.loyalty.models.http_rewards import OfferReward
from services.loyalty.models.programs import ProgramRules
from shared.database import db
from shared.events.base import Event
from shared.events.customer import CustomerRegistered
from shared.events.identity import AccessGranted, CafeChanged
from shared.events.loyalty import CardCompleted, PointsChanged, PointsEarned, TierChanged
from shared.events.registry import decode
from shared.events.visit import VisitCorrected, VisitEvent, VisitRecorded, VisitVoided
from shared.messaging.consumer import in_order
from shared.security import access
from shared.security.crypto import Keys
from tests.support import SECRET

START = datetime(2026, 5, 10, 8, 30, tzinfo=UTC)
KEYS = Keys.from_secret(SECRET)
HANDLERS: dict[type[Event], Callable[[db.Connection, Any], Awaitable[None]]] = {
    VisitRecorded: on_visit_recorded,
    VisitCorrected: on_visit_corrected,
    VisitVoided: on_visit_voided,
}
JOBS = {
    "expire": periodic.expire_points, "end tiers": periodic.end_tiers, "recount": periodic.recount,
    "release": periodic.release,
}  # fmt: skip
LOOK = """
SELECT a.points_earned, a.points_redeemed, a.points_expired, a.current_points, a.points_owed, a.tier_level::text,
       a.total_visits, a.lifetime_spent, a.first_visit_date, a.last_visit_date, a.account_version,
       (SELECT coalesce(sum(points_change), 0)::bigint FROM loyalty_transactions WHERE cafe_id = $1) AS ledger,
       (SELECT coalesce(sum(remaining), 0)::bigint FROM point_lots WHERE cafe_id = $1) AS lots,
       (SELECT coalesce(sum(points), 0)::bigint FROM visit_earnings WHERE cafe_id = $1) AS of_visits,
       (SELECT coalesce(sum(taken), 0)::bigint FROM rewards WHERE cafe_id = $1) AS pieces
FROM customer_loyalty a WHERE a.cafe_id = $1
"""
NEW_ROWS = """
SELECT account_version, points_change, balance_after FROM loyalty_transactions
WHERE cafe_id = $1 AND account_version > $2 ORDER BY account_version
"""
TAKE_TOLD = "DELETE FROM crm.outbox WHERE cafe_id = $1 RETURNING id, type, payload"


@dataclass
class Clock:
    """What time it is for loyalty."""

    moment: datetime = START

    def __call__(self) -> datetime:
        return self.moment

    def tick(self, how_long: timedelta = timedelta(seconds=1)) -> datetime:
        """Moves on."""
        self.moment += how_long
        return self.moment


@dataclass(frozen=True)
class Seen:
    """What a step left: the account with its sums, the new rows of the ledger, and what the others were told."""

    account: asyncpg.Record
    rows: Sequence[tuple[int, int, int]]
    told: Sequence[tuple[int, int, int]]
    tier_told: str | None
    cards_told: Sequence[UUID]


@dataclass
class Desk:
    """`do` runs a coroutine to its end."""

    do: Callable[[Coroutine[Any, Any, Any]], Any]
    pool: db.Pool
    clock: Clock
    counts: Counter[str] = field(default_factory=Counter)

    async def open(self, cafe_id: UUID, guest: UUID, managers: Sequence[UUID]) -> None:
        """A new cafe with managers and one registered guest."""
        at = self.clock()
        cafe = CafeChanged(
            cafe_id=cafe_id, version=1, occurred_at=at, name="کافه", time_zone="Asia/Tehran", calendar="jalali",
            currency_unit="IRT",
        )  # fmt: skip
        granted = [
            AccessGranted(cafe_id=cafe_id, user_id=user, role="manager", version=1, occurred_at=at) for user in managers
        ]
        registered = CustomerRegistered(cafe_id=cafe_id, customer_id=guest, occurred_at=at, source="staff")
        async with db.transaction(self.pool) as conn:
            await on_cafe_changed(conn, [cafe])
            await access.on_access_granted(conn, granted)
            await on_customer_registered(conn, [registered])

    async def offer(self, cafe_id: UUID, author: UUID, reward_id: UUID, cost: int, stock: int) -> None:
        """A reward of the cafe."""
        wanted = OfferReward(
            reward_id=reward_id, key="coffee", name="قهوه", kind="item", cost_points=cost, stock=stock
        )  # fmt: skip
        async with db.staff_transaction(self.pool, author) as conn:
            await rewards.offer(conn, cafe_id, author, wanted, str)

    async def take_in(self, events: Sequence[VisitEvent]) -> None:
        """One batch, as the worker hands it over."""
        async with db.transaction(self.pool) as conn:
            for kind, group in in_order(events):
                await HANDLERS[kind](conn, group)

    async def publish(self, cafe_id: UUID, author: UUID, rules: ProgramRules, valid_from: datetime | None) -> None:
        """A new version of the cafe's rules."""
        async with db.staff_transaction(self.pool, author) as conn:
            wanted = PublishProgram(rules=rules, valid_from=valid_from)
            await publish_program(conn, cafe_id, author, wanted, KEYS)

    async def run_job(self, name: str) -> None:
        """A job until it has nothing to do; guests of earlier lives may be among those it finds."""
        while await JOBS[name](self.pool):
            pass

    async def look(self, cafe_id: UUID, version: int) -> Seen:
        """What is new since that version of the account."""
        async with db.transaction(self.pool) as conn:
            account = await conn.fetchrow(LOOK, cafe_id)
            rows = [tuple(row) for row in await conn.fetch(NEW_ROWS, cafe_id, version)]
            outbox = sorted(await conn.fetch(TAKE_TOLD, cafe_id), key=lambda row: int(row["id"]))
        assert account is not None
        events = [decode(row["type"], row["payload"]) for row in outbox]
        points = [event for event in events if isinstance(event, PointsEarned | PointsChanged)]
        tiers = [event.tier for event in events if isinstance(event, TierChanged)]
        told = [(event.account_version, event.points_change, event.balance_after) for event in points]
        cards = [event.voucher_id for event in events if isinstance(event, CardCompleted)]
        return Seen(account, rows, sorted(told), tiers[-1] if tiers else None, cards)
