"""Writing down what became of messages: their state, the counters, the costs, and the events that say so."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

import asyncpg

from services.campaign.audience.store import contacts
from services.campaign.channels import store as channels_store
from services.campaign.messages.models.values import CounterChange, Handed, Settled
from services.campaign.messages.rules.settling import effects_of, ends_of, known_by_its_opening
from services.campaign.messages.store import deliveries, results
from shared.clock import now
from shared.database.db import Connection, Pool, heed_cancellation, is_outage, transaction
from shared.events.base import Event
from shared.events.campaign import MessageDelivered, MessageFailed, MessageSent
from shared.messaging import outbox
from shared.process import telemetry
from shared.process.discreet import bare, where

MessageKey = tuple[UUID, UUID]
Settler = Callable[[Handed], Settled | None]


async def settle(conn: Connection, keys: Sequence[MessageKey], judge: Settler, moment: datetime) -> int:
    """Locks the messages (cafe, delivery), lets `judge` look at each as it stands now, and writes what it says.

    Whatever comes twice (a call's answer, a look-up, a receipt by callback and by polling) is judged on the state the
    first one left, so it counts once. Returns how many messages changed.
    """
    steps = []
    for handed in await deliveries.lock_handed(conn, keys):
        settled = judge(handed)
        if settled is not None:
            steps.append((handed, known_by_its_opening(handed, settled)))
    if not steps:
        return 0
    await deliveries.settle(conn, [settled for _, settled in steps], moment)
    # Contacts, usage, campaigns: the order in which `claim` locks them too.
    await contacts.block_lines(
        conn, sorted({(handed.cafe_id, handed.customer_id) for handed, settled in steps if settled.blocked}), moment
    )
    await _count(conn, steps, moment)
    events = [_events(handed, settled, moment) for handed, settled in steps if not handed.is_test]
    await outbox.emit(conn, list(chain.from_iterable(events)))
    return len(steps)


async def settle_apart(pool: Pool, keys: Sequence[MessageKey], judge: Settler, moment: datetime) -> None:
    """`settle` in a transaction of its own.

    If one message can't be written, the others still are. That one is written without the provider's id for it, or not
    at all: then it is asked about again. Raises what an outage raises.
    """
    try:
        async with transaction(pool) as conn:
            await settle(conn, keys, judge, moment)
        return
    except Exception as error:
        heed_cancellation()
        if is_outage(error):
            raise
        if len(keys) > 1:
            for key in keys:
                await settle_apart(pool, [key], judge, moment)
            return
        telemetry.logger().error(
            "message.unsettled", delivery_id=str(keys[0][1]), error=where(error), exc_info=bare(error)
        )
    with contextlib.suppress(asyncpg.PostgresError):
        async with transaction(pool) as conn:
            await settle(conn, keys, lambda handed: _nameless(judge(handed)), moment)


def _nameless(settled: Settled | None) -> Settled | None:
    return settled and replace(settled, provider_message_id=None)


async def _count(conn: Connection, steps: Sequence[tuple[Handed, Settled]], moment: datetime) -> None:
    changes, used = [], []
    for handed, settled in steps:
        effects = effects_of(handed, settled)
        changes.append(
            CounterChange(handed.cafe_id, handed.campaign_id, cost=effects.cost, reserved=effects.reserved)
            if handed.is_test
            else CounterChange(
                handed.cafe_id,
                handed.campaign_id,
                sent=effects.sent,
                delivered=effects.delivered,
                failed=effects.failed,
                cost=effects.cost,
                reserved=effects.reserved,
                returned=int(effects.delivered and handed.is_returned),
                ended=ends_of(handed, settled),
            )
        )
        if effects.messages_used or effects.cost_used or effects.reserved:
            place = (handed.cafe_id, handed.provider_id, handed.day)
            used.append((*place, effects.messages_used, effects.cost_used, effects.reserved))
    await channels_store.correct_usage(conn, used)
    await results.count(conn, changes, moment)


def _events(handed: Handed, settled: Settled, moment: datetime) -> list[Event]:
    common: dict[str, Any] = {
        "cafe_id": handed.cafe_id,
        "occurred_at": moment,
        "correlation_id": handed.correlation_id,
        "causation_id": handed.causation_id,
        "customer_id": handed.customer_id,
        "delivery_id": handed.id,
        "campaign_id": handed.campaign_id,
    }
    events: list[Event] = []
    if settled.accepted:
        cost = handed.cost if settled.cost is None else settled.cost
        events.append(MessageSent(**common, provider=handed.provider_name, parts=handed.parts, cost=cost))
    if settled.status == "delivered":
        events.append(MessageDelivered(**common))
    if settled.status in ("failed", "bounced"):
        events.append(MessageFailed(**common, error_code=settled.error_code or "unknown"))
    return events


async def count_skipped(conn: Connection, messages: Sequence[tuple[UUID, UUID]], reason: str) -> None:
    changes = [CounterChange(cafe_id, campaign_id, ended={("skipped", reason): 1}) for cafe_id, campaign_id in messages]
    await results.count(conn, changes, now())
