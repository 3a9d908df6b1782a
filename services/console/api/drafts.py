"""Writing a campaign, in four steps. The draft is kept by the campaign service from the first step on."""

from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from services.console.api.forms import Prose, Typed, typed_moment
from services.console.api.rendering import go, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import campaigns
from services.console.models.campaigns import CampaignRow
from services.console.rules import campaigns as rules
from services.console.store import campaigns as store
from services.console.store.upstream import RefusedCall, RefusedField
from shared.persian.text import latin_digits

router = APIRouter(prefix="/c/{cafe_id}/campaigns", include_in_schema=False)
Segments = Annotated[list[str], Form(max_length=50)]
SegmentAsked = Annotated[str, Query(max_length=50)]
SeenVersion = Annotated[int | None, Form()]
# What separates thousands, as people write amounts.
_APART = str.maketrans("", "", "٬,، \u200c")


@router.get("/new")
async def begin(request: Request, here: Here, segment: SegmentAsked = "") -> Response:
    """Who it is for: the first step, before anything is saved."""
    draft = await campaigns.begin(upstream(request), here, segment)
    values = {"name": "", "purpose": "marketing", "segments": [segment] if segment else [], "everyone": not segment}
    return _step(request, here, "recipients", draft, values=values)


@router.post("/new")
async def write(
    request: Request,
    here: Here,
    purpose: Typed,
    segments: Segments = [],  # noqa: B006
    name: Typed = "",
    everyone: Typed = "",
) -> Response:
    """Saves the first step as a new draft."""
    up = upstream(request)
    values = {"name": name, "purpose": purpose, "segments": segments, "everyone": bool(everyone)}
    try:
        title = name.strip() or await _title(request, here, segments)
        target = _target(segments, everyone)
        made = await store.write(
            up, here.access, here.cafe.cafe_id, {"name": title, "purpose": purpose, "target": target}
        )
    except RefusedCall as error:
        draft = await campaigns.begin(up, here, segments[0] if segments else "")
        return _step(request, here, "recipients", draft, values=values, error=error)
    return go(request, f"/c/{here.cafe.cafe_id}/campaigns/{made.id}/text")


@router.post("/look")
async def look_at_recipients(
    request: Request,
    here: Here,
    purpose: Typed,
    segments: Segments = [],  # noqa: B006
    everyone: Typed = "",
) -> Response:
    """Who would be written to, and who not and why: a part of the first step."""
    drafted = {"target": _target(segments, everyone), "purpose": purpose, "counts": True}
    return page(request, "campaign_reach.html", here, draft=await campaigns.look(upstream(request), here, drafted))


@router.get("/{campaign_id}/{step}")
async def show_step(request: Request, here: Here, campaign_id: UUID, step: rules.CampaignStep) -> Response:
    """A step of a draft. One that has begun has no steps any more."""
    return await _shown(request, here, campaign_id, step)


@router.post("/{campaign_id}/recipients")
async def save_recipients(
    request: Request,
    here: Here,
    campaign_id: UUID,
    purpose: Typed,
    name: Typed = "",
    segments: Segments = [],  # noqa: B006
    everyone: Typed = "",
    version: SeenVersion = None,
) -> Response:
    """Saves who it is for."""
    values = {"name": name, "purpose": purpose, "segments": segments, "everyone": bool(everyone)}
    try:
        title = name.strip() or await _title(request, here, segments)
        changed = {"name": title, "purpose": purpose, "target": _target(segments, everyone)}
        await campaigns.save(upstream(request), here, campaign_id, version, **changed)
    except RefusedCall as error:
        return await _shown(request, here, campaign_id, "recipients", error, values)
    return go(request, f"/c/{here.cafe.cafe_id}/campaigns/{campaign_id}/text")


@router.post("/{campaign_id}/text")
async def save_text(
    request: Request,
    here: Here,
    campaign_id: UUID,
    text: Prose = "",
    use: Typed = "",
    phone: Typed = "",
    then: Typed = "",
    version: SeenVersion = None,
) -> Response:
    """Saves the text: to go on, to see one of the library instead (`use`), or to have it sent to one's own number."""
    up, home = upstream(request), f"/c/{here.cafe.cafe_id}/campaigns/{campaign_id}"
    values = {"text": text, "phone": phone}
    try:
        if use:
            texts = await store.ready_texts(up, here.access, here.cafe.cafe_id)
            chosen = next((each for each in texts if str(each.id) == use), None)
            text = rules.with_fallbacks(chosen.content, chosen.variables) if chosen else text
            values["text"] = text
        saved = await campaigns.save(up, here, campaign_id, version, template=text.strip() or None, fallbacks={})
        if then == "try":
            await store.try_out(up, here.access, here.cafe.cafe_id, campaign_id, phone)
            return await _shown(request, here, campaign_id, "text", None, values, done="tried")
    except RefusedCall as error:
        return await _shown(request, here, campaign_id, "text", error, values)
    if not saved.template_content and then != "back":
        return await _shown(request, here, campaign_id, "text", _no_text(), values)
    return go(request, f"{home}/text" if use else f"{home}/recipients" if then == "back" else f"{home}/time")


