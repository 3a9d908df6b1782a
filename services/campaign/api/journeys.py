"""Journeys, what guests got and why, and the library of texts."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from services.campaign.api.acting import acting
from services.campaign.handlers import staff, texts
from services.campaign.models import CampaignType, Purpose, Reentry, StartReason, TextState, Trigger
from services.campaign.models.bodies import ChangeJourney, WriteTemplate
from shared.inputs.amounts import Money, Priced
from shared.inputs.fields import PageSize, Version
from shared.persian.money import Unit
from shared.security.approval import Decide, Waiting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["journeys"])

LISTED_AT_MOST = 200


class RemarkView(BaseModel):
    """Something that whoever wrote a text should look at."""

    model_config = ConfigDict(from_attributes=True)

    code: str
    en: str
    fa: str


class TextView(Priced):
    """A version of what a journey says and may spend, in `currency_unit`."""

    model_config = ConfigDict(from_attributes=True)

    currency_unit: Unit = "IRR"
    version: int
    state: TextState
    template_content: str
    template_variables: dict[str, str]
    ignores_quiet_hours: bool
    starts_on: list[StartReason] | None
    budget: Money | None
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None


class JourneyView(Priced):
    """A journey, its text, the one that waits for a second person, and what it has sent; costs in `currency_unit`. The
    warnings are about the text that waits, or else the one in force. A journey about a segment takes guests who entered
    it for a reason in `starts_on`, and by `reentry` once, again after `reentry_days`, or once per stay."""

    model_config = ConfigDict(from_attributes=True)

    currency_unit: Unit = "IRR"
    id: UUID
    journey_key: str
    name: str
    trigger: Trigger
    segment_key: str | None
    delay_minutes: int
    max_age_minutes: int
    starts_on: list[StartReason]
    reentry: Reentry
    reentry_days: int | None
    is_active: bool
    campaign_id: UUID
    purpose: Purpose
    ignores_quiet_hours: bool
    template_content: str
    template_variables: dict[str, str]
    budget: Money | None
    actual_cost: Money
    cost_per_message: Money | None
    messages_sent: int
    messages_delivered: int
    messages_failed: int
    messages_opened: int
    sent_date: datetime | None
    version: int
    waiting: TextView | None
    warnings: list[RemarkView]


class CheckView(BaseModel):
    """One question asked before sending."""

    check: str
    passed: bool
    detail: dict[str, Any]


class DecisionView(BaseModel):
    """One decision, with the checks up to the one that decided."""

    decided_at: datetime
    outcome: Literal["send", "hold", "skip"]
    reason: str
    hold_until: datetime | None
    checks: list[CheckView]


class MessageView(Priced):
    """One message to the guest. Its words are not shown: they hold the guest's own link. Amounts, also those of its
    checks, are in `currency_unit`."""

    id: UUID
    campaign_id: UUID
    campaign: str
    purpose: Purpose
    trigger_id: UUID
    visit_id: UUID | None
    message_content: str
    delivery_status: str
    delivery_attempts: int
    queued_at: datetime
    due_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None
    failed_at: datetime | None
    error_code: str | None
    error_message: str | None
    message_cost: Money | None
    parts: int | None
    provider_name: str | None
    link_clicks: int
    reply_received: bool
    is_test: bool
    decisions: list[DecisionView]


class RunView(BaseModel):
    """One way through a journey, also one that was taken back or began too late: `en` and `fa` say why."""

    journey_key: str
    trigger_id: UUID
    occurred_at: datetime
    due_at: datetime
    state: str
    reason: str | None
    en: str | None
    fa: str | None


class NotBegunView(BaseModel):
    """A journey about a segment that the guest is in, and that this stay did not start: `reason` is why the guest
    entered ("unknown" from before it was kept)."""

    journey_key: str
    segment_key: str
    entered_at: datetime
    reason: str
    en: str
    fa: str


class GuestView(BaseModel):
    """Why a guest got what they got, and why not."""

    runs: list[RunView]
    not_begun: list[NotBegunView]
    messages: list[MessageView]


class TemplateView(BaseModel):
    """A text of the library."""

    id: UUID
    name: str
    template_type: CampaignType
    content: str
    variables: dict[str, str]
    category: str | None
    is_system_template: bool
    created_at: datetime
    warnings: list[RemarkView]


class Created(BaseModel):
    """The id of what was added."""

    id: UUID


@router.get("/journeys")
async def list_journeys(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[JourneyView]:
    """What is sent by itself."""
    async with acting(request, caller, cafe_id) as conn:
        return [JourneyView.model_validate(row) for row in await texts.list_journeys(conn, cafe_id)]


@router.patch("/journeys/{journey_id}", responses={202: {"model": JourneyView}})
async def change_journey(
    request: Request, response: Response, caller: StaffCaller, cafe_id: UUID, journey_id: UUID, change: ChangeJourney
) -> JourneyView:
    """Switches a journey on or off, or changes its delay, whether it takes guests again, what starts it, its text,
    quiet hours or budget. For managers. 202: what it says, may spend or starts on waits for a second person
    (`waiting`), and the former holds until then."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        changed = JourneyView.model_validate(
            await texts.change_journey(conn, cafe_id, journey_id, caller.user_id, change)
        )
    asks = change.model_fields_set & {"template", "fallbacks", "ignores_quiet_hours", "budget", "starts_on"}
    response.status_code = 202 if asks and changed.waiting else 200
    return changed


