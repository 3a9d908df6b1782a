"""How messages leave: the cafe's accounts, its rules for all messages, and who is told of unhappy guests."""

from functools import partial
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.forms import Typed
from services.console.api.rendering import go, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers.panels import panel
from services.console.models.messages import SmsAccount
from services.console.rules import messages as rules
from services.console.rules.speech import Speech
from services.console.store import messages as store
from services.console.store.upstream import RefusedCall

router = APIRouter(prefix="/c/{cafe_id}/settings", include_in_schema=False)

PEOPLE = 3


@router.get("/messages")
async def show_rules(request: Request, here: Here, done: str = "") -> Response:
    """The cafe's rules for all its messages, and who is told of unhappy guests."""
    return await _rules(request, here, done=done)


@router.post("/messages")
async def write_rules(request: Request, here: Here, guest_daily_cap: Typed, monthly_budget: Typed = "") -> Response:
    """Other rules for all messages."""
    written = {
        "guest_daily_cap": rules.whole_number(guest_daily_cap), "monthly_budget": rules.amount(monthly_budget),
        "currency_unit": here.cafe.currency_unit,
    }  # fmt: skip
    try:
        await store.set_rules(upstream(request), here.access, here.cafe.cafe_id, written)
    except RefusedCall as error:
        values = {"guest_daily_cap": guest_daily_cap, "monthly_budget": monthly_budget}
        return await _rules(request, here, values, error)
    return go(request, f"/c/{here.cafe.cafe_id}/settings/messages?done=saved")


@router.post("/messages/duty")
async def write_duty(
    request: Request,
    here: Here,
    most_a_day: Typed,
    label_1: Typed = "",
    phone_1: Typed = "",
    label_2: Typed = "",
    phone_2: Typed = "",
    label_3: Typed = "",
    phone_3: Typed = "",
) -> Response:
    """Whom the cafe wants told of unhappy guests: the whole list anew, as numbers are never shown again."""
    given = ((label_1, phone_1), (label_2, phone_2), (label_3, phone_3))
    people = [{"label": label, "phone": phone} for label, phone in given if label.strip() or phone.strip()]
    wanted = {"people": people, "most_a_day": rules.whole_number(most_a_day)}
    try:
        await store.set_duty(upstream(request), here.access, here.cafe.cafe_id, wanted)
    except RefusedCall as error:
        values = {"most_a_day": most_a_day}
        for number, (label, phone) in enumerate(given, 1):
            values |= {f"label_{number}": label, f"phone_{number}": phone}
        return await _rules(request, here, values, error, wrong_duty=True)
    return go(request, f"/c/{here.cafe.cafe_id}/settings/messages?done=saved")


@router.get("/sms")
async def show_accounts(request: Request, here: Here, done: str = "") -> Response:
    """The accounts by which the cafe sends, in the order in which they are asked."""
    return await _accounts(request, here, done=done)


@router.post("/sms")
async def add_account(
    request: Request,
    here: Here,
    api_key: Typed,
    sender_line: Typed = "",
    cost_per_sms: Typed = "",
    priority_order: Typed = "0",
    daily_limit: Typed = "",
    monthly_limit: Typed = "",
) -> Response:
    """Another account, with its key, which is never shown again."""
    form = {
        "sender_line": sender_line, "cost_per_sms": cost_per_sms, "priority_order": priority_order,
        "daily_limit": daily_limit, "monthly_limit": monthly_limit,
    }  # fmt: skip
    written = _account(form, here.cafe.currency_unit) | {"api_key": api_key.strip(), "is_active": True}
    try:
        await store.add_account(upstream(request), here.access, here.cafe.cafe_id, written)
    except RefusedCall as error:
        return await _accounts(request, here, form, error)
    return go(request, f"/c/{here.cafe.cafe_id}/settings/sms?done=saved")


