"""What the console asks about campaigns: of the campaign service, and of the customer service whom they may be for."""

from typing import Any
from uuid import UUID

from services.console.models import campaigns
from services.console.models.session import Access
from services.console.store.upstream import Upstream

SERVICE = "campaign"


async def list_campaigns(up: Upstream, access: Access, cafe_id: UUID, limit: int) -> tuple[campaigns.CampaignRow, ...]:
    """The newest campaigns, the standing ones of journeys too."""
    path = f"/cafes/{cafe_id}/campaigns"
    return await up.get(access, SERVICE, path, tuple[campaigns.CampaignRow, ...], {"limit": limit})


async def find(up: Upstream, access: Access, cafe_id: UUID, campaign_id: UUID) -> campaigns.CampaignRow:
    """One campaign."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/campaigns/{campaign_id}", campaigns.CampaignRow)


async def write(up: Upstream, access: Access, cafe_id: UUID, written: dict[str, Any]) -> campaigns.CampaignRow:
    """A new draft."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/campaigns", campaigns.CampaignRow, written)


async def rewrite(
    up: Upstream, access: Access, cafe_id: UUID, campaign_id: UUID, written: dict[str, Any]
) -> campaigns.CampaignRow:
    """The draft as it is now. Raises `RefusedCall` 409 when somebody else changed it since."""
    path = f"/cafes/{cafe_id}/campaigns/{campaign_id}"
    return await up.send(access, SERVICE, "PUT", path, campaigns.CampaignRow, written)


async def schedule(up: Upstream, access: Access, cafe_id: UUID, campaign_id: UUID) -> campaigns.CampaignRow:
    """Lets it begin when the draft says, or has it wait for approval."""
    path = f"/cafes/{cafe_id}/campaigns/{campaign_id}/schedule"
    return await up.send(access, SERVICE, "POST", path, campaigns.CampaignRow, {"scheduled_date": None})


async def cancel(up: Upstream, access: Access, cafe_id: UUID, campaign_id: UUID) -> campaigns.CampaignRow:
    """Ends it."""
    path = f"/cafes/{cafe_id}/campaigns/{campaign_id}/cancel"
    return await up.send(access, SERVICE, "POST", path, campaigns.CampaignRow)


async def pause(up: Upstream, access: Access, cafe_id: UUID, campaign_id: UUID) -> campaigns.CampaignRow:
    """Lets it rest."""
    path = f"/cafes/{cafe_id}/campaigns/{campaign_id}/pause"
    return await up.send(access, SERVICE, "POST", path, campaigns.CampaignRow)


async def resume(up: Upstream, access: Access, cafe_id: UUID, campaign_id: UUID) -> campaigns.CampaignRow:
    """Lets it go on."""
    path = f"/cafes/{cafe_id}/campaigns/{campaign_id}/resume"
    return await up.send(access, SERVICE, "POST", path, campaigns.CampaignRow)


async def try_out(up: Upstream, access: Access, cafe_id: UUID, campaign_id: UUID, phone: str) -> None:
    """Sends its message to a number of the person's own."""
    path = f"/cafes/{cafe_id}/campaigns/{campaign_id}/test"
    await up.send(access, SERVICE, "POST", path, dict[str, Any], {"phone": phone})


async def preview_draft(
    up: Upstream, access: Access, cafe_id: UUID, drafted: dict[str, Any]
) -> campaigns.CampaignPreview:
    """What a campaign that says so would do now."""
    path = f"/cafes/{cafe_id}/campaigns/preview"
    return await up.send(access, SERVICE, "POST", path, campaigns.CampaignPreview, drafted)


async def results(up: Upstream, access: Access, cafe_id: UUID, campaign_id: UUID) -> campaigns.ResultsOfCampaign:
    """What became of it."""
    path = f"/cafes/{cafe_id}/campaigns/{campaign_id}/results"
    return await up.get(access, SERVICE, path, campaigns.ResultsOfCampaign)


async def deliveries(
    up: Upstream, access: Access, cafe_id: UUID, campaign_id: UUID, wanted: dict[str, Any]
) -> campaigns.DeliveryRows:
    """A page of its messages; `wanted` are the route's own filters."""
    path = f"/cafes/{cafe_id}/campaigns/{campaign_id}/deliveries"
    return await up.get(access, SERVICE, path, campaigns.DeliveryRows, wanted)


async def steps(up: Upstream, access: Access, cafe_id: UUID, campaign_id: UUID) -> tuple[campaigns.TrailStep, ...]:
    """Who did what with it."""
    path = f"/cafes/{cafe_id}/campaigns/{campaign_id}/trail"
    return await up.get(access, SERVICE, path, tuple[campaigns.TrailStep, ...])


async def ready_texts(up: Upstream, access: Access, cafe_id: UUID) -> tuple[campaigns.ReadyText, ...]:
    """The library of texts."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/templates", tuple[campaigns.ReadyText, ...])


async def targets(up: Upstream, access: Access, cafe_id: UUID) -> tuple[campaigns.TargetSegment, ...]:
    """The segments that a campaign may be for."""
    return await up.get(access, "customer", f"/cafes/{cafe_id}/segments", tuple[campaigns.TargetSegment, ...])
