"""Contacts, consents and memberships, once more from their events."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.campaign.worker import REACTIONS
from shared.clock import new_id, now
from shared.events.base import Event
from shared.events.customer import (
    ConsentChanged,
    CustomerErased,
    CustomerProfiled,
    CustomerStatusChanged,
    SegmentEntered,
    SegmentKey,
    SegmentLeft,
    SegmentListChanged,
)
from shared.events.feedback import CaseClosed, CaseOpened
from shared.security.crypto import seal
from tests.conftest import Kafka
from tests.shared.taking import ends, publish, rebuilt, take_in
from tests.support import Databases

CAFE = new_id()
REGULARS = new_id()
TABLES = ("contacts", "consents", "segment_members", "cafe_segments", "complaint_holds")


def profiled(kafka: Kafka, guest: UUID, version: int, at: datetime, registered_at: datetime) -> CustomerProfiled:
    place: dict[str, Any] = {"table": "customer.profiles", "column": "phone", "row": guest}
    return CustomerProfiled(
        cafe_id=CAFE, customer_id=guest, occurred_at=at, version=version, registered_at=registered_at,
        phone_sealed=seal(kafka.config.keys, f"+98912{guest.int % 10**7:07}", **place),
    )  # fmt: skip


def life_of(kafka: Kafka, number: int, guest: UUID, begin: datetime) -> list[list[Event]]:
    """What is said of a guest, in steps that are taken in one after another."""

    def at(step: int) -> dict[str, Any]:
        return {"cafe_id": CAFE, "customer_id": guest, "occurred_at": begin + timedelta(minutes=step)}

    agreed: dict[str, Any] = {"channel": "sms", "purpose": "marketing", "source": "till"}
    segment: dict[str, Any] = {"segment_id": REGULARS, "segment_key": "regular_customers"}
    steps: list[list[Event]] = [
        [
            profiled(kafka, guest, 1, begin, begin),
            ConsentChanged(**at(0), **agreed, granted=True),
            SegmentEntered(**at(1), **segment),
        ]
    ]
    about: dict[str, Any] = {"visit_id": None, "feedback_id": new_id(), "case_id": new_id()}
    if number % 5 == 0:
        steps[0].append(CaseOpened(**at(1), **about, due_at=begin))
    if number % 10 == 0:
        steps.append([CaseClosed(**at(2), **about)])
    if number % 2:
        steps.append([SegmentLeft(**at(2), **segment), ConsentChanged(**at(2), **agreed, granted=False)])
    if number % 3 == 0:
        steps.append([CustomerStatusChanged(**at(3), status="blocked"), profiled(kafka, guest, 2, begin, begin)])
    if number % 4 == 0:
        steps.append([SegmentLeft(**at(4), **segment), CustomerErased(**at(4))])
    if number % 8 == 0:
        back = begin + timedelta(minutes=9)
        steps.append([profiled(kafka, guest, 4, back, back), SegmentEntered(**at(9), **segment)])
    return steps


def listed(*keys: str, at: datetime) -> SegmentListChanged:
    found = [SegmentKey(segment_id=new_id(), segment_key=key) for key in keys]
    return SegmentListChanged(cafe_id=CAFE, occurred_at=at, segments=found)


async def test_rebuild_gives_the_same_rows_and_puts_damaged_ones_right(database: Databases, kafka: Kafka) -> None:
    pool = await database("campaign")
    begin = now() - timedelta(days=40)
    lives = [life_of(kafka, number, new_id(), begin) for number in range(25)]
    for step in range(max(map(len, lives))):
        events = [event for life in lives if len(life) > step for event in life[step]]
        events += [listed("regular_customers", *["own"] * (step > 0), at=begin + timedelta(minutes=step))]
        await publish(kafka, [*events, *events[:7]])
        await take_in(kafka, "campaign", pool, REACTIONS)

    async def rows() -> dict[str, Any]:
        return {table: await pool.fetch(f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in TABLES}

    right, said = await rows(), await ends(kafka)
    assert [len(right[table]) for table in TABLES] == [25, 18, 22, 1, 3]
    assert (await rebuilt(kafka, database, "campaign", check=True)).rows_differing == 0

    # A line that a guest had blocked is known from a provider, not from events: it stays.
    await pool.execute("UPDATE contacts SET line_blocked_at = now() WHERE erased_at IS NULL")
    await pool.execute("UPDATE consents SET granted = NOT granted")
    await pool.execute("UPDATE segment_members SET is_member = true")
    await pool.execute("UPDATE cafe_segments SET keys = '{}'")
    await pool.execute("UPDATE contacts SET status = 'active', version = 7 WHERE status = 'blocked'")
    await pool.execute("UPDATE complaint_holds SET closed_at = NULL, opened_at = now()")
    blocked = await pool.fetchval("SELECT count(line_blocked_at) FROM contacts")
    found = await rebuilt(kafka, database, "campaign")
    assert all(difference.rows for difference in found.differences)
    assert (await rebuilt(kafka, database, "campaign", check=True)).rows_differing == 0
    assert await pool.fetchval("SELECT count(line_blocked_at) FROM contacts") == blocked > 0
    await pool.execute("UPDATE contacts SET line_blocked_at = NULL")
    assert (await rows())["consents"] == right["consents"]
    assert (await rows())["segment_members"] == right["segment_members"]
    assert (await ends(kafka), await pool.fetchval("SELECT count(*) FROM crm.outbox")) == (said, 0)
