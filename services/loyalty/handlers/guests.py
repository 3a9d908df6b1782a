"""What every use case does around its own decision: plans and accounts in, outcomes out."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.models.accounts import Account, Entry, Lot, Outcome, Plan, Redemption, Standing
from services.loyalty.rules import programs as program_rules
from services.loyalty.rules import tiers
from services.loyalty.store import accounts, ledger, programs, redemptions, visits
from shared import outbox
from shared.db import Connection
from shared.events.base import Event
from shared.events.loyalty import (
    PointsChanged,
    RedemptionCompleted,
    RedemptionRefused,
    RedemptionReversed,
    TierChanged,
)
from shared.writes import write

# Shown to guests and staff as they are.
DESCRIPTIONS = {
    "earned_purchase": "امتیاز خرید",
    "earned_bonus": "امتیاز هدیه",
    "earned_referral": "امتیاز معرفی",
    "earned_birthday": "امتیاز تولد",
    "redeemed_discount": "استفاده از امتیاز برای تخفیف",
    "redeemed_item": "استفاده از امتیاز برای کالا",
    "adjustment_add": "افزایش دستی امتیاز",
    "adjustment_subtract": "کاهش دستی امتیاز",
    "expired": "پایان مهلت امتیاز",
    "corrected": "اصلاح امتیاز خرید",
    "voided": "ابطال خرید",
    "recounted": "بازشماری امتیاز خرید",
    "given_back": "بازگشت امتیاز استفاده‌شده",
    "forgiven": "بخشش بدهی امتیاز",
}


async def plans_of(conn: Connection, cafe_ids: Collection[UUID]) -> dict[UUID, Plan]:
    """The plan of each cafe, also of one whose own event is still on its way."""
    stored = await programs.load_plans(conn, cafe_ids)
    return {
        cafe_id: program_rules.plan(
            plan.time_zone, plan.calendar, [(each.version, each.valid_from, each.rules) for each in plan.programs]
        )
        for cafe_id, plan in stored.items()
    }


def ranked(plan: Plan, account: Account, standing: Standing, moment: datetime) -> Account:
    """The account with `standing`, and the tier that it means at `moment`; a new tier makes a new version."""
    rank = tiers.rank(plan, standing, moment)
    return replace(account, standing=standing, rank=rank, version=account.version + (rank.tier != account.rank.tier))


def tier_change(
    before: Account, after: Account, moment: datetime, about: Mapping[str, Any], visit_at: datetime | None = None
) -> list[Event]:
    """`tier.changed` when it did. `about` ties it to what caused it; `visit_at` when new visits did it alone."""
    rank = after.rank
    if rank.tier == before.rank.tier:
        return []
    return [
        TierChanged(
            cafe_id=after.cafe_id,
            customer_id=after.customer_id,
            occurred_at=moment,
            tier=rank.tier,
            previous_tier=before.rank.tier,
            starts_on=rank.since or moment.date(),
            expires_on=rank.until,
            account_version=after.version,
            visit_at=visit_at,
            **about,
        )
    ]


def points_change(account: Account, entry: Entry, visit_at: datetime | None, about: Mapping[str, Any]) -> PointsChanged:
    """`points.changed` for a row of the ledger that is not the points of a visit."""
    draft = entry.draft
    return PointsChanged(
        cafe_id=account.cafe_id,
        customer_id=account.customer_id,
        occurred_at=draft.occurred_at,
        transaction_id=draft.entry_id,
        transaction_type=draft.type,
        points_change=draft.change,
        balance_after=entry.balance_after,
        account_version=entry.account_version,
        visit_id=draft.visit_id,
        visit_at=visit_at,
        redemption_id=draft.redemption_id,
        **about,
    )


def redemption_event(
    redemption: Redemption, visit_at: datetime | None, moment: datetime, about: Mapping[str, Any]
) -> Event:
    """What became of a redemption; said again when the visit it belongs to becomes known."""
    fields: dict[str, Any] = {
        "cafe_id": redemption.cafe_id,
        "customer_id": redemption.customer_id,
        "occurred_at": moment,
        "redemption_id": redemption.redemption_id,
        "points": redemption.points,
        "visit_id": redemption.visit_id,
        "visit_at": visit_at,
        **about,
    }
    if redemption.state == "refused":
        return RedemptionRefused(reason=redemption.refusal or "", **fields)
    return (RedemptionCompleted if redemption.state == "completed" else RedemptionReversed)(**fields)


def changed_lots(before: Mapping[UUID, Lot], after: Mapping[UUID, Lot]) -> list[Lot]:
    """The lots that are to be written."""
    return [lot for lot_id, lot in after.items() if before.get(lot_id) != lot]


async def save(conn: Connection, outcomes: Sequence[Outcome]) -> None:
    """Writes everything about guests whose accounts the caller has locked; a statement for any number, and one more
    for redemptions."""
    await redemptions.save(conn, outcomes)
    with accounts.opening():
        await write(
            conn,
            *accounts.saving(outcomes),
            ledger.adding_purchases(outcomes, DESCRIPTIONS["earned_purchase"]),
            ledger.appending(outcomes),
            ledger.saving_lots(outcomes),
            visits.saving(outcomes),
            outbox.emitting([event for outcome in outcomes for event in outcome.events]),
        )