@router.post("/sms/{account_id}")
async def replace_account(
    request: Request,
    here: Here,
    account_id: UUID,
    priority_order: Typed,
    api_key: Typed = "",
    sender_line: Typed = "",
    cost_per_sms: Typed = "",
    daily_limit: Typed = "",
    monthly_limit: Typed = "",
    is_active: Typed = "",
) -> Response:
    """An account as it shall be; its key stays when the field is empty."""
    up, cafe_id = upstream(request), here.cafe.cafe_id
    form = {
        "sender_line": sender_line, "cost_per_sms": cost_per_sms, "priority_order": priority_order,
        "daily_limit": daily_limit, "monthly_limit": monthly_limit,
    }  # fmt: skip
    known = await store.accounts(up, here.access, cafe_id)
    account = next((each for each in known if each.id == account_id), None)
    if account is None:
        raise RefusedCall(404, "not_found", "There is no such account.", "چنین حسابی نیست.", (), 0)
    written = _account(form, here.cafe.currency_unit) | {"is_active": bool(is_active)}
    written |= {"api_endpoint": account.api_endpoint} if account.api_endpoint else {}
    if api_key.strip():
        written["api_key"] = api_key.strip()
    elif not account.own_key:
        # Line and price of one that sends by the installation's account are the installation's.
        written = {name: value for name, value in written.items() if name not in ("sender_line", "cost_per_sms")}
    try:
        await store.replace_account(up, here.access, cafe_id, account_id, written)
    except RefusedCall as error:
        return await _accounts(request, here, form, error, account_id)
    return go(request, f"/c/{cafe_id}/settings/sms?done=saved")


async def _rules(
    request: Request,
    here: Here,
    values: dict[str, str] | None = None,
    error: RefusedCall | None = None,
    done: str = "",
    *,
    wrong_duty: bool = False,
) -> Response:
    up, speech = upstream(request), speech_of(look_of(request), here)
    known = await store.rules(up, here.access, here.cafe.cafe_id)
    duty = await panel(store.duty(up, here.access, here.cafe.cafe_id))
    shown = {
        "guest_daily_cap": speech.digits(known.guest_daily_cap),
        "monthly_budget": rules.bare_price(known.monthly_budget, known.currency_unit, speech),
    } | (values or {})
    told = refused(error, look_of(request).language) if error else {}
    data: dict[str, Any] = {
        "known_rules": known,
        "duty": duty,
        "values": shown,
        "done": done,
        "numbers": range(1, PEOPLE + 1),
    }
    data["wrong_duty"] = wrong_duty
    status = error.status if error else 200
    return page(request, "settings_messages.html", here, status=status, nav="settings", **data, **told)


async def _accounts(
    request: Request,
    here: Here,
    values: dict[str, str] | None = None,
    error: RefusedCall | None = None,
    of: UUID | None = None,
    done: str = "",
) -> Response:
    speech = speech_of(look_of(request), here)
    found = await store.accounts(upstream(request), here.access, here.cafe.cafe_id)
    forms = {each.id: _as_form(each, speech) | ((values or {}) if each.id == of else {}) for each in found}
    told = refused(error, look_of(request).language) if error else {}
    data: dict[str, Any] = {
        "found": found,
        "forms": forms,
        "of": of,
        "done": done,
        "price": partial(rules.price, s=speech),
    }
    data["values"] = (values or {}) if of is None else {}
    status = error.status if error else 200
    return page(request, "settings_sms.html", here, status=status, nav="settings", **data, **told)


def _as_form(account: SmsAccount, speech: Speech) -> dict[str, str]:
    limits = {name: getattr(account, name) for name in ("daily_limit", "monthly_limit")}
    return {
        "sender_line": account.sender_line or "",
        "cost_per_sms": rules.bare_price(account.cost_per_sms, account.currency_unit, speech),
        "priority_order": speech.digits(account.priority_order),
        **{name: "" if value is None else speech.digits(value) for name, value in limits.items()},
    }


def _account(form: dict[str, str], unit: str) -> dict[str, Any]:
    """The account as the API takes it; what is empty is left out or has no limit."""
    given = {
        "provider_name": "kavenegar",
        "currency_unit": unit,
        "sender_line": rules.typed_number(form["sender_line"]) or None,
        "cost_per_sms": rules.amount(form["cost_per_sms"]),
        "priority_order": rules.whole_number(form["priority_order"]) or 0,
        "daily_limit": rules.whole_number(form["daily_limit"]),
        "monthly_limit": rules.whole_number(form["monthly_limit"]),
    }
    return {name: value for name, value in given.items() if value is not None}
