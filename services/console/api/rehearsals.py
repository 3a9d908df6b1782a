"""Rehearsals of a club's rules: asked for before they are published, shown in pictures, published from there."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response, StreamingResponse

from services.console.api.forms import Typed, typed_moment
from services.console.api.rendering import catalogue, go, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import rehearsals
from services.console.models.session import Insider
from services.console.rules import rehearsal_views
from services.console.rules.sheets import BYTE_ORDER_MARK, MEDIA, disposition
from services.console.store import rehearsals as store
from services.console.store.upstream import Followed, RefusedCall

router = APIRouter(prefix="/c/{cafe_id}/club/rehearsals", include_in_schema=False)


@router.get("")
async def list_all(request: Request, here: Here) -> Response:
    """The cafe's rehearsals, the newest first."""
    found = await store.rehearsals(upstream(request), here.access, here.cafe.cafe_id)
    return page(request, "rehearsals.html", here, nav="club", found=found)


@router.get("/{rehearsal_id}")
async def show(request: Request, here: Here, rehearsal_id: UUID) -> Response:
    """How far a rehearsal is, and what it found. The page asks again by itself while it runs."""
    return await _show(request, here, rehearsal_id)


@router.post("/{rehearsal_id}/again")
async def ask_again(
    request: Request, here: Here, rehearsal_id: UUID, mode: Annotated[Literal["always", "from_date"], Form()] = "always"
) -> Response:
    """The same rules once more, or in the other way."""
    up, cafe_id = upstream(request), here.cafe.cafe_id
    found = await store.rehearsal(up, here.access, cafe_id, rehearsal_id)
    return await asked(request, here, rehearsal_views.body_of(found, mode=mode))


@router.post("/{rehearsal_id}/publish")
async def publish(
    request: Request, here: Here, rehearsal_id: UUID, from_day: Typed = "", from_clock: Typed = ""
) -> Response:
    """Publishes the rules that were rehearsed, from now or from a day on."""
    up, cafe_id = upstream(request), here.cafe.cafe_id
    found = await store.rehearsal(up, here.access, cafe_id, rehearsal_id)
    try:
        begins = None
        if from_day.strip():
            begins = typed_moment("from_day", from_day, "from_clock", from_clock or "0:00", here.cafe.time_zone)
        body = rehearsal_views.body_of(found, begins=begins)
        answer = await store.publish_rehearsed(up, here.access, cafe_id, body)
    except RefusedCall as error:
        return await _show(request, here, rehearsal_id, error, {"from_day": from_day, "from_clock": from_clock})
    return go(request, f"/c/{cafe_id}/club?done={'asked' if answer.proposal_id else 'published'}")


@router.get("/{rehearsal_id}/guests.csv")
async def keep_guests(request: Request, here: Here, rehearsal_id: UUID) -> Response:
    """What would become of each guest, as a file."""
    followed = await store.guests_file(upstream(request), here.access, here.cafe.cafe_id, rehearsal_id)
    name = disposition(f"{here.cafe.name} {rehearsal_id}", "csv")
    return StreamingResponse(_passed(followed), headers={"Content-Disposition": name}, media_type=MEDIA["csv"])


async def asked(request: Request, here: Insider, body: dict[str, Any]) -> Response:
    """Has rules rehearsed, and goes where one sees it. While another rehearsal is open, goes to the list.

    Raises `RefusedCall` for rules that could not be published.
    """
    home = f"/c/{here.cafe.cafe_id}/club/rehearsals"
    try:
        made = await store.ask_rehearsal(upstream(request), here.access, here.cafe.cafe_id, body)
    except RefusedCall as error:
        if error.code != "rehearsal_open":
            raise
        return go(request, home)
    return go(request, f"{home}/{made.rehearsal_id}")


async def _show(
    request: Request,
    here: Insider,
    rehearsal_id: UUID,
    error: RefusedCall | None = None,
    values: dict[str, str] | None = None,
) -> Response:
    shown, s = await rehearsals.show(upstream(request), here, rehearsal_id), speech_of(look_of(request), here)
    told = refused(error, look_of(request).language) if error else {}
    found, say = shown.found, partial(catalogue().say, look_of(request).language)
    data: dict[str, Any] = {"values": values or {}, **told}
    if found.report:
        data |= {
            "months": rehearsal_views.by_month(found.report.months, s),
            "rules": rehearsal_views.by_rule(found.report.months),
            "ladder": rehearsal_views.by_tier(found.report.ladder, say),
            "lapses": rehearsal_views.by_lapse(found.report.lapses, s, say),
            "groups": [rehearsal_views.group_word(each, s) for each in found.report.groups],
        }
    return page(
        request, "rehearsal.html", here, nav="club", status=error.status if error else 200, shown=shown, found=found,
        changes=rehearsal_views.changes_of(found, shown.versions[-1], s), report=found.report, **data,
    )  # fmt: skip


async def _passed(followed: Followed) -> AsyncIterator[bytes]:
    try:
        yield BYTE_ORDER_MARK.encode()
        async for part in followed.read():
            yield part
    finally:
        await followed.close()
