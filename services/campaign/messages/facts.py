"""What decisions rest on, looked up for a whole batch: one round trip for each kind, after the locks that make it last.
Nothing is decided here and nothing written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import asyncpg

from services.campaign.audience.handlers.duty import on_duty
from services.campaign.audience.models.values import PROFILES, Contact, GuestKey
from services.campaign.audience.rules import stay_id
from services.campaign.audience.store import complaints as complaints_store
from services.campaign.audience.store import contacts as contacts_store
from services.campaign.audience.store import duty, segments
from services.campaign.channels import registry
from services.campaign.channels import store as accounts_store
from services.campaign.channels.models.values import AccountsOfCafes
from services.campaign.messages.models.values import (
    DELIVERIES,
    TRIES_A_DAY,
    CafeRules,
    MessageFacts,
    Pending,
    SentSoFar,
)
from services.campaign.messages.rules import pace
from services.campaign.messages.store import cafes as cafes_store
from services.campaign.messages.store import deliveries
from shared.database.db import Connection
from shared.persian.calendar import day_bounds, local_date, month_of
from shared.process import telemetry
from shared.security.crypto import CannotUnseal, Keys, unseal
from shared.security.guest_links import guest_page_address
from shared.security.ids import feedback_address
from shared.settings import Settings

# Whom a message is for: a guest, or somebody of the cafe (cafe, id).
Recipients = Mapping[GuestKey, Contact]


async def look_up(
    conn: Connection, config: Settings, accounts: AccountsOfCafes, batch: Sequence[Pending], moment: datetime
) -> tuple[list[MessageFacts], SentSoFar]:
    """The facts of each message, and what was sent and spent before this batch."""
    recipients, on_duty_ = await _recipients(conn, batch, config.keys)
    said = await contacts_store.consents(conn, sorted({(p.cafe_id, p.customer_id, p.channel) for p in batch}))
    cases = sorted({(p.cafe_id, p.trigger_id) for p in batch if (p.cafe_id, p.customer_id) in on_duty_})
    notices = await duty.notices(conn, cases)
    stays = await _stays(conn, batch)
    cafe_ids = sorted({pending.cafe_id for pending in batch})
    cafes = {id_: rules for id_, rules in (await cafes_store.cafe_rules(conn, cafe_ids)).items() if _has_days(rules)}
    sent = await _sent_so_far(conn, cafes, batch, moment)
    facts = []
    for pending in batch:
        guest = (pending.cafe_id, pending.customer_id)
        contact, agreed = recipients.get(guest), said.get((*guest, pending.channel), {})
        known = MessageFacts(
            pending,
            cafes.get(pending.cafe_id),
            replace(contact, consents=agreed) if contact else None,
            stays=stays.get(guest, {}),
            accounts=accounts.get(pending.cafe_id, ()),
            notice=notices.get((pending.cafe_id, pending.trigger_id)),
        )
        facts.append(_reached(known, config, moment))
    return facts, sent


def _reached(known: MessageFacts, config: Settings, moment: datetime) -> MessageFacts:
    """The same with where the message goes, and the links it may hold; what can't be opened harms no other message."""
    pending = known.pending
    try:
        if pending.test_phone_sealed is not None:
            # Whoever asked for it agrees to it, belongs to no segment, and is awake.
            awake = replace(pending, segments=None, ignores_quiet_hours=True, is_paused=False)
            known = replace(known, pending=awake, contact=_tester(pending, config.keys))
        address = registry.address_of(pending.channel, known.contact) if known.contact else None
        page = guest_page_address(config.keys, config.guest_page_url, pending.cafe_id, pending.customer_id, moment)
        return replace(known, address=address, link=_link(pending, config), page=page)
    except Exception as error:
        return replace(known, fault=error)


def _link(pending: Pending, config: Settings) -> str | None:
    if pending.visit_id is None:
        return None
    return feedback_address(config.keys, config.public_url, pending.cafe_id, pending.visit_id)


def _tester(pending: Pending, keys: Keys) -> Contact:
    phone = unseal(keys, pending.test_phone_sealed or "", table=DELIVERIES, column="recipient_phone", row=pending.id)
    agreed = {pending.purpose: True}
    return Contact(phone, None, "active", line_blocked=False, erased=False, consents=agreed, daily_cap=TRIES_A_DAY)


async def _recipients(conn: Connection, batch: Sequence[Pending], keys: Keys) -> tuple[Recipients, set[GuestKey]]:
    """Guests, locked, so that no consent changes meanwhile; and whoever else is meant, who is on duty."""
    guests = sorted({(pending.cafe_id, pending.customer_id) for pending in batch})
    rows = await contacts_store.take_contacts(conn, guests)
    complaints = await complaints_store.open_complaints(conn, guests)
    found = {}
    for row in rows:
        guest = (row["cafe_id"], row["customer_id"])
        found[guest] = _contact(row, complaints.get(guest, ()), keys)
    people = await duty.find(conn, [guest for guest in guests if guest not in found])
    staff = {(row["cafe_id"], row["id"]): on_duty(row, keys) for row in people}
    return found | staff, set(staff)


def _contact(row: asyncpg.Record, complaints: Sequence[UUID], keys: Keys) -> Contact:
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
    return Contact(phone, name, row["status"], row["line_blocked"], row["erased"], {}, complaints)


async def _stays(conn: Connection, batch: Sequence[Pending]) -> dict[GuestKey, dict[str, UUID]]:
    asked = sorted({(p.cafe_id, p.customer_id, key) for p in batch for key in p.segments or ()})
    stays: dict[GuestKey, dict[str, UUID]] = {}
    for row in await segments.memberships(conn, asked) if asked else ():
        stay = stay_id(row["segment_id"], row["changed_at"])
        stays.setdefault((row["cafe_id"], row["customer_id"]), {})[row["segment_key"]] = stay
    return stays


def _has_days(cafe: CafeRules) -> bool:
    """A cafe whose clock nobody knows is not decided for; the others are."""
    if pace.has_clock(cafe):
        return True
    telemetry.logger().error("cafe.time_zone_unknown", cafe_id=str(cafe.cafe_id))
    return False


async def _sent_so_far(
    conn: Connection, cafes: Mapping[UUID, CafeRules], batch: Sequence[Pending], moment: datetime
) -> SentSoFar:
    today = {cafe.cafe_id: local_date(moment, cafe.time_zone) for cafe in cafes.values()}
    since = {cafe.cafe_id: day_bounds(today[cafe.cafe_id], cafe.time_zone)[0] for cafe in cafes.values()}
    guests = sorted({(pending.cafe_id, pending.customer_id) for pending in batch if pending.cafe_id in since})
    sent = SentSoFar(
        today=await deliveries.sent_today(conn, [(cafe_id, guest, since[cafe_id]) for cafe_id, guest in guests])
    )
    months = [(id_, day, month_of(day, cafes[id_].calendar)[0]) for id_, day in today.items()]
    for row in await accounts_store.usage(conn, months):
        sent.by_day[row["provider_id"]] = row["today"]
        sent.by_month[row["provider_id"]] = row["month"]
        sent.month_cost[row["cafe_id"]] = sent.month_cost.get(row["cafe_id"], 0) + row["cost"]
        sent.month_reserved[row["cafe_id"]] = sent.month_reserved.get(row["cafe_id"], 0) + row["reserved"]
    return sent
