"""Rewards: kept by managers, offered by tills and staff, and taken with points."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import convert, to_builtins
from msgspec.structs import asdict, replace

from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.accounts import Account, Plan, Redemption
from services.loyalty.models.http_rewards import (
    BillSoFar,
    ChangeReward,
    NearReward,
    OfferedReward,
    OfferReward,
    RewardConditions,
    RewardForGuest,
    ShownReward,
    WhyNot,
)
from services.loyalty.models.rewards import Conditions, Occasion, Reward, RewardRefusal, RewardSeeker, Terms
from services.loyalty.rules import rewards as rules
from services.loyalty.rules import tiers
from services.loyalty.rules.bill_facts import lines_of
from services.loyalty.store import grants, rewards
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.inputs.amounts import INSIDE, inside
from shared.persian.money import Unit, rounded
from shared.security.access import unit_of

MOST_REWARDS: Final = 200
EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
MenuCoder = Callable[[str], str]
"""What stands for a word of the cafe's menu, where the word itself may not be."""

# What each refusal says, in English and in Persian.
REFUSALS: Final[dict[RewardRefusal, tuple[str, str]]] = {
    "reward_unknown": ("There is no such reward in this cafe.", "چنین پاداشی در این کافه نیست."),
    "reward_inactive": ("This reward is not offered at present.", "این پاداش فعلاً ارائه نمی‌شود."),
    "reward_not_valid": (
        "This reward has not begun or is over.", "زمان این پاداش هنوز نرسیده یا به پایان رسیده است.",
    ),
    "not_for_points": (
        "This reward is not to be had for points; stamp cards give it.",
        "این پاداش با امتیاز داده نمی‌شود و هدیهٔ کارت مهر است.",
    ),
    "wrong_branch": (
        "This reward is for other branches; send branch_id.", "این پاداش برای شعبه‌های دیگر است؛ branch_id را بفرستید.",
    ),
    "wrong_day": ("This reward is not for this day of the week.", "این پاداش برای این روز هفته نیست."),
    "wrong_hour": ("This reward is not for this hour.", "این پاداش برای این ساعت نیست."),
    "tier_too_low": ("The guest's tier is too low for this reward.", "سطح مهمان برای این پاداش کافی نیست."),
    "bill_too_small": (
        "The bill is too small for this reward; send bill.final_amount.",
        "مبلغ صورت‌حساب برای این پاداش کافی نیست؛ bill.final_amount را بفرستید.",
    ),
    "not_on_bill": (
        "Nothing on the bill is what this reward is good for.", "چیزی که این پاداش برای آن است در صورت‌حساب نیست.",
    ),
    "guest_limit": ("The guest has had this reward as often as may be.", "سهم این مهمان از این پاداش پر شده است."),
    "INSUFFICIENT_POINTS": ("The guest has too few points for this reward.", "امتیاز مهمان برای این پاداش کافی نیست."),
    "out_of_stock": ("None of this reward is left.", "موجودی این پاداش تمام شده است."),
}  # fmt: skip


async def offer(conn: Connection, cafe_id: UUID, author: UUID, wanted: OfferReward, code: MenuCoder) -> ShownReward:
    """A new reward; the same one again when it is asked for again.

    Raises Rejected when its id or its key belongs to another, or the cafe has as many as it may.
    """
    unit = await unit_of(conn, cafe_id)
    terms = Terms(
        name=wanted.name,
        kind=wanted.kind,
        cost_points=wanted.cost_points,
        value=_toman(wanted.value, wanted.currency_unit or unit),
        minimum_bill=rounded(inside(wanted.minimum_bill, wanted.currency_unit or unit)),
        conditions=_conditions(wanted.conditions, code),
    )
    _check_value(terms)
    known = await rewards.find(conn, cafe_id, wanted.reward_id)
    if known is not None:
        if (known.key, known.terms) != (wanted.key, terms):
            raise _taken("reward_id", "reward_id_taken")
        return shown(known, unit)
    if len(await rewards.list_of_cafe(conn, cafe_id, MOST_REWARDS)) >= MOST_REWARDS:
        raise _too_many()
    reward = Reward(
        cafe_id=cafe_id, reward_id=wanted.reward_id, key=wanted.key, version=1, is_active=wanted.is_active,
        stock=wanted.stock, taken=0, terms=terms, created_by=author, created_at=now(),
    )  # fmt: skip
    if not await rewards.add(conn, reward):
        raise _taken("key", "reward_key_taken")
    return shown(reward, unit)


