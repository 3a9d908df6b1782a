"""The decision to send: taken under locks, written down with its reasons, and committed before anything is sent."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import asyncpg

from services.campaign.audience import rules as audience_rules
from services.campaign.audience.handlers.duty import on_duty
from services.campaign.audience.models.values import PROFILES, Contact, GuestKey, Notice
from services.campaign.audience.rules import notice_values
from services.campaign.audience.store import complaints as complaints_store
from services.campaign.audience.store import contacts as contacts_store
from services.campaign.audience.store import duty, segments
from services.campaign.channels import store as channels_store
from services.campaign.channels.models.values import AccountsOfCafes, Message, Provider
from services.campaign.channels.rules import cost_of, local_id_of
from services.campaign.messages.decide import Facts, decide
from services.campaign.messages.models.values import (
    DELIVERIES,
    TRIES_A_DAY,
    CafeRules,
    Check,
    CounterChange,
    Decision,
    NewDelivery,
    Pending,
    Place,
    Ready,
    SentSoFar,
    Turn,
)
from services.campaign.messages.rules import pace
from services.campaign.messages.store import cafes as cafes_store
from services.campaign.messages.store import deliveries, due, results
from services.campaign.texts.models.values import ABOUT_VISITS
from services.campaign.texts.rules import template
from services.campaign.texts.rules.parts import count_parts
from shared.clock import new_id
from shared.consent import Purpose
from shared.database.db import Connection
from shared.events.campaign import MessageSkipped
from shared.messaging import outbox
from shared.persian.calendar import day_bounds, local_date, month_of
from shared.process import telemetry
from shared.process.discreet import bare, where
from shared.security.crypto import CannotUnseal, Keys, phone_hash, seal, unseal
from shared.security.ids import feedback_token
from shared.settings import Settings

# The reason of a message that could not even be decided about.
BROKEN: Final = "broken"


@dataclass(frozen=True)
class Claimed:
    """A batch of decisions: what is to be sent now, by provider, how many messages were decided about, and the cafes
    whose other messages wait for what these cost."""

    by_provider: Mapping[UUID, tuple[Provider, list[Message]]]
    looked_at: int
    waiting: Collection[UUID] = ()


@dataclass(frozen=True)
class _Known:
    cafes: Mapping[UUID, CafeRules]
    providers: AccountsOfCafes
    contacts: Mapping[GuestKey, Contact]
    # The stays that guests are in now, by segment.
    stays: Mapping[GuestKey, Mapping[str, UUID]]
    # What is said of cases to whoever is on duty, by cafe and case.
    notices: Mapping[tuple[UUID, UUID], Notice]
    tally: SentSoFar


@dataclass(frozen=True)
class _Decided:
    pending: Pending
    decision: Decision
    contact: Contact | None
    text: str = field(repr=False)
    ready: Ready | None = None


async def claim(
    conn: Connection, config: Settings, accounts: AccountsOfCafes, turns: Sequence[Turn], places: Sequence[Place],
    moment: datetime,
) -> Claimed:  # fmt: skip
    """Takes each cafe's share of what is due and decides about each message, in the caller's transaction, which has
    locked the accounts.

    What is to be sent is in the state "sending" with its local id and sealed text when the transaction commits; only
    then may it be handed to a provider.
    """
    waiting, batch = await _take(conn, turns, places, moment)
    if not batch:
        return Claimed({}, 0)
    known = await _look_up(conn, batch, accounts, config, moment)
    decided = [_decide_safely(pending, known, config, moment) for pending in batch]
    left = _left_for_a_price(decided)
    queued = [each for each in decided[:waiting] if each.pending.id not in left]
    fresh = [_due_again(each, moment) if each.pending.id in left else each for each in decided[waiting:]]
    decided = await _keep(conn, queued, fresh, moment)
    came = {each.pending.id for each in fresh} & {each.pending.id for each in decided}
    await _note(conn, [each for each in decided if each.pending.id not in left], moment)
    await _start(conn, decided, known.cafes, moment)
    await results.count(conn, [_change(each, is_new=each.pending.id in came) for each in decided], moment)
    groups: dict[UUID, tuple[Provider, list[Message]]] = {}
    for each in decided:
        if each.ready is None:
            continue
        provider, contact = _chosen(each.decision, each.contact)
        message = Message(each.pending.id, each.pending.local_id, contact.phone or "", each.text)
        groups.setdefault(provider.id, (provider, []))[1].append(message)
    done = sum(each.pending.id not in left for each in decided)
    return Claimed(groups, done, set(left.values()))


def _left_for_a_price(decided: Sequence[_Decided]) -> dict[UUID, UUID]:
    """Whose turn comes later (delivery: cafe): a budget may not bear it before it is known what others of this round
    cost, so it stays due for the next one. Where nothing goes, something is held up longer, and it is put off like any
    other."""
    going = {each.pending.cafe_id for each in decided if each.ready is not None}
    return {
        each.pending.id: each.pending.cafe_id
        for each in decided
        if each.decision.outcome == "hold" and each.decision.reason == "budget" and each.pending.cafe_id in going
    }


def _due_again(each: _Decided, moment: datetime) -> _Decided:
    return replace(each, decision=replace(each.decision, hold_until=moment))


async def give_up(conn: Connection, turn: Turn, places: Sequence[Place], moment: datetime) -> int:
    """Takes the messages of a turn that nobody can decide about and closes them as broken. Returns how many."""
    waiting, batch = await _take(conn, [turn], places, moment)
    broken = [_broken(pending) for pending in batch]
    decided = await _keep(conn, broken[:waiting], broken[waiting:], moment)
    await _note(conn, decided, moment)
    known = {pending.id for pending in batch[:waiting]}
    await results.count(conn, [_change(each, is_new=each.pending.id not in known) for each in decided], moment)
    return len(batch)


async def _take(
    conn: Connection, turns: Sequence[Turn], places: Sequence[Place], moment: datetime
) -> tuple[int, list[Pending]]:
    """Queued messages first, how many of these, and then those that runs lead to."""
    waiting = await due.take_deliveries(conn, moment, turns, places)
    return len(waiting), [*waiting, *await take_due_runs(conn, moment, turns, places)]


async def _look_up(
    conn: Connection, batch: Sequence[Pending], accounts: AccountsOfCafes, config: Settings, moment: datetime
) -> _Known:
    cafe_ids = sorted({pending.cafe_id for pending in batch})
    guests = sorted({(pending.cafe_id, pending.customer_id) for pending in batch})
    rows = await contacts_store.take_contacts(conn, guests)
    consents = await contacts_store.sms_consents(conn, guests)
    complaints = await complaints_store.open_complaints(conn, guests)
    contacts = {}
    for row in rows:
        guest = (row["cafe_id"], row["customer_id"])
        contacts[guest] = _contact(row, consents.get(guest, {}), complaints.get(guest, ()), config.keys)
    people = await duty.find(conn, [guest for guest in guests if guest not in contacts])
    contacts |= {(row["cafe_id"], row["id"]): on_duty(row, config.keys) for row in people}
    told = {(row["cafe_id"], row["id"]) for row in people}
    cases = sorted({(p.cafe_id, p.trigger_id) for p in batch if (p.cafe_id, p.customer_id) in told})
    notices = await duty.notices(conn, cases)
    stays = await _stays(conn, batch)
    cafes = {id_: rules for id_, rules in (await cafes_store.cafe_rules(conn, cafe_ids)).items() if _has_days(rules)}
    return _Known(cafes, accounts, contacts, stays, notices, await _count(conn, cafes, guests, moment))


async def _stays(conn: Connection, batch: Sequence[Pending]) -> dict[GuestKey, dict[str, UUID]]:
    asked = sorted({(p.cafe_id, p.customer_id, key) for p in batch for key in p.segments or ()})
    stays: dict[GuestKey, dict[str, UUID]] = {}
    for row in await segments.memberships(conn, asked) if asked else ():
        stay = audience_rules.stay_id(row["segment_id"], row["changed_at"])
        stays.setdefault((row["cafe_id"], row["customer_id"]), {})[row["segment_key"]] = stay
    return stays


def _has_days(cafe: CafeRules) -> bool:
    """A cafe whose clock nobody knows is not decided for; the others are."""
    if pace.has_clock(cafe):
        return True
    telemetry.logger().error("cafe.time_zone_unknown", cafe_id=str(cafe.cafe_id))
    return False


def _contact(row: asyncpg.Record, consents: Mapping[Purpose, bool], complaints: Sequence[UUID], keys: Keys) -> Contact:
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
    return Contact(phone, name, row["status"], row["line_blocked"], row["erased"], consents, complaints)


async def _count(
    conn: Connection, cafes: Mapping[UUID, CafeRules], guests: Sequence[GuestKey], moment: datetime
) -> SentSoFar:
    today = {cafe.cafe_id: local_date(moment, cafe.time_zone) for cafe in cafes.values()}
    since = {cafe.cafe_id: day_bounds(today[cafe.cafe_id], cafe.time_zone)[0] for cafe in cafes.values()}
    tally = SentSoFar(
        today=await deliveries.sent_today(
            conn, [(cafe_id, guest, since[cafe_id]) for cafe_id, guest in guests if cafe_id in since]
        )
    )
    months = [(id_, day, month_of(day, cafes[id_].calendar)[0]) for id_, day in today.items()]
    for row in await channels_store.usage(conn, months):
        tally.by_day[row["provider_id"]] = row["today"]
        tally.by_month[row["provider_id"]] = row["month"]
        tally.month_cost[row["cafe_id"]] = tally.month_cost.get(row["cafe_id"], 0) + row["cost"]
        tally.month_reserved[row["cafe_id"]] = tally.month_reserved.get(row["cafe_id"], 0) + row["reserved"]
    return tally


def _decide_safely(pending: Pending, known: _Known, config: Settings, moment: datetime) -> _Decided:
    """The decision; a message that can't be decided about harms no other one."""
    try:
        return _decide(pending, known, config, moment)
    except Exception as error:
        telemetry.logger().error(
            "message.broken", delivery_id=str(pending.id), error=where(error), exc_info=bare(error)
        )
        return _broken(pending)


