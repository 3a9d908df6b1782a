"""The library of texts."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.texts import handlers as texts_handlers
from services.campaign.texts.models.http import TemplateView, WriteTemplate
from shared.web.acting import acting
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["journeys"])


@router.get("/templates")
async def list_templates(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[TemplateView]:
    """The cafe's texts, the system's first. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return [TemplateView.model_validate(row) for row in await texts_handlers.list_templates(conn, cafe_id)]


@router.post("/templates", status_code=201)
async def add_template(request: Request, caller: StaffCaller, cafe_id: UUID, body: WriteTemplate) -> TemplateView:
    """Adds a text. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        added = await texts_handlers.add_template(conn, cafe_id, body)
        (found,) = (row for row in await texts_handlers.list_templates(conn, cafe_id) if row["id"] == added)
        return TemplateView.model_validate(found)


@router.put("/templates/{template_id}", status_code=204)
async def replace_template(
    request: Request, caller: StaffCaller, cafe_id: UUID, template_id: UUID, body: WriteTemplate
) -> None:
    """Replaces a text of the cafe's own. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await texts_handlers.replace_template(conn, cafe_id, template_id, body)


@router.delete("/templates/{template_id}", status_code=204)
async def remove_template(request: Request, caller: StaffCaller, cafe_id: UUID, template_id: UUID) -> None:
    """Removes a text of the cafe's own. For managers."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await texts_handlers.remove_template(conn, cafe_id, template_id)