async def change(
    conn: Connection, cafe_id: UUID, reward_id: UUID, author: UUID, wanted: ChangeReward, code: MenuCoder
) -> ShownReward:
    """The reward with what was sent in place of what it was.

    Raises NotFound, and Rejected for a stock below what is taken.
    """
    known = await rewards.lock(conn, cafe_id, reward_id)
    if known is None:
        raise NotFound("reward", "چنین پاداشی")
    unit, sent = await unit_of(conn, cafe_id), wanted.model_fields_set
    terms = replace(known.terms, **_new_terms(wanted, wanted.currency_unit or unit, code))
    _check_value(terms)
    changed = replace(
        known,
        terms=terms,
        version=known.version + (terms != known.terms),
        is_active=wanted.is_active if wanted.is_active is not None else known.is_active,
        stock=wanted.stock if "stock" in sent else known.stock,
    )
    if changed.stock is not None and changed.stock < changed.taken:
        raise _below_taken(changed.taken)
    if changed != known:
        await rewards.change(conn, known, changed, author, now())
    return shown(changed, unit)


async def list_all(conn: Connection, cafe_id: UUID) -> list[ShownReward]:
    """All rewards of the cafe, also those that are offered no more, the oldest first."""
    unit = await unit_of(conn, cafe_id)
    return [shown(each, unit) for each in await rewards.list_of_cafe(conn, cafe_id, MOST_REWARDS)]


async def list_offered(conn: Connection, cafe_id: UUID, branch_id: UUID | None) -> list[OfferedReward]:
    """What may be offered now for points, the cheapest first."""
    unit, plan = await unit_of(conn, cafe_id), (await plans_of(conn, [cafe_id]))[cafe_id]
    occasion = by_its_clock(Occasion(at=now(), branch=branch_id), plan)
    found = await rewards.list_of_cafe(conn, cafe_id, MOST_REWARDS, only_active=True)
    kept = [each for each in found if next(rules.offered(each, occasion), None) is None]
    return [_offered(each, unit) for each in rules.cheapest_first(kept)]


def occasion_of(at: datetime, branch_id: UUID | None, bill: BillSoFar | None, code: MenuCoder) -> Occasion:
    """When, where and for which bill somebody asks."""
    return Occasion(
        at=at,
        branch=branch_id,
        bill=inside(bill.final_amount, bill.currency_unit) if bill else None,
        lines=lines_of(bill.items, bill.currency_unit, code) if bill else (),
    )


def by_its_clock(occasion: Occasion, plan: Plan) -> Occasion:
    """The same with the moment as the cafe's clock shows it."""
    return replace(occasion, at=occasion.at.astimezone(ZoneInfo(plan.time_zone)))


async def priced(
    conn: Connection, wanted: Redemption, account: Account | None, occasion: Occasion, plan: Plan
) -> Redemption:
    """The redemption of a reward at what it costs now, by its newest version.

    Raises Rejected with what keeps the guest from having it: the first as its code, all of them as problems.
    """
    assert wanted.reward_id is not None
    reward = await rewards.find(conn, wanted.cafe_id, wanted.reward_id)
    if reward is None:
        raise refused(["reward_unknown"])
    occasion = by_its_clock(occasion, plan)
    seeker = await _seeker(conn, wanted.cafe_id, wanted.customer_id, account, [reward], occasion, plan)
    if found := rules.refusals(reward, occasion, seeker):
        raise refused(found)
    assert reward.terms.cost_points is not None
    return replace(wanted, points=reward.terms.cost_points, kind=reward.terms.kind, reward_version=reward.version)


async def within_reach(
    conn: Connection,
    cafe_id: UUID,
    customer_id: UUID | None,
    account: Account | None,
    occasion: Occasion,
    plan: Plan,
) -> tuple[list[OfferedReward], NearReward | None]:
    """The rewards that the guest may have now with this bill, the cheapest first; and the cheapest that only points
    keep from them."""
    found = rules.cheapest_first(await rewards.list_of_cafe(conn, cafe_id, MOST_REWARDS, only_active=True))
    if not found:
        return [], None
    occasion, unit = by_its_clock(occasion, plan), await unit_of(conn, cafe_id)
    seeker = await _seeker(conn, cafe_id, customer_id, account, found, occasion, plan)
    reached = [each for each in found if not rules.refusals(each, occasion, seeker)]
    lacking = ((each, rules.missing(each, occasion, seeker)) for each in found)
    near = next(((each, points) for each, points in lacking if points is not None), None)
    return [_offered(each, unit) for each in reached], _near(*near) if near else None


async def for_guest(
    conn: Connection, cafe_id: UUID, customer_id: UUID, account: Account | None, occasion: Occasion, plan: Plan
) -> tuple[list[RewardForGuest], int]:
    """The rewards on offer, the cheapest first, each with all that keeps it from the guest now; and how many points
    the guest can spend."""
    occasion, unit = by_its_clock(occasion, plan), await unit_of(conn, cafe_id)
    kept = await rewards.list_of_cafe(conn, cafe_id, MOST_REWARDS, only_active=True)
    found = [each for each in rules.cheapest_first(kept) if rules.is_on_offer(each, occasion)]
    seeker = await _seeker(conn, cafe_id, customer_id, account, found, occasion, plan)
    shown_ones = []
    for each in found:
        reasons = [WhyNot(code=code, en=en, fa=fa) for code in rules.refusals(each, occasion, seeker)
                   for en, fa in [REFUSALS[code]]]  # fmt: skip
        row = _row(each) | {"refusals": reasons, "points_missing": rules.lacking(each, seeker)}
        shown_ones.append(RewardForGuest.of(row, unit))
    return shown_ones, seeker.balance


