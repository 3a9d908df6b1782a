"""One-off campaigns: written by one person, approved by another, started by their date."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from services.campaign.models.bodies import WriteCampaign
from services.campaign.rules import template
from services.campaign.rules.deciding import in_priority
from services.campaign.rules.parts import count_parts
from services.campaign.store import campaigns, providers
from services.campaign.store.campaigns import NewCampaign
from shared.clock import new_id, now
from shared.db import Connection
from shared.errors import NotFound, Rejected

# An approval that comes later than this finds the occasion gone.
OVERDUE: Final = timedelta(hours=1)


async def write_draft(conn: Connection, cafe_id: UUID, author: UUID, body: WriteCampaign) -> UUID:
    """Adds a draft.

    Raises `Rejected` for a channel that nothing sends on yet, or a text that asks for something unknown.
    """
    new = _checked(cafe_id, new_id(), author, body)
    await campaigns.insert(conn, new, now())
    return new.id


async def replace_draft(conn: Connection, cafe_id: UUID, campaign_id: UUID, author: UUID, body: WriteCampaign) -> None:
    """Replaces a draft whole.

    Raises `NotFound`, `Rejected` (409) when it is no draft any more, and as `write_draft`.
    """
    await _in_status(conn, cafe_id, campaign_id, "draft")
    await campaigns.replace(conn, _checked(cafe_id, campaign_id, author, body), now())


async def schedule(conn: Connection, cafe_id: UUID, campaign_id: UUID, when: datetime) -> None:
    """Sets the date and estimates recipients and cost. It starts only once somebody else has approved it.

    Raises `NotFound`, and `Rejected` for a date in the past or a campaign that has started.
    """
    campaign = await _in_status(conn, cafe_id, campaign_id, "draft", "scheduled")
    moment = now()
    if when < moment:
        raise Rejected("date_passed", "The date has passed.", "این زمان گذشته است.")
    target = campaign["target_segment"].get("segments")
    recipients = await campaigns.count_recipients(conn, cafe_id, target, campaign["purpose"])
    cost = recipients * await _cost_of_one(conn, cafe_id, campaign)
    await campaigns.move(conn, cafe_id, campaign_id, ("draft", "scheduled"), "scheduled", moment)
    await campaigns.schedule(conn, cafe_id, campaign_id, when, recipients, cost, moment)


async def approve(conn: Connection, cafe_id: UUID, campaign_id: UUID, approver: UUID) -> None:
    """Lets a scheduled campaign start.

    Raises `NotFound`, and `Rejected`: 403 to its author, 409 when it is not scheduled or its date is long past.
    """
    campaign = await _in_status(conn, cafe_id, campaign_id, "scheduled")
    if campaign["created_by"] == approver:
        raise Rejected(
            "own_campaign",
            "Somebody other than the author must approve.",
            "کسی جز نویسنده باید تأیید کند.",
            status=403,
        )
    if campaign["scheduled_date"] < now() - OVERDUE:
        raise Rejected(
            "date_passed",
            "The date has passed; schedule it anew.",
            "زمان آن گذشته است؛ دوباره زمان‌بندی کنید.",
            status=409,
        )
    await campaigns.approve(conn, cafe_id, campaign_id, approver, now())


async def cancel(conn: Connection, cafe_id: UUID, campaign_id: UUID) -> None:
    """Stops a campaign; what a provider already has can't be taken back.

    Raises `NotFound`, and `Rejected` (409) when it has ended or belongs to a journey.
    """
    await _in_status(conn, cafe_id, campaign_id, "draft", "scheduled", "sending")
    await campaigns.move(conn, cafe_id, campaign_id, ("draft", "scheduled", "sending"), "cancelled", now())


async def show(conn: Connection, cafe_id: UUID, campaign_id: UUID) -> dict[str, Any]:
    """One campaign.

    Raises `NotFound`.
    """
    found = await campaigns.get(conn, cafe_id, campaign_id)
    if found is None:
        raise NotFound("campaign", "این کمپین")
    return found


async def _in_status(conn: Connection, cafe_id: UUID, campaign_id: UUID, *allowed: str) -> dict[str, Any]:
    found = await show(conn, cafe_id, campaign_id)
    if found["status"] not in allowed or found["journey_id"] is not None:
        raise Rejected(
            "wrong_status",
            f"The campaign is {found['status']}; this needs {' or '.join(allowed)}.",
            "وضعیت کمپین اجازهٔ این کار را نمی‌دهد.",
            status=409,
        )
    return found


def _checked(cafe_id: UUID, campaign_id: UUID, author: UUID, body: WriteCampaign) -> NewCampaign:
    if body.campaign_type != "sms":
        raise Rejected("channel_unavailable", "Only SMS can be sent yet.", "هنوز تنها پیامک فرستاده می‌شود.", status=422)
    return NewCampaign(
        cafe_id=cafe_id,
        id=campaign_id,
        name=body.name,
        description=body.description,
        purpose=body.purpose,
        ignores_quiet_hours=body.ignores_quiet_hours,
        target_segment={"everyone": True} if body.target.everyone else {"segments": body.target.segments},
        template=template.check_template(body.template, body.fallbacks, template.VARIABLES[None]),
        fallbacks=body.fallbacks,
        budget=body.budget,
        created_by=author,
    )


async def _cost_of_one(conn: Connection, cafe_id: UUID, campaign: dict[str, Any]) -> Decimal:
    cafes = await providers.cafe_rules(conn, [cafe_id])
    values = {"cafe": cafes[cafe_id].name if cafe_id in cafes else None}
    text = template.render(campaign["template_content"], values, campaign["template_variables"])
    parts = count_parts(template.with_stop_line(text, campaign["purpose"]))
    prices = in_priority(await providers.of_cafe(conn, cafe_id))
    return parts * prices[0].cost_per_sms if prices else Decimal(0)
