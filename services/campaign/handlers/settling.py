"""Writing down what became of messages: their state, the counters, the costs, and the events that say so."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.campaign.models import Handed, Settled
from services.campaign.rules.settling import effects_of
from services.campaign.store import audience, campaigns, deliveries, providers
from services.campaign.store.campaigns import Change
from shared import outbox
from shared.db import Connection
from shared.events.base import Event
from shared.events.campaign import MessageDelivered, MessageFailed, MessageSent


async def settle(
    conn: Connection,
    keys: Sequence[tuple[UUID, UUID]],
    judge: Callable[[Handed], Settled | None],
    moment: datetime,
) -> int:
    """Locks the messages (cafe, delivery), lets `judge` look at each as it stands now, and writes what it says.

    Whatever comes twice (a call's answer, a look-up, a receipt by callback and by polling) is judged on the state the
    first one left, so it counts once. Returns how many messages changed.
    """
    steps = []
    for handed in await deliveries.lock_handed(conn, keys):
        settled = judge(handed)
        if settled is not None:
            steps.append((handed, settled))
    if not steps:
        return 0
    await deliveries.settle(conn, [settled for _, settled in steps], moment)
    # Contacts, usage, campaigns: the order in which `claim` locks them too.
    await audience.block_lines(
        conn, sorted({(handed.cafe_id, handed.customer_id) for handed, settled in steps if settled.blocked}), moment
    )
    await _count(conn, steps, moment)
    await outbox.emit(conn, [event for handed, settled in steps for event in _events(handed, settled, moment)])
    return len(steps)


async def _count(conn: Connection, steps: Sequence[tuple[Handed, Settled]], moment: datetime) -> None:
    changes, used = [], []
    for handed, settled in steps:
        effects = effects_of(handed, settled)
        changes.append(
            Change(
                handed.cafe_id,
                handed.campaign_id,
                sent=effects.sent,
                delivered=effects.delivered,
                failed=effects.failed,
                cost=effects.cost,
                reserved=effects.reserved,
            )
        )
        if effects.messages_used or effects.cost_used:
            used.append((handed.cafe_id, handed.provider_id, handed.day, effects.messages_used, effects.cost_used))
    await providers.correct_usage(conn, used)
    await campaigns.count(conn, changes, moment)


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
