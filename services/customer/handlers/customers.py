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
    RecordConsent,
    RegisterCustomer,
    SetStatus,
    Stay,
)
from services.customer.models.values import Act, Cause, ConsentAnswer, GuestKey, GuestProfile
from services.customer.rules.birthdays import birth_dates
from services.customer.store import activity, customers, segments
from services.customer.store import consents as consents_store
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.events.customer import CustomerErased, CustomerStatusChanged
from shared.messaging import outbox
from shared.persian.calendar import Calendar, local_date
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
    """Everything about the guest, in clear.

    Raises:
        NotFound: there is none, or the guest was erased.
    """
    return _in_clear(keys, await _found(conn, guest, for_update=False))


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
    calendar: Calendar = "gregorian" if await customers.calendar(conn, cafe_id) == "gregorian" else "jalali"
    return await customers.born_on(conn, cafe_id, birth_dates(day, calendar), MOST_BIRTHDAYS)


async def summarize(conn: Connection, guest: GuestKey) -> CustomerSummary:
    """The guest's numbers.

    Raises:
        NotFound: no such guest.
    """
    row = await customers.summary(conn, guest)
    if row is None:
        raise _no_such_guest()
    return CustomerSummary.of(row, await access.unit_of(conn, guest.cafe_id))


async def list_stays(conn: Connection, guest: GuestKey) -> list[Stay]:
    """The guest's stays in segments, newest first."""
    return [Stay.model_validate(row) for row in await segments.stays(conn, guest)]


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
    opened = {column: unseal(keys, row, column) for column in ("phone", *SEALED)}
    return Customer.model_validate({**row, **opened})


def _check_dates(command: RegisterCustomer | ChangeCustomer, now: datetime) -> None:
    # A day has begun somewhere else before it begins here: the easternmost clock gives the benefit of the doubt.
    today = local_date(now, "Pacific/Kiritimati")
    late = [name for name in ("birthday", "anniversary") if (day := getattr(command, name)) and day > today]
    if late:
        problems = [Problem(name, "in_the_future", "has not come yet", "هنوز نرسیده است") for name in late]
        raise Rejected("invalid_input", "Some fields are not right.", "برخی فیلدها درست نیستند.", problems=problems)
