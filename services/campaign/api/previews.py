"""What a campaign would do, before it does."""

from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from services.campaign.api.acting import acting
from services.campaign.handlers import previewing, testing
from services.campaign.models.bodies import TryCampaign
from shared.database import db
from shared.inputs.amounts import Money, Priced
from shared.security.access import ask_alone
from shared.web.dependencies import StaffCaller
from shared.web.documents import problems

router = APIRouter(prefix="/cafes/{cafe_id}/campaigns", tags=["campaigns"])


class NotReachedView(BaseModel):
    """Guests who would not be sent it, for one reason."""

    model_config = ConfigDict(from_attributes=True)

    reason: str
    guests: int
    en: str
    fa: str


class SampleView(BaseModel):
    """The message to one guest."""

    model_config = ConfigDict(from_attributes=True)

    customer_id: UUID
    phone_ends_with: str
    text: str
    parts: int


class PreviewView(Priced):
    """What would be sent now, to how many, and what it would cost, by the longest of the samples. Hours, caps and
    accounts are asked about when it is sent."""

    model_config = ConfigDict(from_attributes=True)

    guests: int
    reached: int
    not_reached: list[NotReachedView]
    samples: list[SampleView]
    parts: int
    cost_of_one: Money
    cost: Money
    is_affordable: bool


class TryView(BaseModel):
    """The message that was queued; the campaign's trail names it."""

    delivery_id: UUID


@router.post("/{campaign_id}/test", status_code=202, responses=problems(409, 429))
async def try_out(
    request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID, body: TryCampaign
) -> TryView:
    """Sends the message to a mobile of whoever asks, some times a day; it is paid like any other. For managers."""
    config, pool = request.app.state.settings, request.app.state.pool
    async with acting(request, caller, cafe_id, "manager") as conn:
        allowed = await testing.allow(conn, config, cafe_id, campaign_id, caller.user_id, body.phone)
    # Staff's own rights do not reach messages.
    async with db.transaction(pool) as conn:
        await testing.queue(conn, allowed)
    return TryView(delivery_id=allowed.message.id)


@router.post("/{campaign_id}/preview", responses=problems(409, 429))
async def preview(request: Request, caller: StaffCaller, cafe_id: UUID, campaign_id: UUID) -> PreviewView:
    """Who would be sent it now and who not, what five of them would read, and what it would cost. One at a time in a
    cafe. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await ask_alone(conn, cafe_id)
        found = await previewing.preview(conn, request.app.state.settings, cafe_id, campaign_id)
    return PreviewView.model_validate(found)
