"""What is kept of guests from other services' events. Every function takes a batch and touches each table once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.campaign.audience.models.values import (
    PROFILES,
    CaseWord,
    Consent,
    ContactVersion,
    Membership,
    SegmentList,
)
from services.campaign.audience.store import complaints, contacts, segments
from shared.database.db import Connection
from shared.events.customer import (
    ConsentChanged,
    CustomerErased,
    CustomerProfiled,
    CustomerStatusChanged,
    SegmentEntered,
    SegmentLeft,
    SegmentListChanged,
)
from shared.events.feedback import CaseClosed, CaseOpened
from shared.security.crypto import Keys, phone_hash, unseal


async def keep_profiles(conn: Connection, events: Sequence[CustomerProfiled], *, keys: Keys) -> None:
    """Keeps guests' numbers and names, sealed as they came, and the hash that a reply is found by."""
    await contacts.keep_contacts(conn, [_profile(event, keys) for event in events])


def _profile(event: CustomerProfiled, keys: Keys) -> ContactVersion:
    phone = unseal(keys, event.phone_sealed, table=PROFILES, column="phone", row=event.customer_id)
    return ContactVersion(
        cafe_id=event.cafe_id,
        customer_id=event.customer_id,
        version=event.version,
        phone_sealed=event.phone_sealed,
        phone_hash=phone_hash(keys, event.cafe_id, phone),
        name_sealed=event.name_sealed,
        status=event.status,
        language=event.language,
        at=event.occurred_at,
        registered_at=event.registered_at,
    )


async def on_customer_status_changed(conn: Connection, events: Sequence[CustomerStatusChanged]) -> None:
    """Keeps guests' status; a blocked guest gets nothing from the next decision on."""
    await contacts.set_status(conn, [(e.cafe_id, e.customer_id, e.status, e.occurred_at) for e in events])


async def forget_erased(conn: Connection, events: Sequence[CustomerErased]) -> None:
    """Empties only what is kept of the guests themselves."""
    await contacts.forget(conn, erasures_of(events))


def erasures_of(events: Sequence[CustomerErased]) -> list[tuple[UUID, UUID, datetime]]:
    return [(event.cafe_id, event.customer_id, event.occurred_at) for event in events]


async def on_consent_changed(conn: Connection, events: Sequence[ConsentChanged]) -> None:
    """Keeps guests' latest word. From this commit on no decision is made on an older one."""
    await contacts.keep_consents(
        conn,
        [
            Consent(e.cafe_id, e.customer_id, e.channel, e.purpose, e.granted, e.occurred_at, e.source)
            for e in events
        ],
    )  # fmt: skip


async def on_segment_list_changed(conn: Connection, events: Sequence[SegmentListChanged]) -> None:
    """Keeps which segments cafes have."""
    await segments.keep_segments(
        conn,
        [
            SegmentList(
                cafe_id=e.cafe_id,
                keys=[each.segment_key for each in e.segments if each.is_active],
                off_keys=[each.segment_key for each in e.segments if not each.is_active],
                at=e.occurred_at,
            )
            for e in events
        ],
    )


async def on_segment_left(conn: Connection, events: Sequence[SegmentLeft]) -> None:
    """Ends memberships."""
    await keep_moves(conn, events)


async def keep_moves(conn: Connection, events: Sequence[SegmentEntered | SegmentLeft]) -> None:
    """Keeps the latest word about who is in which segment."""
    await segments.keep_members(
        conn,
        [
            Membership(
                e.cafe_id, e.segment_key, e.customer_id, e.segment_id, isinstance(e, SegmentEntered), e.occurred_at,
                e.reason,
            )
            for e in events
        ],
    )  # fmt: skip


async def on_case_closed(conn: Connection, events: Sequence[CaseClosed]) -> None:
    """Keeps that a case ended."""
    await keep_cases(conn, events)


async def keep_cases(conn: Connection, events: Sequence[CaseOpened | CaseClosed]) -> None:
    """Keeps whose complaints are open: from this commit on they are sent no advertising until these are closed."""
    words = [
        CaseWord(e.cafe_id, e.customer_id, e.case_id, opened_at=e.occurred_at)
        if isinstance(e, CaseOpened)
        else CaseWord(e.cafe_id, e.customer_id, e.case_id, closed_at=e.occurred_at)
        for e in events
        if e.customer_id is not None
    ]
    if words:
        await contacts.lock_contacts(conn, [(word.cafe_id, word.customer_id) for word in words])
        await complaints.keep(conn, words)