@router.post("/{campaign_id}/look")
async def look_at_text(
    request: Request, here: Here, campaign_id: UUID, text: Prose = "", reached: Annotated[int, Form(ge=0)] = 0
) -> Response:
    """What guests would read and what it would cost, while it is written: a part of the second step."""
    up = upstream(request)
    campaign = await store.find(up, here.access, here.cafe.cafe_id, campaign_id)
    drafted = rules.draft_of(campaign, counts=False, template=text.strip() or None, fallbacks={})
    draft = await campaigns.look(up, here, drafted)
    return page(request, "campaign_look.html", here, draft=draft, reached=reached, rules=rules, typed=text)


@router.post("/{campaign_id}/time")
async def save_time(
    request: Request,
    here: Here,
    campaign_id: UUID,
    when: Typed = "now",
    day: Typed = "",
    clock: Typed = "",
    budget: Typed = "",
    then: Typed = "",
    version: SeenVersion = None,
) -> Response:
    """Saves when it begins and what it may cost."""
    home = f"/c/{here.cafe.cafe_id}/campaigns/{campaign_id}"
    values = {"when": when, "day": day, "clock": clock, "budget": budget}
    try:
        date = None if when == "now" else typed_moment("day", day, "clock", clock, here.cafe.time_zone)
        changed = {"wanted_date": date, "budget": _amount(budget), "currency_unit": here.cafe.currency_unit}
        await campaigns.save(upstream(request), here, campaign_id, version, **changed)
    except RefusedCall as error:
        return await _shown(request, here, campaign_id, "time", error, values)
    return go(request, f"{home}/text" if then == "back" else f"{home}/review")


@router.post("/{campaign_id}/send")
async def send(request: Request, here: Here, campaign_id: UUID) -> Response:
    """Lets it begin, or has it wait for a second person, as the cafe's policy says."""
    try:
        await store.schedule(upstream(request), here.access, here.cafe.cafe_id, campaign_id)
    except RefusedCall as error:
        return await _shown(request, here, campaign_id, "review", error)
    return go(request, f"/c/{here.cafe.cafe_id}/campaigns/{campaign_id}")


async def _shown(
    request: Request,
    here: Here,
    campaign_id: UUID,
    step: rules.CampaignStep,
    error: RefusedCall | None = None,
    values: dict[str, Any] | None = None,
    done: str = "",
) -> Response:
    draft = await campaigns.show_step(upstream(request), here, campaign_id, step)
    assert draft.campaign is not None
    if "edit" not in rules.acts_of(draft.campaign):
        return go(request, f"/c/{here.cafe.cafe_id}/campaigns/{campaign_id}")
    typed = _values(request, here, draft.campaign) | (values or {})
    return _step(request, here, step, draft, values=typed, error=error, done=done)


def _step(
    request: Request,
    here: Here,
    step: rules.CampaignStep,
    draft: campaigns.DraftPage,
    *,
    values: dict[str, Any],
    error: RefusedCall | None = None,
    done: str = "",
) -> Response:
    told = refused(error, look_of(request).language) if error else {}
    status = error.status if error else 200
    data: dict[str, Any] = {
        "draft": draft,
        "values": values,
        "rules": rules,
        "step": step,
        "steps": rules.STEPS,
        "done": done,
    }
    data["reached"] = getattr(draft.preview, "reached", 0)
    data["typed"] = values.get("text", "")
    return page(request, f"campaign_{step}.html", here, status=status, nav="campaigns", **data, **told)


def _values(request: Request, here: Here, campaign: CampaignRow) -> dict[str, Any]:
    """What the fields of all steps hold of a saved draft."""
    speech = speech_of(look_of(request), here)
    date, budget = campaign.wanted_date, campaign.budget
    return {
        "name": campaign.name,
        "purpose": campaign.purpose,
        "segments": list(campaign.segments or ()),
        "everyone": campaign.segments is None,
        "text": rules.with_fallbacks(campaign.template_content, campaign.template_variables),
        "when": "now" if date is None else "later",
        "day": "" if date is None else speech.day_typed(date),
        "clock": "" if date is None else speech.clock(date),
        "budget": ""
        if budget is None
        else speech.number(rules.in_own(budget, campaign.currency_unit, here.cafe.currency_unit)),
    }


async def _title(request: Request, here: Here, segments: list[str]) -> str:
    """A name for a campaign that nobody named: whom it is for."""
    found = await store.targets(upstream(request), here.access, here.cafe.cafe_id)
    names = [each.name for each in found if each.segment_key in segments]
    joined = "، ".join(names) if look_of(request).language == "fa" else ", ".join(names)
    return joined[:200] or here.cafe.name


def _target(segments: list[str], everyone: str) -> dict[str, Any]:
    return {"everyone": True} if everyone else {"segments": segments}


def _amount(typed: str) -> Decimal | None:
    """The amount that was typed; raises `RefusedCall` for what is none."""
    plain = latin_digits(typed).translate(_APART)
    if not plain:
        return None
    if not plain.isdecimal() or len(plain) > 15:
        en, fa = "Write a whole amount.", "مبلغ را با رقم بنویسید."
        raise RefusedCall(422, "budget", en, fa, (RefusedField("budget", en, fa),), 0)
    return Decimal(plain)


def _no_text() -> RefusedCall:
    en, fa = "Write the text first.", "نخست متن پیام را بنویسید."
    return RefusedCall(422, "text", en, fa, (RefusedField("text", en, fa),), 0)
