"""How bills earn, as owners write it. Amounts are whole Toman in every cafe, hours those of the cafe's wall."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    Strict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from services.loyalty.models.earning import BASE, WEEK, Weekday
from shared.errors import Problem
from shared.inputs.bounds import MOST_POINTS, MOST_TOMAN
from shared.inputs.fields import Command, Day, Matching, Text, Whole, fault

MOST_RULES: Final = 50

RuleKey = Annotated[str, Matching("[a-z][a-z0-9_]{0,39}", 40, "با حروف کوچک لاتین، مانند quiet_tuesday")]
MenuWord = Annotated[str, Text(200, line=True)]
MenuWords = Annotated[tuple[MenuWord, ...], Field(max_length=50)]
Clock = Annotated[str, Matching("(?:[01][0-9]|2[0-3]):[0-5][0-9]", 5, "مانند 15:00")]
SomePoints = Annotated[int, Whole(1, MOST_POINTS)]
Toman = Annotated[int, Whole(1, MOST_TOMAN)]
NamedSegment = Annotated[str, Matching("[a-z][a-z0-9_]{0,49}", 50, "کلید یک بخش، مانند vip_customers")]
VisitNumber = Annotated[int, Whole(1, 100_000)]
Factor = Annotated[
    Decimal,
    Field(ge=Decimal("0.1"), le=10, max_digits=4, decimal_places=2),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0.1, "maximum": 10},
                {"type": "string", "pattern": r"^[1-9](?:\.[0-9]{1,2})?$"},
            ]
        },
        mode="validation",
    ),
]


class MenuMatch(Command):
    """Lines of a bill with one of these words, in any spelling, as the till sends them."""

    categories: MenuWords = ()
    skus: MenuWords = ()
    names: MenuWords = ()

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not (self.categories or self.skus or self.names):
            raise _never(
                "Names nothing of the menu, so it never matches.", "چیزی از منو را نام نمی‌برد و هرگز برقرار نیست."
            )
        return self

    def words(self) -> set[str]:
        """All words in it."""
        return {*self.categories, *self.skus, *self.names}

    def is_inside(self, other: "MenuMatch") -> bool:
        """Whether every line of this is one of the other's too."""
        return (
            set(self.categories) <= set(other.categories)
            and set(self.skus) <= set(other.skus)
            and set(self.names) <= set(other.names)
        )


class BaseRule(Command):
    """What the points for the amount (`earn_per_toman`) are not given for. They go by tier, and their key is `base`."""

    minimum_toman: Annotated[int, Whole(0, MOST_TOMAN)] = 0
    exclude: MenuMatch | None = None


class _Rule(Command):
    key: RuleKey
    minimum_toman: Annotated[int, Whole(0, MOST_TOMAN), Field(description="the least bill that earns by this")] = 0
    by_tier: Annotated[bool, Strict(), Field(description="whether the multiplier of the guest's tier counts")] = False


class AmountRule(_Rule):
    """A point for so much of the bill, without the lines that are excluded."""

    kind: Literal["amount"]
    toman_per_point: Toman
    exclude: MenuMatch | None = None


class VisitRule(_Rule):
    """Points for a bill, for so many bills of a day at most."""

    kind: Literal["visit"]
    points: SomePoints
    per_day: Annotated[int, Whole(1, 100)] | None = None


class ItemRule(_Rule):
    """Points for what was bought: `points` for each of them (half a kilo is half of one), or a point for each
    `toman_per_point` of their lines."""

    kind: Literal["item"]
    match: MenuMatch
    exclude: MenuMatch | None = None
    points: SomePoints | None = None
    toman_per_point: Toman | None = None

    @model_validator(mode="after")
    def _can_match(self) -> Self:
        if (self.points is None) == (self.toman_per_point is None):
            raise fault(
                "points_or_toman",
                "Needs either points (for each item) or toman_per_point (for the amount of the lines).",
                "یا points (برای هر عدد) لازم است یا toman_per_point (برای مبلغ سطرها)، نه هر دو.",
            )
        if self.exclude is not None and self.match.is_inside(self.exclude):
            raise _never("All that it matches is excluded.", "هرچه نام برده، کنار گذاشته هم شده است.")
        return self


class NthVisitRule(_Rule):
    """Points for the guest's visits with these numbers."""

    kind: Literal["nth_visit"]
    n: Annotated[tuple[VisitNumber, ...], Field(min_length=1, max_length=50)]
    points: SomePoints


class EveryNthVisitRule(_Rule):
    """Points for each visit whose number is a multiple of `n`."""

    kind: Literal["every_nth_visit"]
    n: Annotated[int, Whole(2, 100_000)]
    points: SomePoints


