"""What guests see: the page behind a link, and the same as JSON. Opening a link changes nothing but how often it was
opened."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError

from services.feedback import rules
from services.feedback.api import page
from services.feedback.handlers import answers, links, submissions
from services.feedback.models.http import LinkView, Received, Submission
from services.feedback.models.values import Link, SubmittedFrom
from shared.database import db
from shared.database.db import Connection
from shared.errors import Rejected
from shared.inputs.fields import Opaque
from shared.security.addresses import client_address
from shared.web.acting import acting_as_service
from shared.web.documents import problems
from shared.web.rate_limits import Tries

T = TypeVar("T")
router = APIRouter(tags=["guests"])
# Only looked up, not checked by a pattern: a token of a wrong form is a link that nobody knows.
LinkToken = Annotated[str, Opaque(1024)]
Marker = Annotated[str, Opaque(100)]
# In a minute. Only guesses count for an address: a whole cafe may answer from one.
GUESSES_OF_AN_ADDRESS = 20
USES_OF_A_LINK = 60
# A message with a link may arrive before the event of its visit does. So a link that nobody knows is looked for again.
WAIT_SECONDS, LOOK_AGAIN_SECONDS = 2.0, 0.2
# So many wait in one process, so that their looks stay a small part of what the database does; others are told at once.
WAITS_AT_ONCE = 32
UNKNOWN = "link_unknown"
STATES = {code: state for state, (code, *_) in links.REFUSALS.items()} | {"too_many_tries": "busy"}


@router.get("/f/{token}", response_class=HTMLResponse, include_in_schema=False)
async def open_page(request: Request, token: LinkToken, s: Marker | None = None) -> Response:
    """The form, or why there is none; with what the cafe has answered. A person's opening of the link in a message is
    counted, also of a used one."""
    try:
        link = await _look_up(request, token)
    except Rejected as why:
        if why.code == "link_used":
            await _count_opening(request, token, s)
        return refused(why, await _answer_behind(request, token, why))
    await _count_opening(request, token, s)
    return html(page.rating_page(link, answer=await _answer_behind(request, token)))


@router.post("/f/{token}", response_class=HTMLResponse, include_in_schema=False)
async def send_page(request: Request, token: LinkToken, s: Marker | None = None) -> Response:
    """Takes the form in and sends the browser on, so that going back or reloading sends nothing twice."""
    form = await form_of(request)
    try:
        said = said_in(form)
    except ValidationError as error:
        return await _form_again(request, token, form, error)
    try:
        await _take(request, token, said, s)
    except Rejected as why:
        return refused(why)
    return RedirectResponse(f"{token}/thanks", 303, page.HEADERS)


@router.get("/f/{token}/thanks", response_class=HTMLResponse, include_in_schema=False)
async def thanks_page(request: Request, token: LinkToken) -> Response:
    """Thanks, to whoever has sent something; the form to anybody else."""
    try:
        await _look_up(request, token)
    except Rejected as why:
        if why.code == "link_used":
            return html(page.answer_page("thanks"))
        return refused(why)
    return RedirectResponse(f"../{token}", 303, page.HEADERS)


@router.get("/api/feedback/{token}", responses=problems(409, 410, 429))
async def look_at_link(request: Request, token: LinkToken) -> LinkView:
    """What an open link is about. Answers 404, 409 or 410 when it can't be used."""
    link = await _look_up(request, token)
    return LinkView(cafe_name=link.cafe_name, visit_date=link.visit.visit_date)


@router.post("/api/feedback/{token}", status_code=201, responses=problems(410, 429))
async def send_feedback(request: Request, token: LinkToken, said: Submission, s: Marker | None = None) -> Received:
    """Takes a guest's feedback, once per link. `s` tells where the link was found: q for a code, w for a website."""
    return Received(feedback_id=await _take(request, token, said, s))


async def _answer_behind(request: Request, token: str, why: Rejected | None = None) -> str | None:
    if why is not None and why.code in (UNKNOWN, "too_many_tries"):
        return None
    async with db.transaction(request.app.state.pool) as conn:
        return await answers.find_answer(conn, token)


