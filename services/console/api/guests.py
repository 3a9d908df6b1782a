"""Guests: the list, one guest with what happened and why, and what is done for them."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.console.api.forms import FormId, Prose, Typed
from services.console.api.rendering import go, is_fragment, look_of, page, refused
from services.console.api.visiting import Here, upstream
from services.console.handlers import guests
from services.console.handlers.panels import found, panel
from services.console.store import club, customer, loyalty
from services.console.store.upstream import RefusedCall
from shared.clock import new_id
from shared.persian.text import latin_digits

router = APIRouter(prefix="/c/{cafe_id}/guests", include_in_schema=False)

PAGE = 50
SORTS = ("last_visit", "points", "visits", "created")
ONLY: dict[str, dict[str, Any]] = {
    "reachable": {"reachable": True},
    "quiet": {"not_seen_for_days": 30},
    "birthday": {"birthday_within_days": 7},
    "platinum": {"tier": "platinum"},
    "gold": {"tier": "gold"},
}
ADJUSTMENTS = ("adjustment_add", "adjustment_subtract", "earned_bonus")


@router.get("")
async def show_list(
    request: Request, here: Here, after: str = "", sort: str = "last_visit", only: str = ""
) -> Response:
    """Guests in an order, page by page."""
    order = sort if sort in SORTS else SORTS[0]
    wanted = {"limit": PAGE, "sort": order, **ONLY.get(only, {})} | ({"after": after} if after else {})
    cards = await customer.list_guests(upstream(request), here.access, here.cafe.cafe_id, wanted)
    template = "guests_rows.html" if is_fragment(request) else "guests.html"
    return page(request, template, here, nav="guests", found=cards, sort=order, only=only)


@router.get("/{guest_id}")
async def show(request: Request, here: Here, guest_id: UUID, done: str = "") -> Response:
    """A guest: what they have, what happened, and why."""
    shown = await guests.show(upstream(request), here, guest_id)
    data: dict[str, Any] = {"guest": shown, "guest_id": guest_id, "balance": shown.balance, "done": done}
    return page(request, "guest.html", here, nav="guests", **data)


@router.get("/{guest_id}/balance")
async def show_balance(request: Request, here: Here, guest_id: UUID) -> Response:
    """What the guest has: a part of their page, which asks for it when it changes."""
    balance = await panel(found(loyalty.balance(upstream(request), here.access, here.cafe.cafe_id, guest_id)))
    return page(request, "guest_balance.html", here, guest_id=guest_id, balance=balance)


@router.post("/{guest_id}/number")
async def reveal(request: Request, here: Here, guest_id: UUID) -> Response:
    """The whole number. It is a call of its own, so that it leaves a line of who asked."""
    number = await customer.whole_number(upstream(request), here.access, here.cafe.cafe_id, guest_id)
    template = "guest_number.html" if is_fragment(request) else "guest_number_page.html"
    return page(request, template, here, nav="guests", number=number, guest_id=guest_id)


@router.get("/{guest_id}/redeem")
async def ask_to_redeem(request: Request, here: Here, guest_id: UUID) -> Response:
    """How much to spend. The form has the redemption's id, so that a second tap is the same redemption."""
    return await _redeem_form(request, here, guest_id, {"redemption_id": str(new_id())})


@router.post("/{guest_id}/quote")
async def quote(request: Request, here: Here, guest_id: UUID, points: Typed = "") -> Response:
    """What spending so many points would take off the bill, while the number is typed."""
    number = _whole(points)
    shown = (
        await found(club.quote(upstream(request), here.access, here.cafe.cafe_id, guest_id, number)) if number else None
    )
    return page(request, "redeem_quote.html", here, nav="guests", shown=shown)


@router.post("/{guest_id}/redeem")
async def redeem(
    request: Request,
    here: Here,
    guest_id: UUID,
    redemption_id: FormId,
    points: Typed,
    kind: Typed = "discount",
) -> Response:
    """Spends points."""
    values = {"redemption_id": str(redemption_id), "points": points, "kind": kind}
    number = _whole(points)
    if number is None:
        return await _redeem_form(request, here, guest_id, values, missing="redeem.not_a_number")
    try:
        done = await loyalty.redeem(
            upstream(request), here.access, here.cafe.cafe_id, guest_id, redemption_id, points=number, kind=kind
        )
    except RefusedCall as error:
        return await _redeem_form(request, here, guest_id, values, error)
    if done.state == "refused":
        values["redemption_id"] = str(new_id())
        return await _redeem_form(request, here, guest_id, values, missing="redeem.too_few")
    return go(request, f"{_address(here, guest_id)}?done=redeemed")


