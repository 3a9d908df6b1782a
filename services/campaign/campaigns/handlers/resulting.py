"""What became of a one-off campaign: its funnel, whose steps add up at every moment, and the messages behind them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from services.campaign.campaigns.handlers import campaigns
from services.campaign.campaigns.models.values import DeliveryState, MessageBookmark
from services.campaign.campaigns.rules import bookmarks
from services.campaign.campaigns.rules.campaigns import lapses_at
from services.campaign.campaigns.store import deliveries
from services.campaign.messages.rules.funnel import Funnel, funnel_of
from services.campaign.messages.rules.results import in_both
from services.campaign.messages.store import results
from shared.clock import now
from shared.database.db import Connection
from shared.errors import Rejected


@dataclass(frozen=True)
class CampaignResults:
    """What became of it until `as_of`, costs in Rial. `is_growing`: guests are still being taken up."""

    as_of: datetime
    is_growing: bool
    estimated_recipients: int | None
    lapses_at: datetime | None
    funnel: Funnel
    actual_cost: Decimal
    reserved_cost: Decimal
    budget: Decimal | None
    cost_per_message: Decimal | None
    currency_unit: Literal["IRR"] = "IRR"


async def results_of(conn: Connection, cafe_id: UUID, campaign_id: UUID) -> CampaignResults:
    """What became of it until now: read from what is counted with every change, whatever its size.

    Raises `NotFound`, and `Rejected` (409) for the standing campaign of a journey, and while it is being counted anew.
    """
    campaign = await campaigns.show_one_off(conn, cafe_id, campaign_id)
    if not campaign["is_counted"]:
        en = "The campaign is being counted anew; ask again in some minutes."
        raise Rejected("being_counted", en, "این کمپین دوباره شمرده می‌شود؛ چند دقیقهٔ دیگر ببینید.", status=409)
    ended = (await results.of_campaigns(conn, cafe_id, [campaign_id])).get(campaign_id, [])
    return CampaignResults(
        as_of=now(),
        is_growing=campaign["status"] in ("scheduled", "sending") and campaign["expanded_at"] is None,
        estimated_recipients=campaign["estimated_recipients"],
        lapses_at=lapses_at(campaign),
        funnel=funnel_of(campaign, ended),
        actual_cost=campaign["actual_cost"],
        reserved_cost=campaign["reserved_cost"],
        budget=campaign["budget"],
        cost_per_message=campaign["cost_per_message"],
    )


async def require_deliveries(
    conn: Connection, cafe_id: UUID, campaign_id: UUID, status: DeliveryState | None, reason: str | None
) -> None:
    """Does nothing where there is such a list.

    Raises `NotFound`, and `Rejected`: 409 for the standing campaign of a journey, 422 for a reason without a state.
    """
    await campaigns.show_one_off(conn, cafe_id, campaign_id, lock=False)
    if reason is not None and status in (None, "returned", "replied"):
        en, fa = (
            "A reason is asked for together with a status that has reasons.",
            "دلیل را با وضعیتی بخواهید که دلیل دارد.",
        )
        raise Rejected("reason_without_status", en, fa, status=422)


async def list_deliveries(
    conn: Connection, cafe_id: UUID, campaign_id: UUID, status: DeliveryState | None, reason: str | None,
    after: str | None, limit: int,
) -> tuple[list[dict[str, Any]], str | None]:  # fmt: skip
    """A page of its messages, and the word for the next. As the service itself, in a cafe where the person's role was
    asked for: behind row level security PostgreSQL would not use the index for what it looks for.

    Raises `Rejected` (422) for a word that is none of this list.
    """
    start = MessageBookmark("", UUID(int=0)) if after is None else bookmarks.read(after, status, reason)
    rows = await deliveries.of_campaign(conn, cafe_id, campaign_id, status, reason, start, limit)
    shown = [_shown(dict(row)) for row in rows]
    if len(rows) < limit:
        return shown, None
    return shown, bookmarks.written(MessageBookmark(rows[-1]["reason"], rows[-1]["customer_id"]), status, reason)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    reason = row["reason"] or None
    return row | {"reason": reason} | in_both(reason)
