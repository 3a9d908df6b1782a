"""What others hear of a guest's points, tier and redemptions, and the words that people read beside them."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import uuid5

from services.loyalty.models.accounts import Account, LedgerEntry, Redemption
from services.loyalty.models.cards import Voucher
from services.loyalty.rules.counting import CountedChange
from shared.events.base import Event
from shared.events.loyalty import (
    CardCompleted,
    PointsChanged,
    PointsEarned,
    RedemptionCompleted,
    RedemptionRefused,
    RedemptionReversed,
    TierChanged,
)

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
    "opening": "موجودی آغازین امتیاز",
    "taken_back": "بازپس‌گیری امتیاز هدیه",
}


def tier_change(
    before: Account, after: Account, moment: datetime, about: Mapping[str, Any], visit_at: datetime | None = None
) -> list[Event]:
    """`tier.changed`, if the tier did. `about` holds the ids of its cause; `visit_at` is there when new visits alone
    did it."""
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


def points_earned(
    account: Account, entry: LedgerEntry, change: CountedChange, about: Mapping[str, Any], *, is_new: bool
) -> PointsEarned:
    """`points.earned` for what a visit counts for; `is_new` when it was not known before."""
    visit, earning = change.after.visit, change.after.earning
    by = earning or (change.before.earning if change.before else None)
    assert by is not None
    return PointsEarned(
        cafe_id=account.cafe_id,
        customer_id=account.customer_id,
        occurred_at=visit.occurred_at,
        visit_id=visit.visit_id,
        visit_at=visit.occurred_at,
        points=change.after.points,
        points_change=change.points,
        balance_after=entry.balance_after,
        account_version=entry.account_version,
        program_version=by.program_version,
        multiplier=multiplier(by.multiplier),
        is_new=is_new,
        **about,
    )


def points_change(
    account: Account, entry: LedgerEntry, visit_at: datetime | None, about: Mapping[str, Any]
) -> PointsChanged:
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
    if redemption.state == "completed":
        return RedemptionCompleted(reward_id=redemption.reward_id, **fields)
    return RedemptionReversed(**fields)


def card_completed(voucher: Voucher, about: Mapping[str, Any]) -> CardCompleted:
    """`card.completed`: of one card always the same event."""
    return CardCompleted(
        event_id=uuid5(voucher.voucher_id, CardCompleted.type),
        cafe_id=voucher.cafe_id,
        customer_id=voucher.customer_id,
        occurred_at=voucher.earned_at,
        card_key=voucher.card_key,
        number=voucher.number,
        voucher_id=voucher.voucher_id,
        visit_id=voucher.visit_id,
        visit_at=voucher.earned_at,
        expires_at=voucher.expires_at,
        **about,
    )


@lru_cache(maxsize=64)
def multiplier(hundredths: int) -> str:
    """1, 1.2, 1.5: for people."""
    return f"{(Decimal(hundredths) / 100).normalize():f}"
