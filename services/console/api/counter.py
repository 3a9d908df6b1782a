"""A guest at the counter: rewards, stamp cards and vouchers, and what a bill would earn. A part of the guest's page,
and a page of its own for who has no JavaScript."""

from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.entry import YEAR_SECONDS
from services.console.api.forms import FormId, Typed
from services.console.api.rendering import go, is_fragment, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import counter as handler
from services.console.models.counter import BillQuote
from services.console.rules import counter as rules
from services.console.rules import rewards as reward_rules
from services.console.store import counter
from services.console.store.upstream import Away, RefusedCall
from shared.clock import new_id

BRANCH: Final = "branch"
router = APIRouter(prefix="/c/{cafe_id}/guests/{guest_id}", include_in_schema=False)


@router.get("/offers")
async def show_offers(request: Request, here: Here, guest_id: UUID, branch: str | None = None) -> Response:
    """What the guest may have now, and what keeps the rest from them. The device remembers in which branch it is."""
    answer = await _page(request, here, guest_id, request.cookies.get(BRANCH, "") if branch is None else branch)
    if branch is not None:
        answer.set_cookie(
            BRANCH, branch[:36], YEAR_SECONDS, path=f"/c/{here.cafe.cafe_id}", httponly=True, samesite="lax",
            secure=not request.app.state.settings.console_insecure,
        )  # fmt: skip
    return answer


@router.post("/rewards")
async def take_reward(
    request: Request,
    here: Here,
    guest_id: UUID,
    reward_id: FormId,
    redemption_id: FormId,
    branch: Typed = "",
    bill: Typed = "",
) -> Response:
    """Spends points for a reward. The form has the redemption's id, so that a second tap is the same redemption."""
    wanted: dict[str, Any] = {"redemption_id": redemption_id, "customer_id": guest_id, "reward_id": reward_id}
    if branch:
        wanted["branch_id"] = branch
    if amount := reward_rules.number(bill):
        wanted["bill"] = {"final_amount": amount, "currency_unit": here.cafe.currency_unit}
    try:
        await counter.take_reward(upstream(request), here.access, here.cafe.cafe_id, wanted)
    except RefusedCall as error:
        return await _page(request, here, guest_id, branch, error)
    return go(request, f"/c/{here.cafe.cafe_id}/guests/{guest_id}?done=taken")


@router.post("/bill")
async def quote_bill(request: Request, here: Here, guest_id: UUID, amount: Typed = "", branch: Typed = "") -> Response:
    """What a bill of that amount would earn, and which rewards are in reach with it."""
    typed = reward_rules.number(amount)
    if typed is None and is_fragment(request):
        return _bill(request, here, guest_id, None)
    try:
        quote = await handler.quote(upstream(request), here, guest_id, typed, branch)
    except RefusedCall as error:
        if error.status != 422:
            raise
        told = refused(error, look_of(request).language)["faults"].get("final_amount", "")
        if is_fragment(request):
            return _bill(request, here, guest_id, None, amount, branch, fault=told)
        return await _page(request, here, guest_id, branch, values={"amount": amount}, faults={"amount": told})
    if is_fragment(request):
        return _bill(request, here, guest_id, quote, amount, branch)
    return await _page(request, here, guest_id, branch, values={"amount": amount}, quote=quote)


@router.post("/vouchers/{voucher_id}/use")
async def use_voucher(
    request: Request, here: Here, guest_id: UUID, voucher_id: UUID, request_id: FormId, branch: Typed = ""
) -> Response:
    """Uses a voucher. The form has the id of the request, so that a second tap is the same use."""
    try:
        await counter.use_voucher(upstream(request), here.access, here.cafe.cafe_id, voucher_id, request_id)
    except RefusedCall as error:
        return await _page(request, here, guest_id, branch, error)
    return go(request, f"/c/{here.cafe.cafe_id}/guests/{guest_id}?done=used")


@router.post("/vouchers/{voucher_id}/take-back")
async def take_voucher_back(
    request: Request, here: Here, guest_id: UUID, voucher_id: UUID, branch: Typed = ""
) -> Response:
    """Takes the use of a voucher back."""
    try:
        await counter.take_voucher_back(upstream(request), here.access, here.cafe.cafe_id, voucher_id)
    except RefusedCall as error:
        return await _page(request, here, guest_id, branch, error)
    return go(request, f"/c/{here.cafe.cafe_id}/guests/{guest_id}?done=given_back")


@router.post("/referral")
async def claim_referral(
    request: Request, here: Here, guest_id: UUID, code: Typed = "", branch: Typed = ""
) -> Response:
    """Notes by whose code a new guest came."""
    wanted = code.strip().upper()
    try:
        await counter.claim_referral(upstream(request), here.access, here.cafe.cafe_id, guest_id, wanted)
    except RefusedCall as error:
        return await _page(request, here, guest_id, branch, error, values={"code": code})
    return go(request, f"/c/{here.cafe.cafe_id}/guests/{guest_id}?done=brought")


async def _page(
    request: Request,
    here: Here,
    guest_id: UUID,
    branch: str,
    error: RefusedCall | None = None,
    quote: BillQuote | None = None,
    **more: Any,
) -> Response:
    fragment, shown = is_fragment(request), None
    try:
        shown = await handler.show(upstream(request), here, guest_id, branch)
    except Away:
        if not fragment:
            raise
    data: dict[str, Any] = {"guest_id": guest_id, "shown": shown, "quote": quote, "fault": "", "new_id": new_id} | more
    if shown is not None:
        speech = speech_of(look_of(request), here)
        data |= {
            "ready": rules.ready(shown.offers),
            "others": [(each, rules.reasons(each, shown.names, speech)) for each in rules.others(shown.offers)],
            "branch": str(shown.branch_id or ""),
        }
    told = refused(error, look_of(request).language) if error else {}
    status = error.status if error else 422 if more.get("faults") else 200
    template = "offers_part.html" if fragment else "guest_offers.html"
    return page(request, template, here, status=status, nav="guests", **data, **told)


def _bill(
    request: Request,
    here: Here,
    guest_id: UUID,
    quote: BillQuote | None,
    amount: str = "",
    branch: str = "",
    fault: str = "",
) -> Response:
    data: dict[str, Any] = {"guest_id": guest_id, "quote": quote, "branch": branch, "fault": fault, "new_id": new_id}
    return page(request, "bill_part.html", here, values={"amount": amount}, **data)