def _tester(pending: Pending, keys: Keys) -> Contact:
    phone = unseal(keys, pending.test_phone_sealed or "", table=DELIVERIES, column="recipient_phone", row=pending.id)
    agreed = {pending.purpose: True}
    return Contact(phone, None, "active", line_blocked=False, erased=False, consents=agreed, daily_cap=TRIES_A_DAY)


def _broken(pending: Pending) -> _Decided:
    return _Decided(pending, Decision("skip", BROKEN, [Check(BROKEN, passed=False)]), None, "")


def _decide(pending: Pending, known: _Known, config: Settings, moment: datetime) -> _Decided:
    cafe = known.cafes.get(pending.cafe_id)
    contact = known.contacts.get((pending.cafe_id, pending.customer_id))
    if pending.test_phone_sealed is not None:
        # Whoever asked for it agrees to it, belongs to no segment, and is awake.
        pending = replace(pending, segments=None, ignores_quiet_hours=True)
        contact = _tester(pending, config.keys)
    text = write_text(pending, cafe, contact, config, known.notices.get((pending.cafe_id, pending.trigger_id)))
    parts = count_parts(text)
    stays = known.stays.get((pending.cafe_id, pending.customer_id), {})
    accounts = known.providers.get(pending.cafe_id, ())
    decision = decide(Facts(pending, cafe, contact, stays, text, parts, accounts, known.tally, moment))
    if decision.outcome != "send":
        return _Decided(pending, decision, contact, text)
    provider, contact = _chosen(decision, contact)
    ready = _seal(pending, provider, contact, text, parts, config.keys)
    known.tally.add(pending, provider, ready.cost)
    return _Decided(pending, decision, contact, text, ready)


