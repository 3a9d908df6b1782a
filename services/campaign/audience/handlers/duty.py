"""Who of the cafe is told of unhappy guests."""

from uuid import UUID

import asyncpg

from services.campaign.audience.models.http import WriteDuty
from services.campaign.audience.models.values import Contact, ContactStatus, OnDuty
from services.campaign.audience.store import duty
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound
from shared.process import telemetry
from shared.security.crypto import CannotUnseal, Keys, phone_hash, seal, unseal

TABLE = "duty_people"


async def replace_people(conn: Connection, cafe_id: UUID, wanted: WriteDuty, *, keys: Keys) -> None:
    """The people whom the cafe wants told, and no others.

    Raises `NotFound` for a cafe whose settings nobody has told of yet.
    """
    if await duty.daily_cap(conn, cafe_id) is None:
        raise NotFound("messaging settings", "تنظیمات پیام")
    people = []
    for each in wanted.people:
        person_id = new_id()
        sealed = seal(keys, each.phone, table=TABLE, column="phone", row=person_id)
        digest = phone_hash(keys, cafe_id, each.phone)
        people.append(OnDuty(person_id, cafe_id, sealed, digest, each.label, each.is_on_duty))
    await duty.replace_people(conn, cafe_id, people, wanted.most_a_day, now())


def on_duty(row: asyncpg.Record, keys: Keys) -> Contact:
    """One of these people as somebody to write to; who is off duty since is not written to."""
    try:
        phone = number_of(keys, row["id"], row["phone_sealed"])
    except CannotUnseal:
        telemetry.logger().error("duty.unreadable", cafe_id=str(row["cafe_id"]))
        phone = None
    status: ContactStatus = "active" if row["is_on_duty"] else "blocked"
    return Contact(phone, None, status, line_blocked=False, erased=False, consents={}, daily_cap=row["duty_daily_cap"])


def number_of(keys: Keys, person_id: UUID, sealed: str) -> str:
    """The number of one of these people."""
    return unseal(keys, sealed, table=TABLE, column="phone", row=person_id)
