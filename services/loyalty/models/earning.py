"""How a bill earns, in the integers that counting uses: a program's rules, what they read of a bill, what they gave.

Money is in thousandths of a Toman, quantities in thousandths, factors in hundredths. A word of the menu is the number
behind its code (`shared.security.ids.menu_code`), in the rules as on the bill.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

RuleKind = Literal["amount", "visit", "item_quantity", "item_amount", "nth_visit", "every_nth_visit"]
Stacking = Literal["best", "product"]
CapOf = Literal["visit", "day", "month"]
Weekday = Literal["sat", "sun", "mon", "tue", "wed", "thu", "fri"]
# By the number that a day of it has, Monday's being 0.
WEEK: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Parts = Mapping[str, int]
"""What each rule gave of a bill's points, by the rule's key; rules that gave nothing are not in it."""

# The rule that every program has: points for the amount, by `earn_per_toman`.
BASE = "base"


class BillLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A line of a bill. The codes are None where the till said nothing, and so is the amount."""

    category: int | None
    sku: int | None
    name: int | None
    quantity: int
    amount: int | None


class BillFacts(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What rules may read of a bill beside its amount and its moment. Fields are only ever added, at the end, with a
    default: this is how it is kept."""

    branch: bytes | None = None
    payment: str | None = None
    lines: tuple[BillLine, ...] = ()


class Menu(msgspec.Struct, frozen=True):
    """Lines with one of these codes."""

    categories: frozenset[int] = frozenset()
    skus: frozenset[int] = frozenset()
    names: frozenset[int] = frozenset()


class EarnRule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. `points` for a visit or each of the items; `per` is the amount that earns one point; `numbers` the
    visits that are meant; `minimum` the least bill; `per_day` how many bills of a day may earn by it."""

    key: str
    kind: RuleKind
    points: int = 0
    per: int = 1
    numbers: tuple[int, ...] = ()
    match: Menu | None = None
    exclude: Menu | None = None
    minimum: int = 0
    per_day: int | None = None
    by_tier: bool = False


class Multiplier(msgspec.Struct, frozen=True, kw_only=True):
    """When it holds, the parts `on` count `factor` hundredths; without `on` all do. Minutes are of the cafe's day,
    `until` not included; when it is before `since`, the hours go over midnight."""

    key: str
    factor: int
    on: frozenset[str] = frozenset()
    weekdays: frozenset[int] = frozenset()
    since: int = 0
    until: int = 24 * 60
    dates: tuple[tuple[date, date], ...] = ()
    branches: frozenset[UUID] = frozenset()
    segments: frozenset[str] = frozenset()


class MembershipMove(msgspec.Struct, frozen=True):
    """A guest entered a segment (`is_member`) or left it."""

    segment_key: str
    moved_at: datetime
    is_member: bool


class Caps(msgspec.Struct, frozen=True):
    """The most points that one bill, the bills of one day and the bills of one month earn a guest."""

    visit: int | None = None
    day: int | None = None
    month: int | None = None


class Scheme(msgspec.Struct, frozen=True):
    """What a program has beyond points for the amount. The first of `rules` is `BASE`."""

    rules: tuple[EarnRule, ...]
    multipliers: tuple[Multiplier, ...] = ()
    stacking: Stacking = "best"
    caps: Caps = Caps()


class Counts(msgspec.Struct, frozen=True):
    """What a guest's bills under schemes add up to on the day and in the month (named by its last day) of the last one.
    `hits`: how many bills of the day earned by each rule that has a limit a day, by the rule's key and sorted by it."""

    day: date
    day_points: int
    month_ends: date
    month_points: int
    hits: tuple[tuple[str, int], ...] = ()


class RuleCheck(msgspec.Struct, frozen=True):
    """A condition of a rule and what it saw: numbers and words in `values`, thousandths of a Toman in `amounts`."""

    rule: str
    held: bool
    values: Mapping[str, int | str | None] = {}
    amounts: Mapping[str, int] = {}


class WeighedRule(msgspec.Struct, frozen=True):
    """What a rule came to for a bill: `points` before caps, `given` after; `times` names what multiplied it."""

    rule: EarnRule
    checks: Sequence[RuleCheck]
    points: int = 0
    given: int = 0
    times: Sequence[str] = ()


class CapMet(msgspec.Struct, frozen=True):
    """A cap as a bill met it: `room` is what was left of it before the bill, `points` what the bill would take."""

    of: CapOf
    most: int
    room: int
    points: int

    @property
    def held(self) -> bool:
        """Whether the bill stayed within it."""
        return self.points <= self.room


class Trace(msgspec.Struct, frozen=True):
    """Every rule, multiplier and cap of a scheme as a bill met them, in the order of evaluation."""

    rules: Sequence[WeighedRule]
    multipliers: Sequence[tuple[Multiplier, Sequence[RuleCheck]]]
    cuts: Sequence[CapMet]
    counts: Counts

    @property
    def parts(self) -> Parts:
        """What each rule gave in the end."""
        return {each.rule.key: each.given for each in self.rules if each.given}
