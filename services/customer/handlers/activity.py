"""Reactions to what other services say about a guest: visits, points, tier, ratings."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from services.customer.handlers.evaluating import reevaluate
from services.customer.models.values import Cause, GuestKey, Revision, Sums
from services.customer.rules.causes import cause_of, causes_of
from services.customer.store import activity, customers, ratings
from shared import clock
from shared.database.db import Connection
from shared.events.base import CurrencyUnit, Event
from shared.events.feedback import FeedbackReceived
from shared.events.loyalty import PointsChanged, PointsEarned, TierChanged
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.persian.money import in_unit, rounded


async def on_visit_recorded(conn: Connection, events: Sequence[VisitRecorded], *, now: datetime | None = None) -> None:
    """Adds the visits to their guests' sums and evaluates the guests again."""
    now = now or clock.now()
    known, begin_otherwise = await _add(conn, events, now)
    await _begin_with_bills(conn, begin_otherwise)
    await reevaluate(conn, _causes(events, known), now=now)


async def on_visit_claimed(conn: Connection, events: Sequence[VisitClaimed], *, now: datetime | None = None) -> None:
    """Adds visits that were nobody's, as corrections: what somebody says later about a bill begins no journey."""
    now = now or clock.now()
    changes = await ratings.claim(conn, events)
    known, begin_otherwise = await _add(conn, events, now)
    if changes:
        await activity.add_ratings(conn, changes)
    await _begin_with_bills(conn, begin_otherwise)
    await reevaluate(conn, _causes(events, known), now=now)


async def keep_claimed(
    conn: Connection, events: Sequence[VisitClaimed], now: datetime | None = None
) -> dict[GuestKey, Event]:
    """Adds the visits, and what nobody said about them, to the guests' sums."""
    if changes := await ratings.claim(conn, events):
        await activity.add_ratings(conn, changes)
    return await keep_recorded(conn, events, now)


async def keep_recorded(
    conn: Connection, events: Sequence[VisitRecorded], now: datetime | None = None
) -> dict[GuestKey, Event]:
    """Adds the visits to their guests' sums. Returns the guests to evaluate, as all the others here do."""
    return (await _add(conn, events, now or clock.now()))[0]


async def _add(
    conn: Connection, events: Sequence[VisitRecorded], now: datetime
) -> tuple[dict[GuestKey, Event], list[GuestKey]]:
    known = [(GuestKey(event.cafe_id, event.customer_id), event) for event in events if event.customer_id]
    visits = [Sums(guest, event.occurred_at, _toman(event.final_amount, event.currency_unit)) for guest, event in known]
    return dict(known), await activity.add_visits(conn, visits, now) if visits else []


async def on_visit_corrected(
    conn: Connection, events: Sequence[VisitCorrected], *, now: datetime | None = None
) -> None:
    """Replaces what the visits added before by what they are now."""
    now = now or clock.now()
    touched = await keep_corrected(conn, events, now)
    await _begin_with_bills(conn, touched)
    await reevaluate(conn, _causes(events, touched), now=now)


async def keep_corrected(
    conn: Connection, events: Sequence[VisitCorrected], now: datetime | None = None
) -> dict[GuestKey, Event]:
    """Replaces what the visits added before by what they are now."""
    known = [(GuestKey(event.cafe_id, event.customer_id), event) for event in events if event.customer_id]
    revisions = [
        Revision(
            guest=guest,
            visits=0,
            spent=_toman(event.final_amount, event.currency_unit)
            - _toman(event.previous_final_amount, event.previous_currency_unit),
            removed_at=event.previous_occurred_at,
            added_at=event.occurred_at,
            first_at=event.first_visit_at,
            last_at=event.last_visit_at,
        )
        for guest, event in known
    ]
    if known:
        await activity.lock(conn, [guest for guest, _ in known])
        await activity.revise_visits(conn, revisions, now or clock.now())
    return dict(known)


async def on_visit_voided(conn: Connection, events: Sequence[VisitVoided], *, now: datetime | None = None) -> None:
    """Takes the visits out of their guests' sums."""
    now = now or clock.now()
    touched = await keep_voided(conn, events, now)
    await _begin_with_bills(conn, touched)
    await reevaluate(conn, _causes(events, touched), now=now)


