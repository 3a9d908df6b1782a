"""The club: its figures, its rules and a new version of them, and what came, went or lapses."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api import rehearsals
from services.console.api.forms import Typed, typed_moment
from services.console.api.rendering import go, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import club
from services.console.handlers.panels import there
from services.console.models.club import RulesVersion
from services.console.rules import club_rules
from services.console.rules.versions import in_force
from services.console.store import club as club_store
from services.console.store.upstream import RefusedCall
from shared import clock

router = APIRouter(prefix="/c/{cafe_id}/club", include_in_schema=False)

STATES = ("pending", "posted", "declined")


@router.get("")
async def show(request: Request, here: Here, done: str = "") -> Response:
    """How the club stands and by which rules."""
    shown = await club.show(upstream(request), here)
    known: tuple[RulesVersion, ...] = there(shown.versions, ())
    now = in_force(known, clock.now())
    said = club_rules.sentences(now, speech_of(look_of(request), here)) if now else ()
    return page(request, "club.html", here, nav="club", shown=shown, now_in_force=now, said=said, done=done)


@router.get("/rules")
async def show_rules(request: Request, here: Here) -> Response:
    """All versions of the rules, and the form of the next one."""
    versions = await club_store.versions(upstream(request), here.access, here.cafe.cafe_id)
    return _rules(request, here, versions)


@router.post("/rules")
async def write_rules(
    request: Request,
    here: Here,
    earn_per: Typed,
    bronze_multiplier: Typed,
    point_worth: Typed = "",
    silver_threshold: Typed = "",
    silver_multiplier: Typed = "",
    gold_threshold: Typed = "",
    gold_multiplier: Typed = "",
    platinum_threshold: Typed = "",
    platinum_multiplier: Typed = "",
    points_expire_days: Typed = "",
    negative_balance: Typed = "allow_after_refund",
    approval_above: Typed = "",
    from_day: Typed = "",
    from_clock: Typed = "",
    step: Typed = "look",
) -> Response:
    """A new version: first what it would change is shown, and only then it is sent."""
    form = {
        "earn_per": earn_per, "point_worth": point_worth, "bronze_multiplier": bronze_multiplier,
        "silver_threshold": silver_threshold, "silver_multiplier": silver_multiplier,
        "gold_threshold": gold_threshold, "gold_multiplier": gold_multiplier,
        "platinum_threshold": platinum_threshold, "platinum_multiplier": platinum_multiplier,
        "points_expire_days": points_expire_days, "negative_balance": negative_balance,
        "approval_above": approval_above, "from_day": from_day, "from_clock": from_clock,
    }  # fmt: skip
    up, access, cafe_id = upstream(request), here.access, here.cafe.cafe_id
    versions = await club_store.versions(up, access, cafe_id)
    last = versions[-1]
    wanted, missing = club_rules.written_version(form, last)
    if wanted is None:
        return _rules(request, here, versions, form, status=422, missing=missing)
    try:
        body = club_rules.as_body(wanted, last)
        if from_day.strip():
            zone = here.cafe.time_zone
            body["valid_from"] = typed_moment("from_day", from_day, "from_clock", from_clock or "0:00", zone)
        if step == "look":
            made = club_rules.changes(last, wanted, speech_of(look_of(request), here))
            return _rules(request, here, versions, form, changes=made, begins=body.get("valid_from"))
        if step == "rehearse":
            return await rehearsals.asked(request, here, body)
        answer = await club_store.propose(up, access, cafe_id, body)
    except RefusedCall as error:
        return _rules(request, here, versions, form, error)
    return go(request, f"/c/{cafe_id}/club?done={'asked' if answer.proposal_id else 'published'}")


@router.get("/given")
async def show_given(request: Request, here: Here, state: str = "", before: UUID | None = None) -> Response:
    """Points given and taken by hand, with who asked and who approved."""
    state = state if state in STATES else ""
    shown = await club.list_by_hand(upstream(request), here, state or None, before)
    return page(request, "club_given.html", here, nav="club", shown=shown, state=state, states=STATES)


@router.get("/lapsing")
async def show_lapsing(request: Request, here: Here) -> Response:
    """The guests whose points lapse soonest."""
    found, cards = await club.list_lapsing(upstream(request), here)
    return page(request, "club_lapsing.html", here, nav="club", found=found, cards=cards)


@router.get("/refused")
async def show_refused(request: Request, here: Here) -> Response:
    """What bills wanted to spend and the balance did not cover."""
    found, cards = await club.list_refused(upstream(request), here)
    return page(request, "club_refused.html", here, nav="club", found=found, cards=cards)


def _rules(
    request: Request,
    here: Here,
    versions: tuple[RulesVersion, ...],
    form: dict[str, str] | None = None,
    error: RefusedCall | None = None,
    **data: Any,
) -> Response:
    speech = speech_of(look_of(request), here)
    shown: dict[str, Any] = {"changes": None, "begins": None, "missing": None, "status": error.status if error else 200}
    shown |= data
    told = refused(error, look_of(request).language) if error else {}
    values = form or club_rules.as_form(versions[-1], speech)
    said = {each.version: club_rules.sentences(each, speech) for each in versions}
    now = in_force(versions, clock.now())
    begun = now.version if now else 0
    kept: dict[str, Any] = {
        "versions": versions[::-1],
        "said": said,
        "begun": begun,
        "values": values,
        "ladder": club_rules.LADDER[1:],
    }
    return page(request, "club_rules.html", here, nav="club", **shown, **kept, **told)
