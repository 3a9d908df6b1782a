"""The first hour: from the sign-in to the first visit, step by step."""

import json
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.forms import FormId, Typed
from services.console.api.rendering import go, look_of, page, qr_code, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import start
from services.console.handlers.panels import panel
from services.console.rules.club_rules import sentences
from services.console.rules.club_sentence import Sentence
from services.console.rules.versions import in_force
from services.console.store import identity, visit
from services.console.store.upstream import Away, RefusedCall
from shared import clock
from shared.clock import new_id

router = APIRouter(prefix="/c/{cafe_id}/start", include_in_schema=False)

# What a test bill is of: enough for some points by any rules, in the cafe's own unit.
TEST_TOMAN = 100_000


@router.get("")
async def show(request: Request, here: Here) -> Response:
    """What is there, and what comes next."""
    return await _steps(request, here)


@router.post("/branch")
async def add_branch(request: Request, here: Here, code: Typed, name: Typed) -> Response:
    """The first branch."""
    try:
        await identity.create_branch(upstream(request), here.access, here.cafe.cafe_id, code, name)
    except RefusedCall as error:
        return await _steps(request, here, error, values={"branch_code": code, "branch_name": name})
    return go(request, f"/c/{here.cafe.cafe_id}/start")


@router.post("/till")
async def make_key(request: Request, here: Here, device_name: Typed) -> Response:
    """The first till: its key, once, as text, as a QR code and in a call that can be tried at once."""
    try:
        made = await identity.create_key(upstream(request), here.access, here.cafe.cafe_id, device_name)
    except RefusedCall as error:
        return await _steps(request, here, error, values={"device_name": device_name})
    return await _steps(request, here, key=made, qr=qr_code(made.api_key or ""))


@router.post("/visit")
async def enter_test_visit(request: Request, here: Here, receipt: FormId, phone: Typed = "") -> Response:
    """A bill of the person's own, to see what follows from one. Its number makes a second tap the same bill."""
    total = TEST_TOMAN if here.cafe.currency_unit == "IRT" else TEST_TOMAN * 10
    written: dict[str, Any] = {
        "receipt_number": f"test-{receipt.hex[-10:]}",
        "occurred_at": clock.now(),
        "total": total,
        "currency_unit": here.cafe.currency_unit,
        "phone": phone.strip() or None,
    }
    try:
        await visit.enter(upstream(request), here.access, here.cafe.cafe_id, written)
    except RefusedCall as error:
        return await _steps(request, here, error, values={"phone": phone})
    return go(request, f"/c/{here.cafe.cafe_id}/start#visit")


@router.get("/seen")
async def look_for_visit(request: Request, here: Here) -> Response:
    """The first visit, once it is there: a part of the page, which asks for it every few seconds."""
    newest = await panel(visit.list_visits(upstream(request), here.access, here.cafe.cafe_id, {"limit": 1}))
    return page(request, "start_seen_part.html", here, newest=newest)


async def _steps(request: Request, here: Here, error: RefusedCall | None = None, **data: Any) -> Response:
    shown = await start.show(upstream(request), here)
    told = refused(error, look_of(request).language) if error else {}
    every: dict[str, Any] = {"shown": shown, "newest": shown.newest, "key": None, "qr": None, "receipt": new_id()}
    every |= {"call": _call(request, here), "values": {}, "said": _rules_said(request, here, shown)}
    return page(request, "start.html", here, status=error.status if error else 200, nav="start", **every | data, **told)


def _rules_said(request: Request, here: Here, shown: start.StartPage) -> Sequence[Sentence]:
    """What earns points and what they are worth, by the rules in force: a new cafe has some from the beginning."""
    if isinstance(shown.rules, Away):
        return ()
    now = in_force(shown.rules, clock.now())
    if now is None:
        return ()
    said = sentences(now, speech_of(look_of(request), here))
    return [each for each in said if each.about in ("earn", "worth", "expiry")]


def _call(request: Request, here: Here) -> tuple[str, str]:
    """How a till calls, before and after its key."""
    total = TEST_TOMAN if here.cafe.currency_unit == "IRT" else TEST_TOMAN * 10
    bill = {
        "device_id": "till-1",
        "receipt_number": "1",
        "phone": "09121112233",
        "occurred_at": clock.now().isoformat(timespec="seconds"),
        "total": str(total),
        "currency_unit": here.cafe.currency_unit,
    }
    url = f"{request.app.state.settings.till_url.rstrip('/')}/visits"
    head, tail = f"curl {url} -H 'X-Api-Key: ", f"' -H 'Content-Type: application/json' -d '{json.dumps(bill)}'"
    return head, tail
