"""Writes decisions about a batch down, in the order in which rows are locked. Nothing else does."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from services.campaign.channels import store as accounts_store
from services.campaign.messages.decide import broken
from services.campaign.messages.models.values import (
    DELIVERIES,
    CounterChange,
    Decided,
    Decision,
    NewDelivery,
    Pending,
    Ready,
)
from services.campaign.messages.rules import pace
from services.campaign.messages.store import deliveries, results
from shared.clock import new_id
from shared.database.db import Connection
from shared.events.campaign import MessageSkipped
from shared.messaging import outbox
from shared.persian.calendar import local_date
from shared.security.crypto import Keys, phone_hash, seal


@dataclass(frozen=True)
class _Entry:
    """A decision, with the sealed row of a message that goes."""

    decided: Decided
    ready: Ready | None


async def record(conn: Connection, keys: Keys, decided: Sequence[Decided], moment: datetime) -> list[Decided]:
    """Writes each message's state, the decision with its reasons, what is counted, and the events that say so.

    Returns those that stand, without the ones for whose occasion there is another message already.
    """
    kept = await _keep(conn, [_entry(each, keys) for each in decided], moment)
    await _note(conn, [each.decided for each in kept if not each.decided.is_left], moment)
    await _start(conn, kept, moment)
    await results.count(conn, [_change(each.decided) for each in kept], moment)
    return [each.decided for each in kept]


def _entry(decided: Decided, keys: Keys) -> _Entry:
    if decided.decision.outcome != "send":
        return _Entry(decided, None)
    try:
        return _Entry(decided, _seal(decided, keys))
    except Exception as error:
        return _Entry(broken(decided.facts.pending, error), None)


async def _keep(conn: Connection, entries: Sequence[_Entry], moment: datetime) -> list[_Entry]:
    """Writes how each message stands now. What is left stays as it was; a new one that is left is due again at once."""
    queued = [each for each in entries if not (each.decided.facts.pending.is_new or each.decided.is_left)]
    fresh = [each for each in entries if each.decided.facts.pending.is_new]
    put_off = [(each.decided.facts.pending, each.decided.decision) for each in queued if each.ready is None]
    await deliveries.put_off(conn, put_off)
    added = await deliveries.insert(conn, [_new(each.decided, moment) for each in fresh], moment)
    return [*queued, *(each for each in fresh if each.decided.facts.pending.id in added)]


def _new(decided: Decided, moment: datetime) -> NewDelivery:
    pending, decision = decided.facts.pending, decided.decision
    if decided.is_left:
        decision = replace(decision, hold_until=moment)
    return NewDelivery(
        id=pending.id,
        cafe_id=pending.cafe_id,
        campaign_id=pending.campaign_id,
        customer_id=pending.customer_id,
        trigger_id=pending.trigger_id,
        visit_id=pending.visit_id,
        local_id=pending.local_id,
        content=pending.template,
        expires_at=pending.expires_at,
        correlation_id=pending.correlation_id,
        causation_id=pending.causation_id,
        channel=pending.channel,
        status=deliveries.status_after(decision),
        due_at=decision.hold_until,
        reason=None if decision.outcome == "send" else decision.reason,
    )


async def _note(conn: Connection, decided: Sequence[Decided], moment: datetime) -> None:
    """Keeps the decisions, but not that an account is still away, and tells of messages that will not be sent."""
    told = [each for each in decided if not (each.decision.reason == "provider" == each.facts.pending.held_for)]
    await deliveries.insert_decisions(conn, [(new_id(), each.facts.pending, each.decision) for each in told], moment)
    skipped = [each for each in decided if _is_skipped(each)]
    await outbox.emit(conn, [_skipped(each.facts.pending, each.decision, moment) for each in skipped])


async def _start(conn: Connection, entries: Sequence[_Entry], moment: datetime) -> None:
    """Writes down what is handed over now, and counts it against limits and budgets."""
    going = [(each.decided.facts.cafe, each.ready) for each in entries if each.ready is not None]
    await deliveries.start_sending(conn, [ready for _, ready in going], moment, moment + pace.UNKNOWN_AFTER)
    await accounts_store.add_usage(
        conn,
        [
            (ready.cafe_id, ready.provider_id, local_date(moment, cafe.time_zone), 1, ready.cost, ready.cost)
            for cafe, ready in going
            if cafe is not None
        ],
    )


def _change(decided: Decided) -> CounterChange:
    pending, decision = decided.facts.pending, decided.decision
    return CounterChange(
        pending.cafe_id,
        pending.campaign_id,
        reserved=decided.cost if decision.outcome == "send" else Decimal(0),
        recipients=int(pending.is_new),
        ended={("skipped", decision.reason): 1} if _is_skipped(decided) else {},
    )


def _is_skipped(decided: Decided) -> bool:
    # A message to try is for nobody whom the campaign was for.
    return decided.decision.outcome == "skip" and decided.facts.pending.test_phone_sealed is None


def _seal(decided: Decided, keys: Keys) -> Ready:
    pending, contact, provider = decided.facts.pending, decided.facts.contact, decided.decision.provider
    assert contact is not None
    assert provider is not None
    row, address = pending.id, decided.facts.address or ""
    name = seal(keys, contact.name, table=DELIVERIES, column="recipient_name", row=row) if contact.name else None
    return Ready(
        cafe_id=pending.cafe_id,
        id=row,
        phone_sealed=seal(keys, address, table=DELIVERIES, column="recipient_phone", row=row),
        phone_hash=phone_hash(keys, pending.cafe_id, address),
        name_sealed=name,
        text_sealed=seal(keys, decided.text, table=DELIVERIES, column="personalized_content", row=row),
        parts=decided.parts,
        cost=decided.cost,
        provider_id=provider.id,
    )


def _skipped(pending: Pending, decision: Decision, moment: datetime) -> MessageSkipped:
    return MessageSkipped(
        cafe_id=pending.cafe_id,
        occurred_at=moment,
        correlation_id=pending.correlation_id,
        causation_id=pending.causation_id,
        customer_id=pending.customer_id,
        delivery_id=pending.id,
        campaign_id=pending.campaign_id,
        reason=decision.reason,
    )
