"""How somebody becomes a guest: by a number a till learned, or by staff. The id follows from the number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.customer.handlers import consents
from services.customer.handlers.evaluating import reevaluate
from services.customer.models.values import ConsentAnswer, GuestKey, GuestProfile, GuestSource
from services.customer.rules.causes import cause_of
from services.customer.store import activity, customers
from shared import clock
from shared.consent import ASKED, TICK
from shared.database.db import Connection
from shared.errors import Poison
from shared.events.base import Event, caused_by
from shared.events.customer import CustomerProfiled, CustomerRegistered
from shared.events.visit import ContactLearned
from shared.messaging import outbox
from shared.persian.phone import last_four
from shared.persian.text import normalize
from shared.security import crypto
from shared.security.crypto import CannotUnseal, Keys

TABLE = "customers"
PROFILES = "customer.profiles"
LONGEST_NAME = 100


@dataclass(frozen=True)
class Newcomer:
    """Somebody to register, unless already there. `causation`: the ids of the event or request that it follows from."""

    guest: GuestKey
    profile: GuestProfile
    source: GuestSource
    registered_at: datetime
    author: UUID | None = None
    causation: Mapping[str, Any] = field(default_factory=dict)


async def on_contact_learned(
    conn: Connection, events: Sequence[ContactLearned], *, keys: Keys, now: datetime | None = None
) -> None:
    """Registers the guests that are new here, gives names to the nameless, and keeps the answers about consent."""
    now = now or clock.now()
    newcomers = _newcomers(events, keys)
    await activity.lock(conn, list(newcomers))
    registered = await register(conn, list(newcomers.values()), keys=keys, now=now)
    there = [new for guest, new in newcomers.items() if guest not in registered]
    erased = await customers.erased(conn, [new.guest for new in there]) if there else {}
    if erased:
        # What was learned before the erasure is forgotten, and must not stand in for what was learned after it.
        events = [event for event in events if _guest(event) not in erased or event.occurred_at > erased[_guest(event)]]
        back = [new for guest, new in _newcomers(events, keys).items() if guest in erased]
        registered |= await register(conn, back, keys=keys, now=now)
    await _fill_names(conn, [new for new in there if new.guest not in erased], keys=keys, now=now)
    answers = [
        ConsentAnswer(
            _guest(event), "sms", "marketing", agreed, ASKED if event.consent_asked else TICK,
            event.consent_at or event.occurred_at,
        )
        for event in events
        if (agreed := event.marketing_consent) is not None
    ]  # fmt: skip
    await consents.keep(conn, answers, {new.guest: new.causation for new in newcomers.values()}, now)
    first = {_guest(event): event for event in reversed(events)}
    causes = {guest: replace(cause_of(first[guest]), event=event) for guest, event in registered.items()}
    await reevaluate(conn, causes, now=now)


def _newcomers(events: Sequence[ContactLearned], keys: Keys) -> dict[GuestKey, Newcomer]:
    """Everybody of whom something was learned, as they would be registered."""
    newcomers: dict[GuestKey, Newcomer] = {}
    for event in events:
        guest = _guest(event)
        learned = GuestProfile(phone=_opened(keys, event, "phone", event.phone_sealed), name=_name(keys, event))
        newcomer = Newcomer(guest, learned, "visit", event.occurred_at, causation=caused_by(event))
        first = newcomers.setdefault(guest, newcomer)
        if first.profile.name is None and learned.name is not None:
            newcomers[guest] = replace(first, profile=learned)
    return newcomers


def _guest(event: ContactLearned) -> GuestKey:
    return GuestKey(event.cafe_id, event.customer_id)


async def register(
    conn: Connection, newcomers: Sequence[Newcomer], *, keys: Keys, now: datetime
) -> dict[GuestKey, CustomerRegistered]:
    """Adds those who are not there and publishes them. Returns them with the event that says so.

    The caller has locked their activity rows, and evaluates their segments afterwards.
    """
    rows = [_row(new, keys, now) for new in newcomers]
    versions = await customers.register(conn, rows)
    added = [new for new in newcomers if new.guest in versions]
    begun = await activity.set_registered(conn, [new.guest for new in added], [new.registered_at for new in added])
    if begun:
        await customers.begin_with_bills(conn, begun)
    registered, events = {}, list[Event]()
    for new, row in zip(newcomers, rows, strict=True):
        if new.guest in versions:
            registered[new.guest] = CustomerRegistered(
                cafe_id=new.guest.cafe_id,
                customer_id=new.guest.customer_id,
                occurred_at=new.registered_at,
                source=new.source,
                **new.causation,
            )
            full = {**row, "status": "active", "version": versions[new.guest]}
            causation = caused_by(registered[new.guest])
            events += [registered[new.guest], profiled(full, new.profile.phone, causation, keys=keys, now=now)]
    await outbox.emit(conn, events)
    return registered


def profiled(
    row: Mapping[str, Any], phone: str, causation: Mapping[str, Any], *, keys: Keys, now: datetime
) -> CustomerProfiled:
    """The guest's profile for the other services, sealed anew for that topic. `causation`: see `Newcomer`."""
    customer_id = row["id"]

    def sealed(column: str, value: str | None) -> str | None:
        return None if value is None else crypto.seal(keys, value, table=PROFILES, column=column, row=customer_id)

    return CustomerProfiled(
        cafe_id=row["cafe_id"],
        customer_id=customer_id,
        occurred_at=now,
        version=row["version"],
        phone_sealed=crypto.seal(keys, phone, table=PROFILES, column="phone", row=customer_id),
        name_sealed=sealed("name", row["name"]),
        birthday_sealed=sealed("birthday", row["birthday"] and row["birthday"].isoformat()),
        status=row["status"],
        language="en" if row["preferences"].get("language") == "en" else "fa",
        registered_at=row["created_at"],
        **causation,
    )


