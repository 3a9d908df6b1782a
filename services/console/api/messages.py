"""What goes out by itself: on and off, its text, what it did; the library of texts, costs and answers."""

from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api.forms import Prose, Typed
from services.console.api.rendering import go, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import messages
from services.console.models.messages import JourneyOfCafe
from services.console.rules import messages as rules
from services.console.rules.speech import Speech
from services.console.store import messages as store
from services.console.store.upstream import Away, RefusedCall
from shared import clock

router = APIRouter(prefix="/c/{cafe_id}/messages", include_in_schema=False)


@router.get("")
async def show(request: Request, here: Here) -> Response:
    """All that goes by itself, with what became of it in 30 days."""
    shown = await messages.show(upstream(request), here)
    return page(request, "messages.html", here, nav="messages", shown=shown, **_spoken(request, here))


@router.get("/j/{journey_id}")
async def show_one(request: Request, here: Here, journey_id: UUID, done: str = "") -> Response:
    """One message that goes by itself."""
    return await _one(request, here, journey_id, done=done)


@router.post("/j/{journey_id}/switch")
async def switch(request: Request, here: Here, journey_id: UUID, on: Typed, back: Typed = "") -> Response:
    """Switches it on or off, at once."""
    await store.change_journey(
        upstream(request), here.access, here.cafe.cafe_id, journey_id, {"is_active": on == "yes"}
    )
    own = f"/c/{here.cafe.cafe_id}/messages"
    return go(request, f"{own}/j/{journey_id}" if back == "one" else own)


@router.post("/j/{journey_id}")
async def write(
    request: Request,
    here: Here,
    journey_id: UUID,
    template: Prose,
    delay_minutes: Typed = "",
    budget: Typed = "",
    ignores_quiet_hours: Typed = "",
) -> Response:
    """Another text, delay or budget. What it says waits for a second person where the cafe's policy wants one."""
    form = {
        "template": template, "delay_minutes": delay_minutes, "budget": budget,
        "ignores_quiet_hours": ignores_quiet_hours,
    }  # fmt: skip
    up, cafe_id = upstream(request), here.cafe.cafe_id
    journey = messages.found_in(await store.journeys(up, here.access, cafe_id), journey_id)
    asked = _asked(form, journey, speech_of(look_of(request), here))
    if not asked:
        return go(request, f"/c/{cafe_id}/messages/j/{journey_id}")
    try:
        answer = await store.change_journey(up, here.access, cafe_id, journey_id, asked)
    except RefusedCall as error:
        return await _one(request, here, journey_id, form, error)
    waits = answer.waiting is not None and asked.keys() & {"template", "budget", "ignores_quiet_hours"}
    return go(request, f"/c/{cafe_id}/messages/j/{journey_id}?done={'asked' if waits else 'saved'}")


@router.post("/preview")
async def preview(
    request: Request,
    here: Here,
    template: Prose = "",
    content: Prose = "",
    trigger: Typed = "",
    purpose: Typed = "marketing",
) -> Response:
    """How the text reads while it is written, its parts and what it costs."""
    text: dict[str, Any] = {"content": template or content, "purpose": purpose}
    if trigger:
        text["trigger"] = trigger
    shown = await messages.preview(upstream(request), here, text)
    return page(
        request, "message_preview_part.html", here, nav="messages", **_previewed(shown), **_spoken(request, here)
    )


@router.get("/templates")
async def list_templates(request: Request, here: Here) -> Response:
    """The library of texts."""
    found = await store.templates(upstream(request), here.access, here.cafe.cafe_id)
    return page(
        request, "templates.html", here, nav="messages", found=found, whole=rules.whole_text, dir_of=rules.direction
    )


@router.get("/templates/new")
async def ask_template(request: Request, here: Here) -> Response:
    """The form of a new text."""
    return await _template_form(request, here, None, {"name": "", "content": "", "category": ""})


@router.post("/templates/new")
async def add_template(request: Request, here: Here, name: Typed, content: Prose, category: Typed = "") -> Response:
    """A new text for the library."""
    written = {"name": name, "content": content, "category": category.strip() or None}
    try:
        await store.add_template(upstream(request), here.access, here.cafe.cafe_id, written)
    except RefusedCall as error:
        return await _template_form(request, here, None, written, error)
    return go(request, f"/c/{here.cafe.cafe_id}/messages/templates")


@router.get("/templates/{template_id}")
async def show_template(request: Request, here: Here, template_id: UUID) -> Response:
    """One text of the library."""
    found = await messages.template(upstream(request), here, template_id)
    values = {
        "name": found.name, "content": rules.whole_text(found.content, found.variables),
        "category": found.category or "", "is_system": found.is_system_template,
    }  # fmt: skip
    return await _template_form(request, here, template_id, values)


@router.post("/templates/{template_id}")
async def replace_template(
    request: Request, here: Here, template_id: UUID, name: Typed, content: Prose, category: Typed = ""
) -> Response:
    """Another wording of a text of the cafe's own."""
    written = {"name": name, "content": content, "category": category.strip() or None}
    try:
        await store.replace_template(upstream(request), here.access, here.cafe.cafe_id, template_id, written)
    except RefusedCall as error:
        return await _template_form(request, here, template_id, written, error)
    return go(request, f"/c/{here.cafe.cafe_id}/messages/templates")