def write_text(
    pending: Pending, cafe: CafeRules | None, contact: Contact | None, config: Settings, notice: Notice | None = None
) -> str:
    """The message as the guest reads it, or whoever is on duty. The feedback link stands nowhere else in clear."""
    link = None
    if pending.visit_id is not None:
        token = feedback_token(config.keys, pending.cafe_id, pending.visit_id)
        link = f"{config.public_url.rstrip('/')}/f/{token}"
    values = {
        "name": template.presentable(contact.name if contact else None),
        "cafe": cafe.name if cafe else None,
        "link": link,
        **(notice_values(notice) if notice else {}),
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


async def _start(
    conn: Connection, decided: Sequence[_Decided], cafes: Mapping[UUID, CafeRules], moment: datetime
) -> None:
    """Writes down what is handed over now, and counts it against limits and budgets."""
    ready = [(each.pending, each.ready) for each in decided if each.ready is not None]
    await deliveries.start_sending(conn, [row for _, row in ready], moment, moment + pace.UNKNOWN_AFTER)
    await channels_store.add_usage(
        conn,
        [
            (r.cafe_id, r.provider_id, local_date(moment, cafes[r.cafe_id].time_zone), 1, r.cost, r.cost)
            for _, r in ready
        ],
    )


def _change(each: _Decided, *, is_new: bool) -> CounterChange:
    skipped = each.decision.outcome == "skip" and each.pending.test_phone_sealed is None
    return CounterChange(
        each.pending.cafe_id,
        each.pending.campaign_id,
        reserved=each.ready.cost if each.ready else Decimal(0),
        recipients=int(is_new),
        ended={("skipped", each.decision.reason): 1} if skipped else {},
    )


async def _note(conn: Connection, decided: Sequence[_Decided], moment: datetime) -> None:
    """Keeps the decisions, but not that an account is still away, and tells of messages that will not be sent."""
    told = [each for each in decided if not (each.decision.reason == "provider" == each.pending.held_for)]
    await deliveries.insert_decisions(conn, [(new_id(), each.pending, each.decision) for each in told], moment)
    skipped = [d for d in decided if d.decision.outcome == "skip" and d.pending.test_phone_sealed is None]
    await outbox.emit(conn, [_skipped(each.pending, each.decision, moment) for each in skipped])


def _seal(pending: Pending, provider: Provider, contact: Contact, text: str, parts: int, keys: Keys) -> Ready:
    phone, row = contact.phone or "", pending.id
    return Ready(
        cafe_id=pending.cafe_id,
        id=row,
        phone_sealed=seal(keys, phone, table=DELIVERIES, column="recipient_phone", row=row),
        phone_hash=phone_hash(keys, pending.cafe_id, phone),
        name_sealed=seal(keys, contact.name, table=DELIVERIES, column="recipient_name", row=row)
        if contact.name
        else None,
        text_sealed=seal(keys, text, table=DELIVERIES, column="personalized_content", row=row),
        parts=parts,
        cost=cost_of(parts, provider),
        provider_id=provider.id,
    )


def _chosen(decision: Decision, contact: Contact | None) -> tuple[Provider, Contact]:
    assert decision.provider is not None
    assert contact is not None
    return decision.provider, contact


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


async def take_due_runs(
    conn: Connection, moment: datetime, turns: Sequence[Turn], places: Sequence[Place]
) -> list[Pending]:
    """The messages that runs whose time has come lead to. They are in no table yet: whoever decides about them writes
    them down, in the same transaction."""
    rows = await due.take_runs(conn, moment, turns, places)
    return [_from_run(row, moment) for row in rows if row["is_active"]]


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
    )