@router.get("/journeys/{journey_id}/versions")
async def list_versions(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    journey_id: UUID,
    limit: PageSize = 50,
) -> list[TextView]:
    """What the journey said, says and may say, newest first. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        found = await texts.list_versions(conn, cafe_id, journey_id, limit)
    return [TextView.model_validate(text) for text in found]


@router.post("/journeys/{journey_id}/versions/{version}/decision")
async def decide_version(
    request: Request, caller: StaffCaller, cafe_id: UUID, journey_id: UUID, version: Version, body: Decide
) -> JourneyView:
    """Approves or declines a version that waits. For managers other than its author."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return JourneyView.model_validate(
            await texts.decide(conn, cafe_id, journey_id, version, caller.user_id, approve=body.approve)
        )


@router.get("/approvals")
async def list_approvals(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[Waiting]:
    """What waits for a second person: campaigns and journeys' texts. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await texts.list_waiting(conn, cafe_id, caller.user_id, LISTED_AT_MOST)


@router.get("/guests/{customer_id}/messages")
async def explain_guest(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    customer_id: UUID,
    limit: PageSize = 50,
) -> GuestView:
    """The guest's messages with every decision about them, newest first."""
    async with acting(request, caller, cafe_id) as conn:
        return GuestView(**await staff.explain_guest(conn, cafe_id, customer_id, limit))


@router.get("/templates")
async def list_templates(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[TemplateView]:
    """The cafe's texts, the system's first."""
    async with acting(request, caller, cafe_id) as conn:
        return [TemplateView.model_validate(row) for row in await staff.list_templates(conn, cafe_id)]


@router.post("/templates", status_code=201)
async def add_template(request: Request, caller: StaffCaller, cafe_id: UUID, body: WriteTemplate) -> TemplateView:
    """Adds a text. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        added = await staff.add_template(conn, cafe_id, body)
        (found,) = (row for row in await staff.list_templates(conn, cafe_id) if row["id"] == added)
        return TemplateView.model_validate(found)


@router.put("/templates/{template_id}", status_code=204)
async def replace_template(
    request: Request, caller: StaffCaller, cafe_id: UUID, template_id: UUID, body: WriteTemplate
) -> None:
    """Replaces a text of the cafe's own. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await staff.replace_template(conn, cafe_id, template_id, body)


@router.delete("/templates/{template_id}", status_code=204)
async def remove_template(request: Request, caller: StaffCaller, cafe_id: UUID, template_id: UUID) -> None:
    """Removes a text of the cafe's own. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await staff.remove_template(conn, cafe_id, template_id)
