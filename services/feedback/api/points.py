"""Codes that are printed on tables or stand on a website: staff make them, and whoever reads one may answer."""

from io import BytesIO
from typing import Annotated
from uuid import UUID

import segno
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from services.feedback import rules
from services.feedback.api import page
from services.feedback.api.guest import form_of, html, refused, said_in, sender_of
from services.feedback.handlers import points
from services.feedback.handlers.links import refusal
from services.feedback.models.http import MakePoint, PointView
from services.feedback.models.values import FeedbackPoint
from services.feedback.store import points as store
from shared.database import db
from shared.errors import NotFound, Rejected
from shared.inputs.fields import Matching, Opaque
from shared.security.addresses import client_address
from shared.web.acting import acting, acting_as_service
from shared.web.dependencies import StaffCaller
from shared.web.rate_limits import Tries

router = APIRouter(tags=["points"])
PointCode = Annotated[str, Matching("[a-z0-9]{12}", 12, "کد نقطهٔ نظرسنجی ۱۲ حرف و رقم دارد")]
# Only looked up, like the token of a link.
AnyCode = Annotated[str, Opaque(1024)]
# Of an address at one point in ten minutes: guests of a whole table may answer by the cafe's own network.
ANSWERS_OF_AN_ADDRESS, ADDRESS_WINDOW = 5, 600.0
# Of a point in an hour, whoever answers: no table has more guests.
ANSWERS_OF_A_POINT, POINT_WINDOW = 60, 3600.0
# Of an address in a minute: unknown codes, and pages.
GUESSES_OF_AN_ADDRESS, PAGES_OF_AN_ADDRESS = 20, 120


@router.get("/cafes/{cafe_id}/feedback-points")
async def list_points(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[PointView]:
    """Where the cafe asks its guests; retired points last."""
    async with acting(request, caller, cafe_id) as conn:
        return [_view(request, point) for point in await store.list_points(conn, cafe_id)]


@router.post("/cafes/{cafe_id}/feedback-points", status_code=201)
async def make_point(request: Request, caller: StaffCaller, cafe_id: UUID, body: MakePoint) -> PointView:
    """Makes a code for a table, a branch or the website (managers). Its picture is at `…/{code}.svg`; answers by it
    have the source `qr_code`, or `website`."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return _view(request, await points.make(conn, cafe_id, caller.user_id, body))


@router.delete("/cafes/{cafe_id}/feedback-points/{code}", status_code=204)
async def retire_point(request: Request, caller: StaffCaller, cafe_id: UUID, code: PointCode) -> None:
    """Closes a point for good (managers); what was answered there stays."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        await points.retire(conn, cafe_id, code)


@router.get(
    "/cafes/{cafe_id}/feedback-points/{code}.svg",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}}, "description": "the code as a picture"}},
)
async def draw_point(request: Request, caller: StaffCaller, cafe_id: UUID, code: PointCode) -> Response:
    """The point's QR code, to be printed."""
    async with acting(request, caller, cafe_id) as conn:
        point = await store.find(conn, code)
    if point is None or point.cafe_id != cafe_id:
        raise NotFound("feedback point", "این نقطهٔ نظرسنجی")
    drawn = BytesIO()
    segno.make_qr(_address(request, point), error="m").save(drawn, kind="svg", scale=10, border=4, dark="#000")
    return Response(drawn.getvalue(), media_type="image/svg+xml")


@router.get("/q/{code}", response_class=HTMLResponse, include_in_schema=False)
async def open_point(request: Request, code: AnyCode) -> Response:
    """The form, or why there is none."""
    try:
        return await _form_page(request, code)
    except Rejected as why:
        return refused(why)


@router.post("/q/{code}", response_class=HTMLResponse, include_in_schema=False)
async def send_point(request: Request, code: AnyCode) -> Response:
    """Takes the form in and sends the browser on, so that going back or reloading sends nothing twice."""
    form = await form_of(request)
    try:
        try:
            said = said_in(form)
        except ValidationError as error:
            return await _form_page(request, code, form, error)
        _refuse_flood(request, code)
        async with acting_as_service(request) as conn:
            await points.submit(conn, code, said, sender_of(request))
    except Rejected as why:
        _count_guess(request, why)
        return refused(why)
    _count_answer(request, code)
    return RedirectResponse(f"{code}/thanks", 303, page.HEADERS)


@router.get("/q/{code}/thanks", response_class=HTMLResponse, include_in_schema=False)
async def thank(code: AnyCode) -> Response:
    """Thanks to whoever has just sent something; it says nothing else."""
    if not rules.looks_like_code(code):
        return refused(refusal("no_point"))
    return html(page.answer_page("thanks"))


async def _form_page(
    request: Request, code: str, typed: dict[str, str] | None = None, error: ValidationError | None = None
) -> Response:
    limits = _limits(request)
    address = client_address(request)
    limits.pages.refuse_flood(address)
    limits.pages.count(address)
    limits.guesses.refuse_flood(address)
    try:
        async with db.transaction(request.app.state.pool) as conn:
            point, cafe_name = await points.find_open(conn, code)
    except Rejected as why:
        _count_guess(request, why)
        raise
    alert = page.alert_of(error) if error else None
    return html(page.form_page(cafe_name, point.label, typed=typed, alert=alert), 422 if error else 200)


class _Limits:
    """What one process lets in."""

    def __init__(self) -> None:
        self.pages = Tries(PAGES_OF_AN_ADDRESS)
        self.guesses = Tries(GUESSES_OF_AN_ADDRESS)
        self.by_address = Tries(ANSWERS_OF_AN_ADDRESS, ADDRESS_WINDOW)
        self.by_point = Tries(ANSWERS_OF_A_POINT, POINT_WINDOW)


def _limits(request: Request) -> _Limits:
    state = request.app.state
    if not hasattr(state, "point_limits"):
        state.point_limits = _Limits()
    limits: _Limits = state.point_limits
    return limits


def _refuse_flood(request: Request, code: str) -> None:
    limits, address = _limits(request), client_address(request)
    limits.guesses.refuse_flood(address)
    limits.by_address.refuse_flood((address, code))
    limits.by_point.refuse_flood(code)


def _count_answer(request: Request, code: str) -> None:
    limits = _limits(request)
    limits.by_address.count((client_address(request), code))
    limits.by_point.count(code)


def _count_guess(request: Request, why: Rejected) -> None:
    if why.code == "point_unknown":
        _limits(request).guesses.count(client_address(request))


def _view(request: Request, point: FeedbackPoint) -> PointView:
    return PointView(
        code=point.code,
        kind=point.kind,
        branch=point.branch,
        table_number=point.table_number,
        label=point.label,
        created_at=point.created_at,
        created_by=point.created_by,
        retired_at=point.retired_at,
        address=_address(request, point),
    )


def _address(request: Request, point: FeedbackPoint) -> str:
    return f"{request.app.state.settings.public_url.rstrip('/')}/q/{point.code}"