def refused(reasons: Sequence[RewardRefusal]) -> Rejected:
    """The answer to who can't have a reward."""
    problems = [Problem("reward_id", reason, *REFUSALS[reason]) for reason in reasons]
    status = 404 if reasons[0] == "reward_unknown" else 409
    return Rejected(reasons[0], *REFUSALS[reasons[0]], status=status, problems=problems)


def shown(reward: Reward, unit: Unit) -> ShownReward:
    """The reward as the cafe keeps it, in its unit of money."""
    return ShownReward.of(_row(reward), unit)


def _offered(reward: Reward, unit: Unit) -> OfferedReward:
    return OfferedReward.of(_row(reward), unit)


def _row(reward: Reward) -> dict[str, Any]:
    conditions = to_builtins(reward.terms.conditions)
    return asdict(reward) | asdict(reward.terms) | {
        "conditions": conditions, "stock_left": reward.left, "currency_unit": INSIDE,
    }  # fmt: skip


def _near(reward: Reward, points: int) -> NearReward:
    return NearReward(reward_id=reward.reward_id, key=reward.key, name=reward.terms.name, points_missing=points)


async def _seeker(
    conn: Connection,
    cafe_id: UUID,
    customer_id: UUID | None,
    account: Account | None,
    asked: Sequence[Reward],
    occasion: Occasion,
    plan: Plan,
) -> RewardSeeker:
    since = {
        each.reward_id: rules.counts_since(each.terms.conditions, occasion.at) or EVER
        for each in asked
        if each.terms.conditions.per_guest is not None
    }
    standing = account.standing if account else tiers.NOBODY
    waiting = await grants.waiting(conn, cafe_id, account.customer_id, occasion.at) if account else 0
    return RewardSeeker(
        tier=tiers.rank(plan, standing, occasion.at).tier,
        balance=account.balance - waiting if account else 0,
        had=await rewards.had(conn, cafe_id, customer_id, since) if customer_id else {},
    )


def _conditions(body: RewardConditions, code: MenuCoder) -> Conditions:
    """As they are kept: with what stands for the words, so that who compares needs no key."""
    made = convert(body.model_dump(mode="json", exclude_defaults=True), Conditions)
    return replace(made, codes={word: code(word) for word in made.match.words()}) if made.match else made


def _new_terms(wanted: ChangeReward, unit: Unit, code: MenuCoder) -> dict[str, Any]:
    given: dict[str, Any] = {
        name: getattr(wanted, name) for name in ("name", "cost_points") if name in wanted.model_fields_set
    }
    given |= {
        name: _toman(getattr(wanted, name), unit)
        for name in ("value", "minimum_bill")
        if name in wanted.model_fields_set
    }
    if wanted.conditions is not None:
        given["conditions"] = _conditions(wanted.conditions, code)
    return given


def _toman(amount: Decimal | None, unit: Unit) -> Decimal | None:
    return None if amount is None else rounded(inside(amount, unit))


def _check_value(terms: Terms) -> None:
    if (terms.kind == "discount") == bool(terms.value):
        return
    problem = Problem(
        "value",
        "value_of_discounts",
        "A discount has a value above zero, and an item has none.",
        "تخفیف مبلغی بیش از صفر دارد و کالا مبلغی ندارد.",
    )
    raise Rejected("invalid_input", problem.en, problem.fa, problems=[problem])


def _below_taken(taken: int) -> Rejected:
    problem = Problem(
        "stock",
        "stock_below_taken",
        f"{taken} of it are taken already; stock counts them too.",
        f"{taken} عدد از آن داده شده است و موجودی آن‌ها را هم می‌شمارد.",
    )
    return Rejected("stock_below_taken", problem.en, problem.fa, status=409, problems=[problem])


def _taken(field: str, code: str) -> Rejected:
    problem = Problem(
        field, code, "It belongs to another reward; make up a new one.", "از آنِ پاداش دیگری است؛ تازه‌ای بسازید."
    )
    return Rejected(code, problem.en, problem.fa, status=409, problems=[problem])


def _too_many() -> Rejected:
    return Rejected(
        "too_many_rewards",
        f"A cafe has at most {MOST_REWARDS} rewards; change one that is offered no more.",
        "هر کافه حداکثر ۲۰۰ پاداش دارد؛ یکی از پاداش‌های کنارگذاشته را تغییر دهید.",
        status=409,
    )
