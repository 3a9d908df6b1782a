"""Somebody of the cafe is told of an unhappy guest, and the guest of the cafe's answer."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from services.campaign.models import Contact, ContactStatus, Notice, OnDuty, Run
from services.campaign.models.bodies import WriteDuty
from services.campaign.rules import pace
from services.campaign.store import duty, journeys
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound
from shared.events.feedback import CaseOpened, FeedbackResponded
from shared.persian.text import persian_digits
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


def notice_values(notice: Notice) -> dict[str, str | None]:
    """What a text about a case may name: no word and no number of the guest's."""
    rating = None if notice.overall_rating is None else persian_digits(str(notice.overall_rating))
    table = None if notice.table_number is None else f"میز {persian_digits(notice.table_number)}"
    return {"rating": rating or "پایین", "table": table}


def number_of(keys: Keys, person_id: UUID, sealed: str) -> str:
    """The number of one of these people."""
    return unseal(keys, sealed, table=TABLE, column="phone", row=person_id)


async def tell_of_cases(conn: Connection, events: Sequence[CaseOpened]) -> None:
    """Puts whoever is on duty on the journeys that tell of a case, once for each case."""
    cafe_ids = sorted({event.cafe_id for event in events})
    people = await duty.on_duty(conn, cafe_ids)
    if not people:
        return
    found = await journeys.active_journeys(conn, sorted(people), "case.opened")
    moment = now()
    told = [event for event in events if event.cafe_id in people and event.cafe_id in found]
    notices = [(each.cafe_id, Notice(each.case_id, each.overall_rating, each.table_number)) for each in told]
    await duty.note_cases(conn, notices)
    runs = [
        pace.enrol_on_duty(journey, event, person, moment)
        for event in told
        for journey in found[event.cafe_id]
        for person in people[event.cafe_id]
    ]
    await journeys.insert_runs(conn, pace.in_key_order(runs), moment)


async def on_feedback_responded(conn: Connection, events: Sequence[FeedbackResponded]) -> None:
    """Puts guests on the journeys that tell them of the cafe's answer."""
    found = await journeys.active_journeys(conn, sorted({e.cafe_id for e in events}), "feedback.responded")
    moment = now()
    runs: list[Run] = []
    for event in events:
        enrolled = (pace.enrol_answered(journey, event, moment) for journey in found.get(event.cafe_id, ()))
        runs.extend(run for run in enrolled if run is not None)
    await journeys.insert_runs(conn, pace.in_key_order(runs), moment)
