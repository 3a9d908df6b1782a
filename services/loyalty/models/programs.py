"""The rules of a cafe's program, as owners write them and as each version is kept."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from services.loyalty.models.accounts import DebtPolicy
from services.loyalty.models.card_rules import MOST_CARDS, CardRule
from services.loyalty.models.earn_rules import MOST_RULES, BaseRule, CapsRule, EarnRuleBody, MultiplierRule
from services.loyalty.models.earning import Stacking
from services.loyalty.models.terms import BirthdayTerm, PendingTerm, ReferralTerm
from services.loyalty.models.time_terms import Downgrade, ExpiryRule, GraceDays, WarnRule
from shared.events.base import Tier
from shared.inputs.bounds import MOST_TOMAN, PointsOrNone
from shared.inputs.fields import Command, Whole, fault

TierPeriod = Literal["jalali_year", "gregorian_year"]

# The fields that say how a bill earns.
EARNING = ("base", "earn", "multiply", "stacking", "caps")
# What a program says beyond them, the amount and the tiers. Each stays as it was when it is left out.
TERMS: tuple[str, ...] = (
    "cards",
    "birthday",
    "pending",
    "expiry",
    "tier_grace_days",
    "downgrade",
    "warn",
    "referral",
)
# Every batch reads all versions of its cafes, as a late bill may be of any of them.
MOST_VERSIONS = 200
LADDER: tuple[Tier, ...] = ("bronze", "silver", "gold", "platinum")

MULTIPLIER = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
        {"type": "string", "pattern": r"^[1-9][0-9]?(?:\.[0-9]{1,2})?$"},
    ]
}


class TierRule(Command):
    """A tier: from how many points of a tier period on, and what it multiplies a visit's points by."""

    tier: Tier
    threshold: PointsOrNone
    multiplier: Annotated[
        Decimal, Field(gt=0, le=100, max_digits=5, decimal_places=2), WithJsonSchema(MULTIPLIER, mode="validation")
    ]


class ProgramRules(Command):
    """The rules of a program. `tiers` go up from bronze at 0 points; some may be left out.

    How a bill earns, in this order: `base` and each rule of `earn` give a part; multipliers multiply the parts they are
    `on`, by `stacking` the best of those that hold or all of them; the tier's multiplier counts for `base` and what
    goes `by_tier`; each part is rounded down; `caps` cut what is over, of the bill, then the day, then the month. These
    five stay as they are when all are left out; when one is sent, each that is not is empty.
    """

    earn_per_toman: Annotated[int, Whole(1, MOST_TOMAN), Field(description="Toman that earn one point")] = 1000
    tiers: Annotated[tuple[TierRule, ...], Field(min_length=1, max_length=4)] = (
        TierRule(tier="bronze", threshold=0, multiplier=Decimal("1")),
        TierRule(tier="silver", threshold=500, multiplier=Decimal("1.2")),
        TierRule(tier="gold", threshold=1500, multiplier=Decimal("1.5")),
        TierRule(tier="platinum", threshold=3000, multiplier=Decimal("2")),
    )
    tier_period: TierPeriod
    points_expire_days: Annotated[
        Annotated[int, Whole(1, 3660)] | None, Field(description="null: points never expire")
    ] = None
    negative_balance: DebtPolicy = "allow_after_refund"
    approval_above: Annotated[
        PointsOrNone,
        Field(
            description="what one person may give and take in a day alone, if that is less than the cafe's approval"
            " policy allows; changed by owners, as before when left out"
        ),
    ] = 1000
    toman_per_point: Annotated[
        Annotated[int, Whole(1, MOST_TOMAN)] | None,
        Field(description="Toman that one point is worth to who spends it; null: points have no price"),
    ] = None

    base: BaseRule = BaseRule()
    earn: Annotated[tuple[EarnRuleBody, ...], Field(max_length=MOST_RULES)] = ()
    multiply: Annotated[tuple[MultiplierRule, ...], Field(max_length=MOST_RULES)] = ()
    stacking: Stacking = "best"
    caps: CapsRule = CapsRule()
    cards: Annotated[tuple[CardRule, ...], Field(max_length=MOST_CARDS)] = ()
    birthday: BirthdayTerm | None = None
    pending: PendingTerm | None = None
    referral: ReferralTerm | None = None

    expiry: Annotated[
        ExpiryRule | None,
        Field(description="null: as `points_expire_days` says, which is null when this is given"),
    ] = None
    tier_grace_days: GraceDays = 0
    downgrade: Annotated[
        Downgrade,
        Field(description="how far a guest falls when a tier period ends: as the points say, or one step at most"),
    ] = "by_points"
    warn: WarnRule = WarnRule()

    @model_validator(mode="after")
    def _tiers_ascend(self) -> Self:
        places = [LADDER.index(each.tier) for each in self.tiers]
        thresholds = [each.threshold for each in self.tiers]
        ascends = places == sorted(set(places)) and thresholds == sorted(set(thresholds))
        if not ascends or places[0] != 0 or thresholds[0] != 0:
            raise PydanticCustomError(
                "tiers_not_ascending",
                "tiers start with bronze at 0 points and go up: bronze, silver, gold, platinum",
                {"fa": "سطح‌ها از برنزی با صفر امتیاز آغاز می‌شوند و بالا می‌روند: برنزی، نقره‌ای، طلایی، پلاتینی"},
            )
        return self

    @model_validator(mode="after")
    def _expiry_is_said_once(self) -> Self:
        if self.expiry is not None and self.points_expire_days is not None:
            raise fault(
                "expiry_twice",
                "expiry and points_expire_days both say when points lapse; leave one of them null.",
                "هم expiry و هم points_expire_days زمان سوختن امتیاز را می‌گویند؛ یکی را خالی بگذارید.",
            )
        return self


def apart(rules: Mapping[str, Any]) -> tuple[dict[str, Any], int | None, dict[str, Any] | None]:
    """Rules as they are written to their column, and what has columns of its own: the price of a point, and how bills
    earn with the terms, None when only the amount counts and there are none."""
    kept = dict(rules)
    earning = {name: kept.pop(name) for name in EARNING + TERMS if name in kept}
    is_plain = all(each == _PLAIN[name] for name, each in earning.items())
    return kept, kept.pop("toman_per_point", None), None if is_plain else earning


_PLAIN = ProgramRules(tier_period="jalali_year").model_dump(mode="json", include=set(EARNING + TERMS))
