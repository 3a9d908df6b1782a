"""What other services' events change here."""

from collections.abc import Sequence
from datetime import datetime

from services.visit.handlers import announce, erasure
from services.visit.models.values import GuestKey, VisitKey
from services.visit.store import devices, entries, guests, visits
from shared.consent import Answer
from shared.database.db import Connection
from shared.errors import Poison
from shared.events.customer import ConsentChanged, CustomerErased, CustomerProfiled
from shared.events.feedback import FeedbackReceived
from shared.events.identity import BranchChanged
from shared.events.loyalty import PointsEarned, RedemptionCompleted, RedemptionRefused, RedemptionReversed
from shared.inputs.bounds import within
from shared.messaging.outbox import emit
from shared.security.crypto import CannotUnseal, Keys, phone_hash, unseal


async def on_points_earned(conn: Connection, events: Sequence[PointsEarned]) -> None:
    """Writes what each visit earned, the newest state of its guest's account."""
    newest: dict[VisitKey, PointsEarned] = {}
    for event in events:
        key = event.cafe_id, event.visit_id
        if key not in newest or newest[key].account_version < event.account_version:
            newest[key] = event
    dates = {key: event.visit_at for key, event in newest.items()}
    points = {key: (within(event.points), event.account_version) for key, event in newest.items()}
    await visits.set_points(conn, dates, points)


async def on_redemption_completed(conn: Connection, events: Sequence[RedemptionCompleted]) -> None:
    """Adds what was redeemed at each visit."""
    await _add_redeemed(conn, events, 1)


async def on_redemption_reversed(conn: Connection, events: Sequence[RedemptionReversed]) -> None:
    """Takes back what was redeemed at each visit."""
    await _add_redeemed(conn, events, -1)


async def on_redemption_refused(conn: Connection, events: Sequence[RedemptionRefused]) -> None:
    """Notes at each visit that what it asks for was refused, and why, for the till to see."""
    refused = {(event.cafe_id, event.visit_id): event for event in events if event.visit_id}
    dates = {key: event.visit_at for key, event in refused.items()}
    await visits.set_refusal(conn, dates, {key: (event.reason,) for key, event in refused.items()})


async def _add_redeemed(
    conn: Connection, events: Sequence[RedemptionCompleted] | Sequence[RedemptionReversed], sign: int
) -> None:
    sums: dict[VisitKey, int] = {}
    dates: dict[VisitKey, datetime | None] = {}
    for event in events:
        if event.visit_id:
            key = event.cafe_id, event.visit_id
            sums[key] = sums.get(key, 0) + sign * event.points
            dates[key] = event.visit_at
    await visits.add_redeemed(conn, dates, {key: (within(points),) for key, points in sums.items()})


async def on_feedback_received(conn: Connection, events: Sequence[FeedbackReceived]) -> None:
    """Writes the latest rating of each visit. The comment stays with the feedback; here only that there is one."""
    latest: dict[VisitKey, FeedbackReceived] = {}
    for event in events:
        if event.visit_id is None:
            continue
        key = event.cafe_id, event.visit_id
        if key not in latest or latest[key].occurred_at < event.occurred_at:
            latest[key] = event
    dates = {key: event.visit_at for key, event in latest.items()}
    ratings = {
        key: (event.overall_rating, event.has_comment, event.occurred_at, event.categories)
        for key, event in latest.items()
    }
    await visits.set_rating(conn, dates, ratings)


async def on_customer_profiled(conn: Connection, events: Sequence[CustomerProfiled], *, keys: Keys) -> None:
    """Learns whose a number is.

    Raises `Poison` when the number can't be read: that profile is parked.
    """
    await guests.profile(conn, [_profile(event, keys) for event in events])


def _profile(event: CustomerProfiled, keys: Keys) -> guests.ProfileRow:
    try:
        phone = unseal(keys, event.phone_sealed, table="customer.profiles", column="phone", row=event.customer_id)
    except CannotUnseal as error:
        raise Poison("cannot_unseal", str(error)) from error
    digest = phone_hash(keys, event.cafe_id, phone)
    return event.cafe_id, digest, event.customer_id, event.name_sealed is not None, event.recorded_at


async def on_customer_erased(conn: Connection, events: Sequence[CustomerErased], *, keys: Keys) -> None:
    """Forgets whose number it was and what was written about the guest; amounts and days stay. What waits for a second
    person is off."""
    erasures = [(event.cafe_id, event.customer_id, event.occurred_at) for event in events]
    await erasure.forget(conn, erasures, keys=keys)
    await entries.forget(conn, [(event.cafe_id, event.customer_id) for event in events])


async def on_consent_changed(conn: Connection, events: Sequence[ConsentChanged]) -> None:
    """Keeps what guests answered elsewhere. Publishes a till's unpublished no if it is later than such a yes."""
    answers: dict[GuestKey, Answer] = {}
    for event in events:
        if (event.channel, event.purpose) == ("sms", "marketing"):
            key, answer = (event.cafe_id, event.customer_id), Answer(event.granted, event.source, event.occurred_at)
            if key not in answers or answers[key].rank < answer.rank:
                answers[key] = answer
    if answers:
        refused = await guests.keep_answers(conn, answers)
        await emit(conn, [announce.refused(guest, at) for guest, at in refused])


async def on_branch_changed(conn: Connection, events: Sequence[BranchChanged]) -> None:
    """Keeps the codes that tills may name."""
    await devices.keep_branches(conn, events)