@router.get("/{guest_id}/points")
async def ask_to_adjust(request: Request, here: Here, guest_id: UUID) -> Response:
    """Points by hand, with a reason."""
    values = {"adjustment_id": str(new_id())}
    return page(request, "adjust.html", here, nav="guests", guest_id=guest_id, values=values)


@router.post("/{guest_id}/points")
async def adjust(
    request: Request,
    here: Here,
    guest_id: UUID,
    adjustment_id: FormId,
    kind: Typed,
    points: Typed,
    reason: Prose,
) -> Response:
    """Gives or takes points, or asks a second person to agree."""
    number, chosen = _whole(points), kind if kind in ADJUSTMENTS else ADJUSTMENTS[0]
    values = {"adjustment_id": str(adjustment_id), "kind": chosen, "points": points, "reason": reason}
    try:
        made = await loyalty.adjust(
            upstream(request), here.access, here.cafe.cafe_id, guest_id, adjustment_id,
            kind=chosen, points=number or 0, reason=reason,
        )  # fmt: skip
    except RefusedCall as error:
        told = refused(error, look_of(request).language)
        return page(
            request, "adjust.html", here, status=error.status, nav="guests", guest_id=guest_id, values=values, **told
        )
    done = "asked" if made.state == "pending" else "adjusted"
    return go(request, f"{_address(here, guest_id)}?done={done}")


@router.get("/{guest_id}/edit")
async def ask_to_edit(request: Request, here: Here, guest_id: UUID) -> Response:
    """What the cafe wrote down about the guest."""
    file = await customer.find(upstream(request), here.access, here.cafe.cafe_id, guest_id)
    return page(request, "guest_edit.html", here, nav="guests", file=file)


@router.post("/{guest_id}/edit")
async def edit(
    request: Request,
    here: Here,
    guest_id: UUID,
    version: Annotated[int, Form()],
    name: Typed = "",
    birthday: Typed = "",
    notes: Prose = "",
) -> Response:
    """Changes it, unless somebody else changed it meanwhile."""
    up, cafe_id = upstream(request), here.cafe.cafe_id
    changed = {
        "version": version,
        "name": name.strip() or None,
        "birthday": birthday.strip() or None,
        "notes": notes.strip() or None,
    }
    try:
        await customer.change(up, here.access, cafe_id, guest_id, changed)
    except RefusedCall as error:
        told = refused(error, look_of(request).language)
        file = await customer.find(up, here.access, cafe_id, guest_id)
        values = {"name": name, "birthday": birthday, "notes": notes}
        return page(
            request, "guest_edit.html", here, status=error.status, nav="guests", file=file, values=values, **told
        )
    return go(request, f"{_address(here, guest_id)}?done=written")


@router.post("/{guest_id}/consent")
async def record_consent(request: Request, here: Here, guest_id: UUID, consent: Typed) -> Response:
    """What the guest said about advertising."""
    if consent in ("yes", "no"):
        granted = consent == "yes"
        await customer.record_answer(upstream(request), here.access, here.cafe.cafe_id, guest_id, granted=granted)
    return go(request, f"{_address(here, guest_id)}?done=written")


@router.get("/{guest_id}/forget")
async def ask_to_forget(request: Request, here: Here, guest_id: UUID) -> Response:
    """Says what erasing means before it is done."""
    file = await customer.find(upstream(request), here.access, here.cafe.cafe_id, guest_id)
    return page(request, "forget.html", here, nav="guests", file=file)


@router.post("/{guest_id}/forget")
async def forget(request: Request, here: Here, guest_id: UUID) -> Response:
    """Erases the guest."""
    await customer.forget(upstream(request), here.access, here.cafe.cafe_id, guest_id)
    return go(request, f"/c/{here.cafe.cafe_id}/guests")


async def _redeem_form(
    request: Request,
    here: Here,
    guest_id: UUID,
    values: dict[str, str],
    error: RefusedCall | None = None,
    missing: str | None = None,
) -> Response:
    quote = await found(club.quote(upstream(request), here.access, here.cafe.cafe_id, guest_id, None))
    told = refused(error, look_of(request).language) if error else {}
    status = error.status if error else 422 if missing else 200
    data: dict[str, Any] = {"guest_id": guest_id, "quote": quote, "values": values, "missing": missing}
    return page(request, "redeem.html", here, status=status, nav="guests", **data, **told)


def _address(here: Here, guest_id: UUID) -> str:
    return f"/c/{here.cafe.cafe_id}/guests/{guest_id}"


def _whole(typed: str) -> int | None:
    digits = latin_digits(typed).replace("٬", "").replace(",", "").strip()
    return int(digits) if digits.isdecimal() and 0 < len(digits) <= 9 else None
