"""A guest's books: read from the database, or kept in memory with the same rules and no database at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from services.loyalty.handlers.visits import on_visit_corrected, on_visit_recorded, on_visit_voided
from services.loyalty.models.accounts import Account, Counted, LedgerEntry, Lot, Plan, Rank, Standing, VisitState
from services.loyalty.models.cards import Voucher
from services.loyalty.rules import cards
from services.loyalty.rules.counting import is_late, news_of, tally
from services.loyalty.rules.settling import settle
from services.loyalty.rules.spending import NO_SPENDING
from services.loyalty.store import accounts, visits, vouchers
from services.loyalty.store.audit import audit
from shared.database import db
from shared.events.base import Event
from shared.events.registry import decode
from shared.events.visit import VisitCorrected, VisitEvent, VisitRecorded, VisitVoided
from shared.messaging.consumer import in_order
from tests.loyalty.examples import CAFE, GUEST

HANDLERS: dict[type[Event], Any] = {
    VisitRecorded: on_visit_recorded,
    VisitCorrected: on_visit_corrected,
    VisitVoided: on_visit_voided,
}
STATES: dict[type[Event], VisitState] = {
    VisitRecorded: "recorded",
    VisitCorrected: "corrected",
    VisitVoided: "voided",
}


@dataclass(frozen=True)
class Ending:
    """What must not depend on the order of arrival."""

    balance: int
    rank: Rank
    standing: Standing
    visits: Mapping[UUID, Counted]
    vouchers: Mapping[UUID, Voucher]


async def take_in(pool: db.Pool, *events: VisitEvent) -> None:
    """One batch, as the worker hands it over."""
    async with db.transaction(pool) as conn:
        for kind, group in in_order(events):
            await HANDLERS[kind](conn, group)


async def ending(pool: db.Pool, guest: UUID = GUEST) -> Ending:
    """The guest's end state, after the books were audited."""
    async with db.transaction(pool) as conn:
        assert await audit(conn) == []
        key = (CAFE, guest)
        account = (await accounts.lock_existing(conn, [key]))[key]
        history = (await visits.load_histories(conn, [key]))[key]
        found = {each.voucher_id: each for each in await vouchers.list_of_guests(conn, [key])}
    return Ending(account.balance, account.rank, account.standing, history, _without_withdrawn(found))


def _without_withdrawn(found: Mapping[UUID, Voucher]) -> dict[UUID, Voucher]:
    """What was there in between depends on the order."""
    return {name: each for name, each in found.items() if each.state != "withdrawn"}


async def ledger(pool: db.Pool, guest: UUID = GUEST) -> list[tuple[str, int, int]]:
    """Type, change and balance of the guest's rows, in their order."""
    rows = await pool.fetch(
        "SELECT transaction_type::text AS type, points_change, balance_after FROM loyalty_transactions"
        " WHERE customer_id = $1 ORDER BY account_version",
        guest,
    )
    return [tuple(row) for row in rows]


async def sent(pool: db.Pool, kind: type[Event]) -> list[Any]:
    """The events of a kind that wait for the relay, in their order."""
    async with db.transaction(pool) as conn:
        rows = await conn.fetch("SELECT type, payload FROM crm.outbox WHERE type = $1 ORDER BY id", kind.type)
    return [decode(row["type"], row["payload"]) for row in rows]


@dataclass
class Memory:
    """One guest's books in memory."""

    plan: Plan
    moment: datetime
    account: Account = field(default_factory=lambda: Account(CAFE, GUEST, 0, 0, 0, 0, 0))
    visits: dict[UUID, Counted] = field(default_factory=dict)
    lots: dict[UUID, Lot] = field(default_factory=dict)
    entries: list[LedgerEntry] = field(default_factory=list)
    anew: int = 0
    vouchers: dict[UUID, Voucher] = field(default_factory=dict)
    said: list[Event] = field(default_factory=list)

    def take_in(self, events: Sequence[VisitEvent]) -> None:
        for kind, group in in_order(events):
            known = {event.visit_id: self.visits[event.visit_id] for event in group if event.visit_id in self.visits}
            news = news_of(group, STATES[kind], known)
            late = is_late(self.account, known, news)
            self.anew += late
            visits = {visit_id: visit for visit_id, (visit, _) in news.items()}
            counted = tally(self.plan, self.account, dict(self.visits) if late else None, visits)
            completed = {each.voucher_id for each in cards.vouchers_of(self.account, counted.completions)}
            outcome = settle(
                counted,
                self.lots,
                NO_SPENDING,
                {key: cause for key, (_, cause) in news.items()},
                self.moment,
                {name: each for name, each in self.vouchers.items() if late or name in completed},
            )
            self.vouchers |= {each.voucher_id: each for each in outcome.vouchers}
            self.said += outcome.events
            self.account = outcome.after
            self.visits |= {each.visit.visit_id: each for each in outcome.counted}
            self.lots |= {lot.lot_id: lot for lot in outcome.lots}
            self.entries += outcome.entries

    def ending(self) -> Ending:
        assert self.account.balance == sum(entry.draft.change for entry in self.entries)
        assert self.account.balance == sum(lot.remaining for lot in self.lots.values())
        assert self.account.balance == sum(counted.points for counted in self.visits.values())
        kept = _without_withdrawn(self.vouchers)
        return Ending(self.account.balance, self.account.rank, self.account.standing, self.visits, kept)
