"""Every rule that the editor can write: its sentence with blanks, and the conditions that may be put to it.

A rule more is one entry here and its words: `draft_kind` (its name), `draft_means` (one line that explains it) and
`draft_says` (the sentence, with `{path}` for each blank); a condition has `draft_limit`, and `draft_add` on its button.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from services.console.rules.rule_blanks import Blank

# Of a place there are many rules, or one or none, or it always stands there.
HowMany = Literal["many", "one", "always"]


@dataclass(frozen=True)
class RuleLimit:
    """A condition that may be put to a rule. `means`: what it says by being there, of one that has no blank."""

    key: str
    blanks: tuple[Blank, ...] = ()
    means: tuple[str, Any] | None = None


@dataclass(frozen=True)
class RuleForm:
    """A kind of rule. `place`: where it stands in the rules; `fixed`: the fields that make it this kind."""

    key: str
    place: str
    icon: str
    blanks: tuple[Blank, ...] = ()
    limits: tuple[RuleLimit, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def all_blanks(self) -> tuple[Blank, ...]:
        """Those of its sentence and of its conditions."""
        return (*self.blanks, *(blank for limit in self.limits for blank in limit.blanks))


@dataclass(frozen=True)
class RulePlace:
    """A part of the rules. `has_keys`: its rules are named by keys, which the console makes."""

    name: str
    how_many: HowMany
    has_keys: bool = False


_POINTS: Final = Blank("points")
_FOR_EACH: Final = Blank("toman_per_point", "toman")
_MATCH: Final = Blank("match", "words")
_MINIMUM: Final = RuleLimit("minimum_toman", (Blank("minimum_toman", "toman"),))
_WITHOUT: Final = RuleLimit("exclude", (Blank("exclude", "words"),))
_BY_TIER: Final = RuleLimit("by_tier", means=("by_tier", True))
_PER_DAY: Final = RuleLimit("per_day", (Blank("per_day"),))
_OWN: Final = (_MINIMUM, _BY_TIER)
_OF_LINES: Final = (_WITHOUT, *_OWN)
_CAPS: Final = tuple(RuleLimit(f"cap_{each}", (Blank(each),)) for each in ("visit", "day", "month"))
_WHEN: Final = (
    RuleLimit("weekdays", (Blank("weekdays", "weekdays"),)),
    RuleLimit("hours", (Blank("from_time", "clock"), Blank("until_time", "clock"))),
    RuleLimit("dates", (Blank("dates", "spans"),)),
    RuleLimit("branches", (Blank("branches", "branches"),)),
    RuleLimit("segments", (Blank("segments", "segments"),)),
    RuleLimit("on", (Blank("on", "rules"),)),
)
_STAMPS: Final = (
    RuleLimit("match", (Blank("match", "words"),)),
    RuleLimit("per_bill", means=("per", "visit")),
    RuleLimit("per_visit", (Blank("per_visit"),)),
    _MINIMUM,
    RuleLimit("lives_days", (Blank("lives_days"),)),
)
_TIERS: Final = tuple(Blank(f"points.{tier}") for tier in ("bronze", "silver", "gold", "platinum"))

PLACES: Final = (
    RulePlace("base", "always"),
    RulePlace("earn", "many", has_keys=True),
    RulePlace("multiply", "many", has_keys=True),
    RulePlace("caps", "always"),
    RulePlace("cards", "many", has_keys=True),
    RulePlace("birthday", "one"),
    RulePlace("referral", "one"),
    RulePlace("pending", "one"),
    RulePlace("expiry", "one"),
    RulePlace("warn", "always"),
)
FORMS: Final = (
    RuleForm("base", "base", "receipt", (), (_MINIMUM, _WITHOUT)),
    RuleForm("visit", "earn", "coffee", (_POINTS,), (_PER_DAY, *_OWN), {"kind": "visit"}),
    RuleForm("item", "earn", "ticket", (_POINTS, _MATCH), _OF_LINES, {"kind": "item"}),
    RuleForm("item_amount", "earn", "banknote", (_FOR_EACH, _MATCH), _OF_LINES, {"kind": "item"}),
    RuleForm("every_nth_visit", "earn", "award", (Blank("n"), _POINTS), _OWN, {"kind": "every_nth_visit"}),
    RuleForm("nth_visit", "earn", "star", (Blank("n", "numbers"), _POINTS), _OWN, {"kind": "nth_visit"}),
    RuleForm("amount", "earn", "receipt", (_FOR_EACH,), _OF_LINES, {"kind": "amount"}),
    RuleForm("times", "multiply", "trending-up", (Blank("factor", "factor"),), _WHEN),
    RuleForm("caps", "caps", "shield-check", (), _CAPS),
    RuleForm("card", "cards", "coffee", (Blank("name", "text"), Blank("need"), Blank("reward", "text")), _STAMPS),
    RuleForm("birthday", "birthday", "cake", _TIERS),
    RuleForm(
        "referral", "referral", "user-plus",
        tuple(Blank(each) for each in ("referrer", "referee", "within_days", "referrer_visits", "per_month")),
        (RuleLimit("minimum_bill", (Blank("minimum_bill", "toman"),)),),
    ),
    RuleForm("pending", "pending", "clock", (Blank("above_points"), Blank("hours"))),
    RuleForm("expiry_days", "expiry", "calendar", (Blank("days"),), fixed={"kind": "days"}),
    RuleForm("expiry_month", "expiry", "calendar", (Blank("after"),), fixed={"kind": "month_end"}),
    RuleForm("expiry_year", "expiry", "calendar", (Blank("after"),), fixed={"kind": "year_end"}),
    RuleForm(
        "warn", "warn", "mail", (),
        (
            RuleLimit("warn_points", (Blank("points_days", "numbers"),)),
            RuleLimit("warn_tier", (Blank("tier_days", "numbers"),)),
        ),
    ),
)  # fmt: skip
OF_KEY: Final[Mapping[str, RuleForm]] = {each.key: each for each in FORMS}
STACKING: Final = ("best", "product")


def forms_of(place: str) -> tuple[RuleForm, ...]:
    """The kinds of rules that may stand there."""
    return tuple(each for each in FORMS if each.place == place)


def form_of(place: str, rule: Mapping[str, Any]) -> RuleForm:
    """The kind of that rule: the one whose fixed fields it has, and whose blanks it fills the most."""
    fitting = [each for each in forms_of(place) if all(rule.get(name) == value for name, value in each.fixed.items())]
    return max(fitting, key=lambda form: sum(value_at(rule, blank.path) is not None for blank in form.blanks))


def value_at(rule: Mapping[str, Any], path: str) -> Any:
    """What stands at `points.gold` of a rule; None where nothing does."""
    found: Any = rule
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