@router.post("/templates/{template_id}/remove")
async def remove_template(request: Request, here: Here, template_id: UUID) -> Response:
    """Takes a text of the cafe's own out of the library."""
    await store.remove_template(upstream(request), here.access, here.cafe.cafe_id, template_id)
    return go(request, f"/c/{here.cafe.cafe_id}/messages/templates")


@router.get("/spend")
async def show_spend(request: Request, here: Here, month: date | None = None) -> Response:
    """What messages cost in a month, day by day, against the budget."""
    spend = await store.spend(upstream(request), here.access, here.cafe.cafe_id, month)
    today = clock.now().astimezone(ZoneInfo(here.cafe.time_zone)).date()
    speech = speech_of(look_of(request), here)
    data: dict[str, Any] = {
        "spend": spend,
        "days": [
            (day, rules.own(cost, spend.currency_unit, speech), sent)
            for day, cost, sent in messages.every_day(spend, today)
        ],
        "before": spend.first - timedelta(days=1),
        "after": spend.last + timedelta(days=1) if spend.last < today else None,
    }
    return page(request, "spend.html", here, nav="messages", **data, **_spoken(request, here))


@router.get("/replies")
async def show_replies(request: Request, here: Here) -> Response:
    """What guests answered that waits for a person."""
    shown = await messages.list_replies(upstream(request), here)
    return page(request, "replies.html", here, nav="messages", shown=shown)


@router.post("/replies/{reply_id}")
async def settle_reply(request: Request, here: Here, reply_id: UUID, settled_as: Typed) -> Response:
    """Says what an answer is."""
    await store.settle_reply(upstream(request), here.access, here.cafe.cafe_id, reply_id, settled_as)
    return go(request, f"/c/{here.cafe.cafe_id}/messages/replies")


async def _one(
    request: Request,
    here: Here,
    journey_id: UUID,
    form: dict[str, str] | None = None,
    error: RefusedCall | None = None,
    done: str = "",
) -> Response:
    up = upstream(request)
    shown = await messages.show_one(up, here, journey_id)
    journey, speech = shown.journey, speech_of(look_of(request), here)
    values = form or _as_form(journey, speech)
    previewed = _previewed(await messages.preview_of(up, here, journey, values["template"]))
    told = refused(error, look_of(request).language) if error else {}
    data: dict[str, Any] = {"shown": shown, "values": values, "done": done, "whole": rules.whole_text}
    data["insertions"] = rules.insertions(journey.trigger)
    status = error.status if error else 200
    return page(
        request,
        "message.html",
        here,
        status=status,
        nav="messages",
        **data,
        **previewed,
        **_spoken(request, here),
        **told,
    )


async def _template_form(
    request: Request, here: Here, template_id: UUID | None, values: dict[str, Any], error: RefusedCall | None = None
) -> Response:
    shown = await messages.preview(upstream(request), here, {"content": values["content"], "purpose": "marketing"})
    told = refused(error, look_of(request).language) if error else {}
    data: dict[str, Any] = {"values": values, "template_id": template_id, "insertions": rules.insertions(None)}
    return page(
        request, "template.html", here, status=error.status if error else 200, nav="messages", **data,
        **_previewed(shown), **_spoken(request, here), **told,
    )  # fmt: skip


def _asked(form: dict[str, str], journey: JourneyOfCafe, speech: Speech) -> dict[str, Any]:
    """What the form asks for that is not so already; what stands in it as it was shown is no wish."""
    as_it_is = _as_form(journey, speech)
    asked: dict[str, Any] = {}
    if form["template"].replace("\r\n", "\n").strip() != as_it_is["template"].strip():
        asked["template"] = form["template"]
    if form["delay_minutes"] and form["delay_minutes"] != as_it_is["delay_minutes"]:
        asked["delay_minutes"] = rules.whole_number(form["delay_minutes"])
    if form["budget"] != as_it_is["budget"]:
        asked |= {"budget": rules.amount(form["budget"]), "currency_unit": speech.unit}
    if bool(form["ignores_quiet_hours"]) != journey.ignores_quiet_hours:
        asked["ignores_quiet_hours"] = bool(form["ignores_quiet_hours"])
    return asked


def _as_form(journey: JourneyOfCafe, speech: Speech) -> dict[str, str]:
    return {
        "template": messages.text_of(journey),
        "delay_minutes": speech.digits(journey.delay_minutes),
        "budget": rules.bare_price(journey.budget, journey.currency_unit, speech),
        "ignores_quiet_hours": "yes" if journey.ignores_quiet_hours else "",
    }


def _previewed(shown: object) -> dict[str, Any]:
    wrong = shown if isinstance(shown, RefusedCall) else None
    text = None if shown is None or isinstance(shown, RefusedCall | Away) else shown
    return {"preview": text, "wrong": wrong}


def _spoken(request: Request, here: Here) -> dict[str, Any]:
    return {
        "price": partial(rules.price, s=speech_of(look_of(request), here)),
        "delay": rules.delay,
        "dir_of": rules.direction,
    }
