"""Rewards in the club room: what guests may have for their points, and how many are left."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from services.console.api.forms import FormId, Typed, typed_day
from services.console.api.rendering import go, look_of, page, refused, speech_of
from services.console.api.visiting import Here, upstream
from services.console.handlers import rewards as handler
from services.console.models.http_rewards import RewardForm
from services.console.models.rewards import RewardOfCafe
from services.console.rules import rewards as rules
from services.console.rules import roles
from services.console.rules.rule_writing import LADDER
from services.console.store import rewards
from services.console.store.upstream import RefusedCall
from shared.clock import new_id
from shared.errors import Rejected
from shared.persian.calendar import day_bounds

router = APIRouter(prefix="/c/{cafe_id}/club/rewards", include_in_schema=False)

FormOfReward = Annotated[RewardForm, Form()]
TakenCount = Annotated[int, Form(ge=0, le=1_000_000_000)]


@router.get("")
async def show_rewards(request: Request, here: Here, done: str = "") -> Response:
    """All rewards as cards."""
    return await _list(request, here, done=done)


@router.get("/new")
async def ask_new(request: Request, here: Here) -> Response:
    """An empty form. It has the reward's id, so that a second tap makes no second one."""
    _must_keep(here)
    return await _form(request, here, RewardForm(), new_id())


@router.post("")
async def offer(request: Request, here: Here, form: FormOfReward, reward_id: FormId) -> Response:
    """Offers a new reward."""
    try:
        since, until = _span(form, here.cafe.time_zone)
        written = rules.as_offer(form, reward_id, here.cafe.currency_unit, since, until)
        await rewards.offer_reward(upstream(request), here.access, here.cafe.cafe_id, written)
    except RefusedCall as error:
        return await _form(request, here, form, reward_id, error=error)
    return go(request, f"{_address(here)}?done=offered")


@router.get("/{reward_id}")
async def ask_change(request: Request, here: Here, reward_id: UUID) -> Response:
    """The form of one of them."""
    _must_keep(here)
    reward = await handler.find(upstream(request), here, reward_id)
    return await _form(request, here, rules.as_form(reward, speech_of(look_of(request), here)), reward_id, reward)


@router.post("/{reward_id}")
async def change(request: Request, here: Here, reward_id: UUID, form: FormOfReward) -> Response:
    """Changes it. Those who have one already keep what they have."""
    reward = await handler.find(upstream(request), here, reward_id)
    try:
        since, until = _span(form, here.cafe.time_zone)
        written = rules.as_change(form, reward.kind, here.cafe.currency_unit, since, until)
        await rewards.change_reward(upstream(request), here.access, here.cafe.cafe_id, reward_id, written)
    except RefusedCall as error:
        return await _form(request, here, form, reward_id, reward, error)
    return go(request, f"{_address(here)}?done=changed")


@router.post("/{reward_id}/stock")
async def restock(request: Request, here: Here, reward_id: UUID, taken: TakenCount, left: Typed = "") -> Response:
    """How many are left from now on, without a number any. `taken`: how many were given when the person counted, so
    that one given meanwhile is not there twice."""
    number = rules.number(left)
    written = {"stock": taken + int(number) if number and number.isdecimal() else number}
    try:
        await rewards.change_reward(upstream(request), here.access, here.cafe.cafe_id, reward_id, written)
    except RefusedCall as error:
        return await _list(request, here, error, restocked=reward_id, left=left)
    return go(request, f"{_address(here)}?done=restocked")


@router.post("/{reward_id}/offer")
async def switch(request: Request, here: Here, reward_id: UUID, active: Typed) -> Response:
    """Takes it off the offer, or puts it there again."""
    written = {"is_active": active == "yes"}
    await rewards.change_reward(upstream(request), here.access, here.cafe.cafe_id, reward_id, written)
    return go(request, f"{_address(here)}?done={'on' if active == 'yes' else 'off'}")


async def _list(
    request: Request,
    here: Here,
    error: RefusedCall | None = None,
    done: str = "",
    restocked: UUID | None = None,
    left: str = "",
) -> Response:
    shown = await handler.show(upstream(request), here)
    speech = speech_of(look_of(request), here)
    data: dict[str, Any] = {
        "shown": shown,
        "limits": {each.reward_id: rules.limits(each, shown.branches, speech) for each in shown.rewards},
        "worths": {each.reward_id: rules.worth_of_cost(each, shown.point_worth) for each in shown.rewards},
        "pictures": rules.LIMITS,
        "done": done,
        "restocked": restocked,
        "left": left,
    }
    told = refused(error, look_of(request).language) if error else {}
    return page(request, "rewards.html", here, status=error.status if error else 200, nav="club", **data, **told)


async def _form(
    request: Request,
    here: Here,
    form: RewardForm,
    reward_id: UUID,
    reward: RewardOfCafe | None = None,
    error: RefusedCall | None = None,
) -> Response:
    data: dict[str, Any] = {
        "values": form.model_dump(),
        "reward_id": reward_id,
        "reward": reward,
        "branches": await handler.branches_of(upstream(request), here),
        "week": rules.WEEK,
        "tiers": LADDER[1:],
    }
    told = refused(_at_its_field(error), look_of(request).language) if error else {}
    return page(request, "reward_form.html", here, status=error.status if error else 200, nav="club", **data, **told)


def _at_its_field(error: RefusedCall) -> RefusedCall:
    """A fault of one word or one branch of several is one of the field that has them."""
    faults = tuple(replace(each, field=each.field.rstrip("0123456789.")) for each in error.faults)
    return RefusedCall(error.status, error.code, error.en, error.fa, faults, error.retry_after)


def _span(form: RewardForm, zone: str) -> tuple[datetime | None, datetime | None]:
    since = day_bounds(typed_day("valid_from", form.valid_from), zone)[0] if form.valid_from.strip() else None
    until = day_bounds(typed_day("valid_until", form.valid_until), zone)[1] if form.valid_until.strip() else None
    return since, until


def _must_keep(here: Here) -> None:
    if not roles.may(here.cafe.role, "keep_rewards"):
        raise Rejected(
            "forbidden", "Managers and owners keep rewards.", "پاداش‌ها را مدیر و مالک نگه می‌دارند.", status=403
        )


def _address(here: Here) -> str:
    return f"/c/{here.cafe.cafe_id}/club/rewards"
