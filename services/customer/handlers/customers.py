"""What staff do with guests: register, find, look at, change, erase."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.customer.handlers import consents
from services.customer.handlers.evaluating import reevaluate, remove_from_all_segments
from services.customer.handlers.registration import (
    PROFILES,
    Newcomer,
    profiled,
    register,
    seal,
    unseal,
    unseal_phone,
)
from services.customer.models.http import (
    ChangeCustomer,
    Consents,
    Customer,
    CustomerSummary,
    FindCustomers,
    MoveCause,
    RecordConsent,
    RegisterCustomer,
    SetStatus,
    Stay,
    WholePhone,
)
from services.customer.models.values import Act, Cause, ConsentAnswer, GuestKey, GuestProfile
from services.customer.rules.birthdays import birth_dates
from services.customer.store import activity, customers, segments, views
from services.customer.store import consents as consents_store
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.events.customer import CustomerErased, CustomerStatusChanged
from shared.events.identity import Role
from shared.messaging import outbox
from shared.persian.calendar import local_date
from shared.persian.phone import masked
from shared.security import access, crypto, ids
from shared.security.crypto import Keys

# The sealed columns by the names that people know them by.
SEALED = ("email", "notes", "address")
PLAIN = ("name", "name_english", "birthday", "anniversary", "preferences", "city", "postal_code")
MOST_BIRTHDAYS = 500


async def register_customer(
    conn: Connection, cafe_id: UUID, command: RegisterCustomer, *, act: Act, keys: Keys
) -> Customer:
    """Registers a guest of the cafe.

    Raises:
        Rejected: status 409 when the number is registered already, 422 for a date that has not come yet.
    """
    _check_dates(command, act.at)
    guest = GuestKey(cafe_id, ids.customer_id(keys, cafe_id, command.phone))
    await activity.lock(conn, [guest])
    profile = GuestProfile(**command.model_dump(exclude={"marketing_consent"}))
    newcomer = Newcomer(guest, profile, "staff", act.at, act.author, _tie(act))
    registered = await register(conn, [newcomer], keys=keys, now=act.at)
    if not registered:
        raise Rejected(
            "already_registered",
            "This number is registered already.",
            "این شماره پیش‌تر ثبت شده است.",
            status=409,
            problems=[Problem("phone", "already_registered", "is registered already", "پیش‌تر ثبت شده است")],
        )
    if command.marketing_consent is not None:
        answer = ConsentAnswer(guest, "sms", "marketing", command.marketing_consent, "staff", act.at, act.author)
        await consents.keep(conn, [answer], {guest: _tie(act)}, act.at)
    await reevaluate(conn, {guest: Cause("registered", registered[guest])}, now=act.at)
    return await get_customer(conn, guest, keys=keys)


async def get_customer(conn: Connection, guest: GuestKey, *, keys: Keys) -> Customer:
    """Everything about the guest, with the number masked.

    Raises:
        NotFound: there is none, or the guest was erased.
    """
    return _in_clear(keys, await _found(conn, guest, for_update=False))


async def open_customer(conn: Connection, guest: GuestKey, *, act: Act, keys: Keys) -> Customer:
    """The same for somebody who looks at the guest, which is kept.

    Raises:
        NotFound: as `get_customer`.
    """
    found = await get_customer(conn, guest, keys=keys)
    await views.keep(conn, guest, act.author, "opened", act.at)
    return found


async def reveal_phone(conn: Connection, guest: GuestKey, *, act: Act, keys: Keys) -> WholePhone:
    """The guest's whole number; that it was shown is kept.

    Raises:
        NotFound: as `get_customer`.
    """
    phone = unseal_phone(keys, await _found(conn, guest, for_update=False))
    await views.keep(conn, guest, act.author, "revealed", act.at)
    return WholePhone(phone=phone)


async def change_customer(
    conn: Connection, guest: GuestKey, command: ChangeCustomer, *, act: Act, keys: Keys
) -> Customer:
    """Changes the fields that the command names, and leaves the others.

    Raises:
        NotFound: no such guest.
        Rejected: status 409 when `version` is not the newest any more, 422 for a date that has not come yet.
    """
    _check_dates(command, act.at)
    await activity.lock(conn, [guest])
    row = await _found(conn, guest, for_update=True)
    if command.version not in (None, row["version"]):
        raise Rejected(
            "changed_meanwhile",
            "Somebody else changed this guest; load it again.",
            "این مهمان در این میان تغییر کرده است؛ دوباره بارگذاری کنید.",
            status=409,
        )
    given = command.model_fields_set
    for column in PLAIN:
        if column in given:
            row[column] = getattr(command, column)
    for column in SEALED:
        if column in given:
            row[f"{column}_sealed"] = seal(keys, guest, column, getattr(command, column))
    row = await customers.change(conn, guest, row, act.author, act.at)
    changed = profiled(row, unseal_phone(keys, row), _tie(act), keys=keys, now=act.at)
    await outbox.emit(conn, [changed])
    await reevaluate(conn, {guest: Cause("profile", changed)}, now=act.at)
    return _in_clear(keys, row)


async def set_status(conn: Connection, guest: GuestKey, command: SetStatus, *, act: Act, keys: Keys) -> Customer:
    """Sets the guest's status. Setting the status it has already changes nothing.

    Raises:
        NotFound: no such guest.
    """
    await activity.lock(conn, [guest])
    row = await _found(conn, guest, for_update=True)
    if row["status"] != command.status:
        row = await customers.set_status(conn, guest, command.status, act.author, act.at)
        changed = CustomerStatusChanged(
            cafe_id=guest.cafe_id,
            customer_id=guest.customer_id,
            occurred_at=act.at,
            status=command.status,
            correlation_id=act.trace,
        )
        profile = profiled(row, unseal_phone(keys, row), _tie(act), keys=keys, now=act.at)
        await outbox.emit(conn, [changed, profile])
        await reevaluate(conn, {guest: Cause("profile", changed)}, now=act.at)
    return _in_clear(keys, row)


async def erase_customer(conn: Connection, guest: GuestKey, *, act: Act) -> None:
    """Empties what is kept of the guest here and tells everybody to do the same; sums stay.

    Raises:
        NotFound: no such guest.
    """
    await activity.lock(conn, [guest])
    await _found(conn, guest, for_update=True)
    erased = CustomerErased(
        cafe_id=guest.cafe_id, customer_id=guest.customer_id, occurred_at=act.at, correlation_id=act.trace
    )
    await remove_from_all_segments(conn, guest, Cause("erased", erased), now=act.at)
    await consents_store.forget(conn, guest)
    await customers.erase(conn, guest, act.author, act.at)
    await outbox.emit(conn, [erased])
    await outbox.emit_tombstones(conn, PROFILES, [(guest.cafe_id, guest.customer_id)])


async def record_consent(conn: Connection, guest: GuestKey, command: RecordConsent, *, act: Act) -> Consents:
    """Keeps the guest's answer and returns all of them.

    Raises:
        NotFound: no such guest.
    """
    await activity.lock(conn, [guest])
    await _found(conn, guest, for_update=False)
    answer = ConsentAnswer(guest, command.channel, command.purpose, command.granted, command.source, act.at, act.author)
    await consents.keep(conn, [answer], {guest: _tie(act)}, act.at)
    return await list_consents(conn, guest)


async def list_consents(conn: Connection, guest: GuestKey) -> Consents:
    """The guest's answers in force, and all of them."""
    return Consents.model_validate(
        {"current": await consents_store.current(conn, guest), "history": await consents_store.history(conn, guest)}
    )