def _without_kind(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Faults by the path that the sender wrote: pydantic puts the kind of a rule into it."""
    try:
        return read(value)
    except ValidationError as error:
        raise ValidationError.from_exception_data(error.title, [_moved(each) for each in error.errors()]) from None


def _moved(error: Mapping[str, Any]) -> InitErrorDetails:
    loc = error["loc"][1:] or (("kind",) if error["type"].startswith("union_tag") else ())
    message = error["msg"].replace("{", "(").replace("}", ")")
    return InitErrorDetails(type=PydanticCustomError(error["type"], message, error.get("ctx")), loc=loc, input=None)


class _KindIsEnough:
    """In JSON Schema the kind of each rule is said by the rule itself."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {name: each for name, each in handler(schema).items() if name != "discriminator"}


EarnRuleBody = Annotated[
    Annotated[AmountRule | VisitRule | ItemRule | NthVisitRule | EveryNthVisitRule, Field(discriminator="kind")],
    WrapValidator(_without_kind),
    _KindIsEnough(),
]


class DateRange(Command):
    """Days, both included."""

    first: Day
    last: Day

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        if self.last < self.first:
            raise _never("Ends before it begins.", "پایانش پیش از آغازش است.")
        return self


class MultiplierRule(Command):
    """When all it says holds, the parts `on` (all without it) count `factor` times. `until` itself is not included;
    hours that end before they begin go over midnight, and the day is the one of the bill."""

    key: RuleKey
    factor: Factor
    on: Annotated[tuple[RuleKey, ...], Field(max_length=MOST_RULES)] = ()
    weekdays: Annotated[tuple[Weekday, ...], Field(max_length=7)] = ()
    from_time: Clock | None = None
    until_time: Clock | None = None
    dates: Annotated[tuple[DateRange, ...], Field(max_length=50)] = ()
    branches: Annotated[tuple[UUID, ...], Field(max_length=50)] = ()
    segments: Annotated[
        tuple[NamedSegment, ...],
        Field(max_length=50, description="keys of segments; holds for a guest who was in one of them before the bill"),
    ] = ()

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        if (self.from_time or "00:00") == (self.until_time or "24:00"):
            raise _never("Begins and ends at one time of the day.", "آغاز و پایان ساعتش یکی است.")
        if self.dates and self.weekdays and not any(_has_one_of(each, self.weekdays) for each in self.dates):
            raise _never("No day of its dates is one of its weekdays.", "هیچ روز این بازه از روزهای هفتهٔ خواسته نیست.")
        return self


class CapsRule(Command):
    """The most points that a bill, and the bills of a day and of a month of the cafe's calendar, earn a guest."""

    visit: SomePoints | None = None
    day: SomePoints | None = None
    month: SomePoints | None = None


def misfits(earn: Sequence[_Rule], multiply: Sequence[MultiplierRule], day: date) -> list[Problem]:
    """What is wrong with the rules together, on the `day` from which they are in force, with the path of each fault."""
    problems: list[Problem] = []
    if len(earn) + len(multiply) > MOST_RULES:
        en, fa = f"At most {MOST_RULES} rules and multipliers.", "حداکثر ۵۰ قاعده و ضریب پذیرفته می‌شود."
        problems.append(Problem("rules.earn", "too_many_rules", en, fa))
    keys, rules = {BASE}, {BASE, *(each.key for each in earn)}
    both: tuple[tuple[str, Sequence[_Rule | MultiplierRule]], ...] = (("earn", earn), ("multiply", multiply))
    for name, bodies in both:
        for place, body in enumerate(bodies):
            if body.key in keys:
                en, fa = (
                    "This key stands twice, or is that of the base rule.",
                    "این کلید دو بار آمده یا کلید قاعدهٔ پایه است.",
                )
                problems.append(Problem(f"rules.{name}.{place}.key", "key_twice", en, fa))
            keys.add(body.key)
    for place, each in enumerate(multiply):
        path = f"rules.multiply.{place}"
        if not rules.issuperset(each.on):
            en, fa = "Multiplies a rule that there is not.", "قاعده‌ای را چند برابر می‌کند که نیست."
            problems.append(Problem(f"{path}.on", "never_matches", en, fa))
        if each.dates and all(span.last < day for span in each.dates):
            en, fa = "All its dates are over before the rules begin.", "همهٔ روزهایش پیش از آغاز این قاعده‌ها گذشته است."
            problems.append(Problem(f"{path}.dates", "never_matches", en, fa))
    return problems


def words_of(base: BaseRule, earn: Iterable[Any]) -> set[str]:
    """All words of the menu that rules name."""
    menus = [base.exclude, *(getattr(rule, name, None) for rule in earn for name in ("match", "exclude"))]
    return {word for menu in menus if menu is not None for word in menu.words()}


def _has_one_of(span: DateRange, weekdays: Sequence[Weekday]) -> bool:
    days = min((span.last - span.first).days, 6) + 1
    return any(WEEK[(span.first + timedelta(days=each)).weekday()] in weekdays for each in range(days))


def _never(en: str, fa: str) -> PydanticCustomError:
    return fault("never_matches", en, fa)
