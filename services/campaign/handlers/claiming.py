"""The decision to send: taken under locks, written down with its reasons, and committed before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from services.campaign.handlers.providers.accounts import has_account
from services.campaign.handlers.queueing import take_due_runs
from services.campaign.models import CafeRules, Contact, Decision, Message, Pending, Provider, Purpose, Tally
from services.campaign.rules import pace, template
from services.campaign.rules.deciding import Facts, cost_of, decide
from services.campaign.rules.parts import count_parts
from services.campaign.store import audience, campaigns, deliveries, providers
from services.campaign.store.campaigns import Change
from services.campaign.store.deliveries import NewDelivery, Ready
from shared import outbox, telemetry
from shared.clock import new_id
from shared.crypto import CannotUnseal, Keys, phone_hash, seal, unseal
from shared.db import Connection
from shared.events.campaign import MessageSkipped
from shared.ids import feedback_token
from shared.persian.calendar import day_bounds, local_date, month_of
from shared.settings import Settings

BATCH: Final = 200
PROFILES: Final = "customer.profiles"
TABLE: Final = "campaign_deliveries"

Guest = tuple[UUID, UUID]


@dataclass(frozen=True)
class Claimed:
    """A batch of decisions: what is to be sent now, by provider, and how many messages were looked at."""

    by_provider: Mapping[UUID, tuple[Provider, list[Message]]]
    looked_at: int


@dataclass(frozen=True)
class _Known:
    cafes: Mapping[UUID, CafeRules]
    providers: Mapping[UUID, Sequence[Provider]]
    contacts: Mapping[Guest, Contact]
    tally: Tally


@dataclass(frozen=True)
class _Decided:
    pending: Pending
    decision: Decision
    contact: Contact | None
    text: str = field(repr=False)
    parts: int


async def claim(conn: Connection, config: Settings, moment: datetime) -> Claimed:
    """Takes up to 200 messages and 200 runs whose time has come and decides about each, in the caller's transaction.

    What is to be sent is in the state "sending" with its local id and sealed text when the transaction commits; only
    then may it be handed to a provider.
    """
    waiting = await deliveries.claim(conn, moment, BATCH)
    fresh = await take_due_runs(conn, moment, BATCH)
    batch = [*waiting, *fresh]
    if not batch:
        return Claimed({}, 0)
    known = await _look_up(conn, batch, config, moment)
    decided = [_decide(pending, known, config, moment) for pending in batch]
    decided = await _keep(conn, decided[: len(waiting)], decided[len(waiting) :], moment)
    sending = [each for each in decided if each.decision.outcome == "send"]
    await _write(conn, decided, sending, config.keys, known.cafes, moment)
    groups: dict[UUID, tuple[Provider, list[Message]]] = {}
    for each in sending:
        provider, contact = _chosen(each)
        message = Message(each.pending.id, each.pending.local_id, contact.phone or "", each.text)
        groups.setdefault(provider.id, (provider, []))[1].append(message)
    return Claimed(groups, len(batch))


async def _look_up(conn: Connection, batch: Sequence[Pending], config: Settings, moment: datetime) -> _Known:
    cafe_ids = sorted({pending.cafe_id for pending in batch})
    guests = sorted({(pending.cafe_id, pending.customer_id) for pending in batch})
    found = await providers.lock_providers(conn, cafe_ids)
    usable = {
        cafe_id: [each if has_account(each, config) else replace(each, is_active=False) for each in rows]
        for cafe_id, rows in found.items()
    }
    rows = await audience.take_contacts(conn, guests)
    consents = await audience.sms_consents(conn, guests)
    contacts = {}
    for row in rows:
        guest = (row["cafe_id"], row["customer_id"])
        contacts[guest] = _contact(row, consents.get(guest, {}), config.keys)
    cafes = await providers.cafe_rules(conn, cafe_ids)
    return _Known(cafes, usable, contacts, await _count(conn, cafes, guests, moment))


def _contact(row: asyncpg.Record, consents: Mapping[Purpose, bool], keys: Keys) -> Contact:
    guest = row["customer_id"]

    def opened(column: str) -> str | None:
        sealed = row[f"{column}_sealed"]
        return unseal(keys, sealed, table=PROFILES, column=column, row=guest) if sealed else None

    try:
        phone, name = opened("phone"), opened("name")
    except CannotUnseal:
        # One guest's damaged row must not hold up everybody's messages: theirs waits, and is then given up.
        telemetry.logger().error("contact.unreadable", customer_id=str(guest))
        phone, name = None, None
    return Contact(phone, name, row["status"], row["line_blocked"], row["erased"], consents)


async def _count(conn: Connection, cafes: Mapping[UUID, CafeRules], guests: Sequence[Guest], moment: datetime) -> Tally:
    today = {cafe.cafe_id: local_date(moment, cafe.time_zone) for cafe in cafes.values()}
    since = {cafe.cafe_id: day_bounds(today[cafe.cafe_id], cafe.time_zone)[0] for cafe in cafes.values()}
    tally = Tally(
        today=await deliveries.sent_today(
            conn, [(cafe_id, guest, since[cafe_id]) for cafe_id, guest in guests if cafe_id in since]
        )
    )
    months = [(id_, day, month_of(day, cafes[id_].calendar)[0]) for id_, day in today.items()]
    for row in await providers.usage(conn, months):
        tally.by_day[row["provider_id"]] = row["today"]
        tally.by_month[row["provider_id"]] = row["month"]
        tally.month_cost[row["cafe_id"]] = tally.month_cost.get(row["cafe_id"], 0) + row["cost"]
    return tally


def _decide(pending: Pending, known: _Known, config: Settings, moment: datetime) -> _Decided:
    cafe = known.cafes.get(pending.cafe_id)
    contact = known.contacts.get((pending.cafe_id, pending.customer_id))
    text = write_text(pending, cafe, contact, config)
    parts = count_parts(text)
    decision = decide(
        Facts(
            pending, cafe, contact, text, parts, known.providers.get(pending.cafe_id, ()), known.tally, moment
        )
    )  # fmt: skip
    if decision.provider is not None and decision.outcome == "send":
        known.tally.add(pending, decision.provider, cost_of(parts, decision.provider))
    return _Decided(pending, decision, contact, text, parts)


def write_text(pending: Pending, cafe: CafeRules | None, contact: Contact | None, config: Settings) -> str:
    """The message as the guest reads it. The feedback link stands nowhere else in clear."""
    link = None
    if pending.visit_id is not None:
        token = feedback_token(config.keys, pending.cafe_id, pending.visit_id)
        link = f"{config.public_url.rstrip('/')}/f/{token}"
    values = {
        "name": template.presentable(contact.name if contact else None),
        "cafe": cafe.name if cafe else None,
        "link": link,
    }
    return template.with_stop_line(template.render(pending.template, values, pending.fallbacks), pending.purpose)


async def _keep(
    conn: Connection, waiting: Sequence[_Decided], fresh: Sequence[_Decided], moment: datetime
) -> list[_Decided]:
    """Writes down how each message stands now. Leaves out those for whose occasion there is another one already."""
    await deliveries.put_off(
        conn, [(each.pending, each.decision) for each in waiting if each.decision.outcome != "send"]
    )
    added = await deliveries.insert(conn, [_new(each.pending, each.decision) for each in fresh], moment)
    return [*waiting, *(each for each in fresh if each.pending.id in added)]


def _new(pending: Pending, decision: Decision) -> NewDelivery:
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
        status=deliveries.status_after(decision),
        due_at=decision.hold_until,
        reason=None if decision.outcome == "send" else decision.reason,
    )


async def _write(
    conn: Connection, decided: Sequence[_Decided], sending: Sequence[_Decided], keys: Keys,
    cafes: Mapping[UUID, CafeRules], moment: datetime,
) -> None:  # fmt: skip
    await deliveries.insert_decisions(conn, [(new_id(), each.pending, each.decision) for each in decided], moment)
    ready = [_seal(each, keys) for each in sending]
    await deliveries.start_sending(conn, ready, moment, moment + pace.UNKNOWN_AFTER)
    await providers.add_usage(
        conn,
        [(r.cafe_id, r.provider_id, local_date(moment, cafes[r.cafe_id].time_zone), 1, r.cost) for r in ready],
    )
    await campaigns.count(
        conn,
        [
            Change(each.pending.cafe_id, each.pending.campaign_id, reserved=row.cost)
            for each, row in zip(sending, ready, strict=True)
        ],
        moment,
    )
    skipped = [each for each in decided if each.decision.outcome == "skip"]
    await outbox.emit(conn, [_skipped(each.pending, each.decision, moment) for each in skipped])


def _seal(each: _Decided, keys: Keys) -> Ready:
    provider, contact = _chosen(each)
    phone, row = contact.phone or "", each.pending.id
    return Ready(
        cafe_id=each.pending.cafe_id,
        id=row,
        phone_sealed=seal(keys, phone, table=TABLE, column="recipient_phone", row=row),
        phone_hash=phone_hash(keys, each.pending.cafe_id, phone),
        name_sealed=seal(keys, contact.name, table=TABLE, column="recipient_name", row=row) if contact.name else None,
        text_sealed=seal(keys, each.text, table=TABLE, column="personalized_content", row=row),
        parts=each.parts,
        cost=cost_of(each.parts, provider),
        provider_id=provider.id,
    )


def _chosen(each: _Decided) -> tuple[Provider, Contact]:
    assert each.decision.provider is not None
    assert each.contact is not None
    return each.decision.provider, each.contact


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