async def keep_voided(
    conn: Connection, events: Sequence[VisitVoided], now: datetime | None = None
) -> dict[GuestKey, Event]:
    """Takes the visits out of their guests' sums, and their ratings out of the averages."""
    changes = await ratings.void(conn, events)
    known = [(GuestKey(event.cafe_id, event.customer_id), event) for event in events if event.customer_id]
    revisions = [
        Revision(
            guest=guest,
            visits=-1,
            spent=-_toman(event.final_amount, event.currency_unit),
            removed_at=event.occurred_at,
            added_at=None,
            first_at=event.first_visit_at,
            last_at=event.last_visit_at,
        )
        for guest, event in known
    ]
    touched = [*(guest for guest, _ in known), *(change.guest for change in changes)]
    if touched:
        await activity.lock(conn, touched)
    if known:
        await activity.revise_visits(conn, revisions, now or clock.now())
    if changes:
        await activity.add_ratings(conn, changes)
    return _said_of(changes, events) | dict(known)


async def on_points_changed(
    conn: Connection, events: Sequence[PointsEarned | PointsChanged], *, now: datetime | None = None
) -> None:
    """Keeps the newest balance of each guest."""
    touched, now = await keep_points(conn, events), now or clock.now()
    await reevaluate(conn, _causes(events, touched), now=now, changed=("points",))


async def keep_points(conn: Connection, events: Sequence[PointsEarned | PointsChanged]) -> dict[GuestKey, Event]:
    """Keeps the newest balance of each guest."""
    guests = [GuestKey(event.cafe_id, event.customer_id) for event in events]
    balances, versions = [event.balance_after for event in events], [event.account_version for event in events]
    await activity.set_points(conn, guests, balances, versions)
    return dict(zip(guests, events, strict=True))


async def on_tier_changed(conn: Connection, events: Sequence[TierChanged], *, now: datetime | None = None) -> None:
    """Keeps the newest tier of each guest."""
    touched, now = await keep_tiers(conn, events), now or clock.now()
    await reevaluate(conn, _causes(events, touched), now=now, changed=("tier_level",))


async def keep_tiers(conn: Connection, events: Sequence[TierChanged]) -> dict[GuestKey, Event]:
    """Keeps the newest tier of each guest."""
    guests = [GuestKey(event.cafe_id, event.customer_id) for event in events]
    tiers, versions = [event.tier for event in events], [event.account_version for event in events]
    await activity.set_tier(conn, guests, tiers, versions)
    return dict(zip(guests, events, strict=True))


async def on_feedback_received(
    conn: Connection, events: Sequence[FeedbackReceived], *, now: datetime | None = None
) -> None:
    """Adds the ratings to their guests' averages."""
    touched, now = await keep_ratings(conn, events), now or clock.now()
    await reevaluate(conn, _causes(events, touched), now=now, changed=("avg_rating", "rating_count"))


async def keep_ratings(conn: Connection, events: Sequence[FeedbackReceived]) -> dict[GuestKey, Event]:
    """Adds the ratings to their guests' averages, unless their visits were voided."""
    changes = await ratings.add(conn, events)
    if changes:
        await activity.add_ratings(conn, changes)
    return _said_of(changes, events)


def _said_of(
    changes: Sequence[ratings.RatingChange], events: Sequence[FeedbackReceived] | Sequence[VisitVoided]
) -> dict[GuestKey, Event]:
    """The event that changed each guest's ratings: one that names the guest, or else one about their visit."""
    of_guests = {(event.cafe_id, event.customer_id): event for event in events}
    of_visits = {(event.cafe_id, event.visit_id): event for event in events}
    return {
        change.guest: of_guests.get(change.guest) or of_visits[change.guest.cafe_id, change.visit_id]
        for change in changes
    }


def _causes(events: Sequence[Event], evaluated: Mapping[GuestKey, Event]) -> dict[GuestKey, Cause]:
    """Why these guests are evaluated: an event about the guest, or about a visit that the guest rated."""
    causes = causes_of(events)
    return {guest: causes.get(guest) or cause_of(event) for guest, event in evaluated.items()}


async def _begin_with_bills(conn: Connection, guests: Collection[GuestKey]) -> None:
    if guests:
        await customers.begin_with_bills(conn, guests)


def _toman(amount: Decimal, unit: CurrencyUnit) -> Decimal:
    return rounded(in_unit(amount, unit, "IRT"))
