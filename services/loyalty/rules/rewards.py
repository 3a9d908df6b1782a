"""Who may have a reward, when and for which bill. Each question is asked of the reward as it is offered now."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from services.loyalty.models.earning import WEEK, BillLine, Menu
from services.loyalty.models.programs import LADDER
from services.loyalty.models.rewards import Conditions, GoodFor, Occasion, Reward, RewardRefusal, RewardSeeker
from services.loyalty.rules.bill_facts import number_of


def offered(reward: Reward, occasion: Occasion) -> Iterator[RewardRefusal]:
    """What keeps it from being offered on this occasion, whoever asks. Without a branch none is asked for."""
    yield from _of_itself(reward, occasion)
    if occasion.branch is not None:
        yield from _of_branch(reward, occasion)
    yield from _of_time(reward.terms.conditions, occasion)
    if reward.left == 0:
        yield "out_of_stock"


def refusals(reward: Reward, occasion: Occasion, seeker: RewardSeeker) -> list[RewardRefusal]:
    """All that keeps the guest from having it, the first that matters first; none when it is theirs to take."""
    return [
        *_of_itself(reward, occasion),
        *_of_branch(reward, occasion),
        *_of_time(reward.terms.conditions, occasion),
        *_of_guest(reward, occasion, seeker),
    ]


def missing(reward: Reward, occasion: Occasion, seeker: RewardSeeker) -> int | None:
    """How many points the guest lacks for a reward that nothing else keeps from them; None for any other."""
    if refusals(reward, occasion, seeker) != ["INSUFFICIENT_POINTS"]:
        return None
    assert reward.terms.cost_points is not None
    return reward.terms.cost_points - seeker.balance


def lacking(reward: Reward, seeker: RewardSeeker) -> int:
    """How many points the guest lacks for it, whatever else keeps it from them."""
    return max(0, (reward.terms.cost_points or 0) - seeker.balance)


def is_on_offer(reward: Reward, occasion: Occasion) -> bool:
    """Whether it is to be had for points in these days, whatever the hour, the place and the guest."""
    return next(_of_itself(reward, occasion), None) is None


def counts_since(conditions: Conditions, at: datetime) -> datetime | None:
    """From when on pieces count for the limit of a guest who asks `at` that moment by the cafe's clock: the beginning
    of the first of the days. None when all do."""
    if conditions.per_guest_days is None:
        return None
    first = at.date() - timedelta(days=conditions.per_guest_days - 1)
    return datetime(first.year, first.month, first.day, tzinfo=at.tzinfo)


def _of_itself(reward: Reward, occasion: Occasion) -> Iterator[RewardRefusal]:
    if not reward.is_active:
        yield "reward_inactive"
    since, until = reward.terms.conditions.valid_from, reward.terms.conditions.valid_until
    if (since and occasion.at < since) or (until and occasion.at >= until):
        yield "reward_not_valid"
    if reward.terms.cost_points is None:
        yield "not_for_points"


def _of_branch(reward: Reward, occasion: Occasion) -> Iterator[RewardRefusal]:
    branches = reward.terms.conditions.branches
    if branches and occasion.branch not in branches:
        yield "wrong_branch"


def _of_time(conditions: Conditions, occasion: Occasion) -> Iterator[RewardRefusal]:
    if conditions.weekdays and WEEK[occasion.at.weekday()] not in conditions.weekdays:
        yield "wrong_day"
    since, until = conditions.from_time or "00:00", conditions.until_time or "24:00"
    clock = f"{occasion.at:%H:%M}"
    # Hours that end before they begin go over midnight.
    if not (since <= clock < until if since < until else clock >= since or clock < until):
        yield "wrong_hour"


def _of_guest(reward: Reward, occasion: Occasion, seeker: RewardSeeker) -> Iterator[RewardRefusal]:
    terms, conditions = reward.terms, reward.terms.conditions
    if conditions.least_tier and LADDER.index(seeker.tier) < LADDER.index(conditions.least_tier):
        yield "tier_too_low"
    if terms.minimum_bill and (occasion.bill is None or occasion.bill < terms.minimum_bill):
        yield "bill_too_small"
    if conditions.match and occasion.lines and not _is_any_of(menu_of(conditions), occasion.lines):
        yield "not_on_bill"
    if conditions.per_guest is not None and seeker.had.get(reward.reward_id, 0) >= conditions.per_guest:
        yield "guest_limit"
    if terms.cost_points is not None and seeker.balance < terms.cost_points:
        yield "INSUFFICIENT_POINTS"
    if reward.left == 0:
        yield "out_of_stock"


def menu_of(conditions: Conditions) -> Menu:
    """What it is good for, as lines of bills have it."""
    match, codes = conditions.match or GoodFor(), conditions.codes
    return Menu(
        *(
            frozenset(found for word in words if (found := number_of(codes[word])) is not None)
            for words in (match.categories, match.skus, match.names)
        )
    )


def cheapest_first(rewards: Sequence[Reward]) -> list[Reward]:
    """In the order in which they are shown."""
    return sorted(rewards, key=lambda each: (each.terms.cost_points is None, each.terms.cost_points or 0, each.key))


def _is_any_of(menu: Menu, lines: Sequence[BillLine]) -> bool:
    # A line below zero takes off the price of another.
    bought = [line for line in lines if line.amount is None or line.amount >= 0]
    return any(each.category in menu.categories or each.sku in menu.skus or each.name in menu.names for each in bought)
