"""What a guest may have now, and in which words one says why not the rest."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from services.console.models.counter import OffersAtCounter, RewardAtHand
from services.console.models.people import BranchOfCafe
from services.console.rules.rewards import RewardLimit, limits
from services.console.rules.speech import Speech

# A refusal that one of the reward's limits explains, and the limits that do.
BY_LIMIT: Final[Mapping[str, tuple[str, ...]]] = {
    "wrong_branch": ("branches",),
    "wrong_day": ("days",),
    "wrong_hour": ("hours",),
    "tier_too_low": ("tier",),
    "bill_too_small": ("bill",),
    "not_on_bill": ("goods",),
}
# Those that have a sentence of their own.
WHY_NOT: Final = ("INSUFFICIENT_POINTS", "guest_limit", "out_of_stock", "other")


@dataclass(frozen=True)
class WhyNotSaid:
    """Why a guest can't have a reward. `limit`: of that limit it is the sentence; else of a key of its own."""

    key: str
    values: Mapping[str, str]
    limit: RewardLimit | None = None


def ready(offers: OffersAtCounter) -> tuple[RewardAtHand, ...]:
    """What the guest may have at once, the dearest first: it is what they saved for."""
    return tuple(
        sorted((each for each in offers.rewards if not each.refusals), key=lambda one: -(one.cost_points or 0))
    )


def others(offers: OffersAtCounter) -> tuple[RewardAtHand, ...]:
    """The rest, the nearest first: what only points keep from the guest, by how many."""
    rest = (each for each in offers.rewards if each.refusals)
    return tuple(sorted(rest, key=lambda one: ([why.code for why in one.refusals] != _POINTS, one.points_missing)))


def reasons(reward: RewardAtHand, branches: Mapping[UUID, str], s: Speech) -> tuple[WhyNotSaid, ...]:
    """Why the guest can't have it, in sentences."""
    return tuple(_reasons(reward, {each.key: each for each in limits(reward, branches, s)}, s))


def branch_of(branches: Sequence[BranchOfCafe], asked: str) -> UUID | None:
    """Where the counter is: the branch that was chosen, or the only one. None when nobody can tell."""
    known = [each.branch_id for each in branches if each.is_active]
    chosen = [each for each in known if str(each) == asked]
    return chosen[0] if chosen else known[0] if len(known) == 1 else None


_POINTS: Final = ["INSUFFICIENT_POINTS"]


def _reasons(reward: RewardAtHand, known: Mapping[str, RewardLimit], s: Speech) -> Iterator[WhyNotSaid]:
    for why in reward.refusals:
        said = next((known[key] for key in BY_LIMIT.get(why.code, ()) if key in known), None)
        if said is not None:
            yield WhyNotSaid(said.key, said.values, said)
        elif why.code == "INSUFFICIENT_POINTS":
            yield WhyNotSaid(why.code, {"n": s.number(reward.points_missing)})
        else:
            yield WhyNotSaid(why.code if why.code in WHY_NOT else "other", {})