def seal(keys: Keys, guest: GuestKey, column: str, value: str | None) -> str | None:
    """A personal field as the customers table keeps it."""
    return None if value is None else crypto.seal(keys, value, table=TABLE, column=column, row=guest.customer_id)


def unseal(keys: Keys, row: Mapping[str, Any], column: str) -> str | None:
    """A personal field of a row of the customers table, in clear."""
    sealed = row[f"{column}_sealed"]
    return None if sealed is None else crypto.unseal(keys, sealed, table=TABLE, column=column, row=row["id"])


def unseal_phone(keys: Keys, row: Mapping[str, Any]) -> str:
    """The number of a living guest."""
    phone = unseal(keys, row, "phone")
    assert phone is not None
    return phone


async def _fill_names(conn: Connection, newcomers: Sequence[Newcomer], *, keys: Keys, now: datetime) -> None:
    names = {new.guest: new.profile.name for new in newcomers if new.profile.name is not None}
    rows = await customers.fill_names(conn, names, now) if names else []
    causations = {new.guest: new.causation for new in newcomers}
    events = [
        profiled(row, unseal_phone(keys, row), causations[GuestKey(row["cafe_id"], row["id"])], keys=keys, now=now)
        for row in rows
    ]
    await outbox.emit(conn, events)


def _row(new: Newcomer, keys: Keys, now: datetime) -> dict[str, Any]:
    guest, profile = new.guest, new.profile
    return {
        "cafe_id": guest.cafe_id,
        "id": guest.customer_id,
        "phone_sealed": seal(keys, guest, "phone", profile.phone),
        "phone_hash": crypto.phone_hash(keys, guest.cafe_id, profile.phone),
        "phone_last4": last_four(profile.phone),
        "name": profile.name,
        "name_english": profile.name_english,
        "email_sealed": seal(keys, guest, "email", profile.email),
        "birthday": profile.birthday,
        "anniversary": profile.anniversary,
        "notes_sealed": seal(keys, guest, "notes", profile.notes),
        "preferences": profile.preferences,
        "address_sealed": seal(keys, guest, "address", profile.address),
        "city": profile.city,
        "postal_code": profile.postal_code,
        "created_at": new.registered_at,
        "updated_at": now,
        "created_by": new.author,
        "known_since": now if new.source == "visit" else None,
    }


def _opened(keys: Keys, event: ContactLearned, column: str, envelope: str) -> str:
    try:
        return crypto.unseal(keys, envelope, table="visit.contacts", column=column, row=event.customer_id)
    except CannotUnseal as error:
        raise Poison("cannot_unseal", str(error)) from error


def _name(keys: Keys, event: ContactLearned) -> str | None:
    if event.name_sealed is None:
        return None
    return normalize(_opened(keys, event, "name", event.name_sealed))[:LONGEST_NAME] or None