async def _look_up(request: Request, token: str) -> Link:
    return await _tried(request, token, lambda conn: links.find_open_link(conn, token))


async def _count_opening(request: Request, token: str, marker: str | None) -> None:
    if rules.source_of(marker) != "sms_link" or not rules.is_opening(request.headers):
        return
    async with acting_as_service(request) as conn:
        await links.note_opening(conn, token)


async def _take(request: Request, token: str, said: Submission, marker: str | None) -> UUID:
    source, sender = rules.source_of(marker), sender_of(request)
    return await _tried(request, token, lambda conn: submissions.submit(conn, token, said, source, sender))


async def _tried(request: Request, token: str, act: Callable[[Connection], Awaitable[T]]) -> T:
    """What `act` makes of a link in a transaction. Counts it: against the link when there is such a one, or else as a
    guess of the address."""
    limits = _limits(request)
    address = client_address(request)
    limits.guesses.refuse_flood(address)
    limits.uses.refuse_flood(token)
    try:
        made = await _found(request, token, act, address)
    except Rejected as why:
        if why.code != UNKNOWN:
            limits.uses.count(token)
        raise
    limits.uses.count(token)
    return made


async def _found(request: Request, token: str, act: Callable[[Connection], Awaitable[T]], address: str) -> T:
    limits = _limits(request)
    try:
        return await _act(request, act)
    except Rejected as why:
        if why.code != UNKNOWN:
            raise
        # Counted before it is waited for: guesses that come together are as many as those that come one by one.
        limits.guesses.count(address)
        if not rules.looks_like_token(token) or limits.guesses.used_up(address) or limits.waits.locked():
            raise
    async with limits.waits:
        return await _act_soon(request, act)


async def _act_soon(request: Request, act: Callable[[Connection], Awaitable[T]]) -> T:
    ends = time.monotonic() + WAIT_SECONDS
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        try:
            return await _act(request, act)
        except Rejected as why:
            if why.code != UNKNOWN or time.monotonic() >= ends:
                raise


async def _act(request: Request, act: Callable[[Connection], Awaitable[T]]) -> T:
    async with acting_as_service(request) as conn:
        return await act(conn)


class _Limits:
    """What one process lets in."""

    def __init__(self) -> None:
        self.guesses = Tries(GUESSES_OF_AN_ADDRESS)
        self.uses = Tries(USES_OF_A_LINK)
        self.waits = asyncio.Semaphore(WAITS_AT_ONCE)


def _limits(request: Request) -> _Limits:
    state = request.app.state
    if not hasattr(state, "guest_limits"):
        state.guest_limits = _Limits()
    limits: _Limits = state.guest_limits
    return limits


async def form_of(request: Request) -> dict[str, str]:
    """What was filled in."""
    form = await request.form(max_files=0, max_fields=10)
    return {name: value for name, value in form.items() if isinstance(value, str) and value.strip()}


def said_in(form: Mapping[str, str]) -> Submission:
    """What a form says; raises pydantic's `ValidationError`."""
    return Submission.model_validate(
        {
            "overall_rating": form.get("overall_rating"),
            "category_ratings": {name: form[name] for name in page.RATED if name in form},
            "comment": form.get("comment"),
        }
    )


async def _form_again(request: Request, token: str, form: Mapping[str, str], error: ValidationError) -> Response:
    try:
        link = await _look_up(request, token)
    except Rejected as why:
        return refused(why)
    return html(page.rating_page(link, typed=form, alert=page.alert_of(error)), 422)


def sender_of(request: Request) -> SubmittedFrom:
    """From where a request came."""
    headers = request.headers
    device = rules.device_of(headers.get("user-agent", ""), headers.get("accept-language", ""))
    return SubmittedFrom(device, client_address(request) or None)


def refused(why: Rejected, answer: str | None = None) -> HTMLResponse:
    """The page that says why there is no form; raises what no page is for."""
    state = STATES.get(why.code)
    if state is None:
        raise why
    return html(page.answer_page(state, answer), 200 if answer else why.status)


def html(content: str, status: int = 200) -> HTMLResponse:
    """A page that goes into no cache and no index."""
    return HTMLResponse(content, status, page.HEADERS)
