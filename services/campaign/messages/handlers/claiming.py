"""Due messages are taken under locks, facts looked up, decisions made and recorded, before anything is sent."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from services.campaign.channels import registry
from services.campaign.channels.models.values import AccountsOfCafes, Message, Provider
from services.campaign.channels.rules import local_id_of
from services.campaign.messages import facts, record
from services.campaign.messages.decide import broken, decide_all
from services.campaign.messages.models.values import Decided, Pending, Place, Turn
from services.campaign.messages.store import due
from services.campaign.texts.models.values import ABOUT_VISITS
from shared.clock import new_id
from shared.database.db import Connection
from shared.process import telemetry
from shared.process.discreet import bare, where
from shared.settings import Settings


@dataclass(frozen=True)
class Claimed:
    """A batch of decisions: what is to be sent now, by provider, how many messages were decided about, and the cafes
    whose other messages wait for what these cost."""

    by_provider: Mapping[UUID, tuple[Provider, list[Message]]]
    looked_at: int
    waiting: Collection[UUID] = ()


async def claim(
    conn: Connection, config: Settings, accounts: AccountsOfCafes, turns: Sequence[Turn], places: Sequence[Place],
    moment: datetime,
) -> Claimed:  # fmt: skip
    """Takes each cafe's share of what is due and decides about each message, in the caller's transaction, which has
    locked the accounts.

    What is to be sent is in the state "sending" with its local id and sealed text when the transaction commits; only
    then may it be handed to a provider.
    """
    batch = await _take(conn, turns, places, moment)
    if not batch:
        return Claimed({}, 0)
    known, sent = await facts.look_up(conn, config, accounts, batch, moment)
    decided = decide_all(known, sent, registry.render, moment)
    kept = await record.record(conn, config.keys, decided, moment)
    _tell_of_faults(kept)
    left = [each for each in decided if each.is_left]
    looked_at = sum(not each.is_left for each in kept)
    return Claimed(_by_provider(kept), looked_at, {each.facts.pending.cafe_id for each in left})


async def give_up(conn: Connection, turn: Turn, places: Sequence[Place], config: Settings, moment: datetime) -> int:
    """Takes the messages of a turn that nobody can decide about and closes them as broken. Returns how many."""
    batch = await _take(conn, [turn], places, moment)
    await record.record(conn, config.keys, [broken(pending) for pending in batch], moment)
    return len(batch)


async def _take(
    conn: Connection, turns: Sequence[Turn], places: Sequence[Place], moment: datetime
) -> list[Pending]:  # fmt: skip
    """Queued messages first, and then those that runs lead to, which are in no table yet."""
    queued = await due.take_deliveries(conn, moment, turns, places)
    runs = await due.take_runs(conn, moment, turns, places)
    return [*queued, *(_from_run(row, moment) for row in runs if row["is_active"])]


def _by_provider(decided: Sequence[Decided]) -> dict[UUID, tuple[Provider, list[Message]]]:
    groups: dict[UUID, tuple[Provider, list[Message]]] = {}
    for each in decided:
        provider = each.decision.provider
        if each.decision.outcome == "send" and provider is not None:
            message = Message(each.facts.pending.id, each.facts.pending.local_id, each.facts.address or "", each.text)
            groups.setdefault(provider.id, (provider, []))[1].append(message)
    return groups


def _tell_of_faults(decided: Sequence[Decided]) -> None:
    for each in decided:
        if each.fault is not None:
            telemetry.logger().error(
                "message.broken",
                delivery_id=str(each.facts.pending.id), error=where(each.fault), exc_info=bare(each.fault),
            )  # fmt: skip


def _from_run(row: asyncpg.Record, moment: datetime) -> Pending:
    delivery_id = new_id()
    return Pending(
        id=delivery_id,
        cafe_id=row["cafe_id"],
        campaign_id=row["campaign_id"],
        customer_id=row["customer_id"],
        trigger_id=row["trigger_id"],
        visit_id=row["trigger_id"] if row["trigger"] in ABOUT_VISITS else None,
        local_id=local_id_of(delivery_id),
        template=row["template"],
        fallbacks=row["fallbacks"],
        purpose=row["purpose"],
        ignores_quiet_hours=row["ignores_quiet_hours"],
        budget=row["budget"],
        spent=row["spent"],
        reserved=row["reserved"],
        campaign_status=row["campaign_status"],
        queued_at=moment,
        expires_at=row["occurred_at"] + timedelta(minutes=row["max_age_minutes"]),
        attempts=0,
        provider_id=None,
        refused_by=(),
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        segments=row["segments"],
        of_this_stay=row["of_this_stay"],
        channel=row["channel"],
        is_new=True,
    )