async def find_customers(conn: Connection, cafe_id: UUID, search: FindCustomers, *, keys: Keys) -> list[UUID]:
    """Ids of the guests that match; see the store for why this runs as the service."""
    phone_hash = None if search.phone is None else crypto.phone_hash(keys, cafe_id, search.phone)
    return await customers.find(conn, cafe_id, search, phone_hash)


async def find_birthdays(conn: Connection, cafe_id: UUID, day: date) -> list[UUID]:
    """Ids of the guests whose birthday the cafe's calendar has on `day`; also those born on a leap day."""
    clock = await customers.clock_of(conn, cafe_id)
    return await customers.born_on(conn, cafe_id, birth_dates(day, clock.calendar), MOST_BIRTHDAYS)


async def summarize(conn: Connection, guest: GuestKey, role: Role) -> CustomerSummary:
    """The guest's numbers; what the guest spent is for managers.

    Raises:
        NotFound: no such guest.
    """
    row = await customers.summary(conn, guest)
    if row is None:
        raise _no_such_guest()
    shown = CustomerSummary.of(row, await access.unit_of(conn, guest.cafe_id))
    return shown if access.sees_amounts(role) else shown.without_amounts()


async def list_stays(conn: Connection, guest: GuestKey) -> list[Stay]:
    """The guest's stays in segments, newest first."""
    return [
        Stay.model_validate(
            {
                **row,
                "cause": _move_cause(row["entered_by"], row["entered_with_visit"], row["entered_under"]),
                "left_cause": _move_cause(row["left_by"], row["left_with_visit"], row["left_under"]),
            }
        )
        for row in await segments.stays(conn, guest)
    ]


def _move_cause(event_id: UUID | None, visit_id: UUID | None, trace: UUID | None) -> MoveCause | None:
    if event_id is None or trace is None:
        return None
    return MoveCause(event_id=event_id, visit_id=visit_id, correlation_id=trace)


async def _found(conn: Connection, guest: GuestKey, *, for_update: bool) -> dict[str, Any]:
    row = await customers.get(conn, guest, for_update=for_update)
    if row is None:
        raise _no_such_guest()
    return row


def _tie(act: Act) -> dict[str, Any]:
    return {"correlation_id": act.trace}


def _no_such_guest() -> NotFound:
    return NotFound("customer", "مهمان")


def _in_clear(keys: Keys, row: Mapping[str, Any]) -> Customer:
    opened = {column: unseal(keys, row, column) for column in SEALED}
    return Customer.model_validate({**row, **opened, "phone": masked(row["phone_last4"])})


def _check_dates(command: RegisterCustomer | ChangeCustomer, now: datetime) -> None:
    # Elsewhere a day begins earlier than here: the easternmost clock gives the benefit of the doubt.
    today = local_date(now, "Pacific/Kiritimati")
    late = [name for name in ("birthday", "anniversary") if (day := getattr(command, name)) and day > today]
    if late:
        problems = [Problem(name, "in_the_future", "has not come yet", "هنوز نرسیده است") for name in late]
        raise Rejected("invalid_input", "Some fields are not right.", "برخی فیلدها درست نیستند.", problems=problems)
