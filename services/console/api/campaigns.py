"""Campaigns: what was sent and what became of it. Writing one is in `drafts`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from services.console.api.files import table_file
from services.console.api.forms import Typed
from services.console.api.rendering import catalogue, go, is_fragment, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import campaigns
from services.console.rules import campaign_tables
from services.console.rules import campaigns as rules
from services.console.rules.sheets import FileKind
from services.console.store import campaigns as store
from services.console.store.upstream import RefusedCall
from shared import clock

router = APIRouter(prefix="/c/{cafe_id}/campaigns", include_in_schema=False)
Chosen = Annotated[str, Query(max_length=20)]
Why = Annotated[str, Query(max_length=50)]
AfterRow = Annotated[str | None, Query(max_length=400)]
_ACTS = {"pause": store.pause, "resume": store.resume, "cancel": store.cancel}


@router.get("")
async def list_all(request: Request, here: Here) -> Response:
    """The cafe's campaigns, the newest first."""
    shown = await campaigns.list_all(upstream(request), here)
    return page(request, "campaigns.html", here, nav="campaigns", shown=shown, rules=rules)


@router.get("/{campaign_id}")
async def show(
    request: Request, here: Here, campaign_id: UUID, only: Chosen = "", why: Why = "", after: AfterRow = None
) -> Response:
    """One campaign: how it stands, what became of it, and the guests behind each step."""
    chosen = only if only in rules.LISTS else ""
    reason = why if chosen in rules.WITH_REASONS else ""
    up = upstream(request)
    if is_fragment(request) and after is not None:
        rows, cards = await campaigns.more_rows(up, here, campaign_id, chosen, reason, after)
        data: dict[str, Any] = {
            "rows": rows,
            "cards": cards,
            "chosen": chosen,
            "reason": reason,
            "campaign_id": campaign_id,
        }
        return page(request, "campaign_rows.html", here, **data)
    return await _campaign(request, here, campaign_id, chosen, reason, after)


@router.post("/{campaign_id}/do")
async def act(request: Request, here: Here, campaign_id: UUID, act: Typed) -> Response:
    """Pauses it, lets it go on, or ends it."""
    if act not in _ACTS:
        return go(request, f"/c/{here.cafe.cafe_id}/campaigns/{campaign_id}")
    try:
        await _ACTS[act](upstream(request), here.access, here.cafe.cafe_id, campaign_id)
    except RefusedCall as error:
        return await _campaign(request, here, campaign_id, "", "", None, error)
    return go(request, f"/c/{here.cafe.cafe_id}/campaigns/{campaign_id}")


@router.get("/{campaign_id}/files/guests.{kind}")
async def keep_guests(
    request: Request, here: Here, campaign_id: UUID, kind: FileKind, only: Chosen = "", why: Why = ""
) -> Response:
    """The guests of a list with what became of their messages, as a file."""
    chosen = only if only in rules.LISTS else ""
    reason = why if chosen in rules.WITH_REASONS else ""
    up, speech = upstream(request), speech_of(look_of(request), here)
    campaign = await store.find(up, here.access, here.cafe.cafe_id, campaign_id)
    rows, whole = await campaigns.recipients(up, here, campaign_id, chosen, reason)

    def say(key: str, /, **values: str) -> str:
        return catalogue().say(look_of(request).language, key, **values)

    sheet = campaign_tables.of_recipients([(each.row, each.card) for each in rows], speech, say, whole=whole)
    today = speech.day_typed(speech.local_day(clock.now()))
    return await table_file(sheet, kind, f"{campaign.name} {today}")


async def _campaign(
    request: Request,
    here: Here,
    campaign_id: UUID,
    chosen: str,
    reason: str,
    after: str | None,
    error: RefusedCall | None = None,
) -> Response:
    shown = await campaigns.show(upstream(request), here, campaign_id, chosen, reason, after)
    told = refused(error, look_of(request).language) if error else {}
    status = error.status if error else 200
    return page(request, "campaign.html", here, status=status, nav="campaigns", shown=shown, rules=rules, **told)
