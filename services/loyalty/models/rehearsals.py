"""Rules that are tried on all bills before anybody publishes them: what is asked, and what is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from services.loyalty.models.accounts import Account, Counted, Fact, Redemption
from shared.events.base import Tier

RehearsalMode = Literal["always", "from_date"]
RehearsalState = Literal["waiting", "running", "done", "failed"]
RehearsalFault = Literal["interrupted"]

# So many guests stand on each list of who gains and who loses most.
MOST_SHOWN: Final = 50
# So many of what differs are named.
MOST_EXAMPLES: Final = 20
# The least change of points of each group of guests, beginning with those who lose most.
GROUPS: Final[tuple[int | None, ...]] = (None, -999, -299, -99, -29, 0, 1, 30, 100, 300, 1000)


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """Rules that were or are to be tried, as they are kept. `valid_from` is there when they count from a date on."""

    rehearsal_id: UUID
    rules: dict[str, Any]
    menu_codes: dict[str, str] | None
    mode: RehearsalMode
    valid_from: datetime | None
    asked_by: UUID
    asked_at: datetime
    state: RehearsalState = "waiting"
    attempts: int = 0
    ended_at: datetime | None = None
    report: dict[str, Any] | None = None
    error: RehearsalFault | None = None


class DueRehearsal(msgspec.Struct, frozen=True):
    """One whose turn it is, and how often it was begun already."""

    cafe_id: UUID
    rehearsal_id: UUID
    attempts: int


class PointEntry(msgspec.Struct, frozen=True):
    """Points that came or went apart from bills and redemptions; `lapses` when their time was over, `forgives` when
    they paid a debt that the cafe forgave."""

    at: datetime
    change: int
    lapses: bool = False
    forgives: bool = False

    @property
    def fact(self) -> Fact:
        """The same for the rules of redeeming."""
        return Fact(self.at, self.change)


class GuestBooks(msgspec.Struct, frozen=True):
    """All that the books hold of a guest which counting reads. `redemptions`: the guest's own, and those of others
    that the bills name."""

    account: Account
    history: Mapping[UUID, Counted]
    redemptions: Mapping[UUID, Redemption] = {}
    entries: Sequence[PointEntry] = ()


@dataclass(frozen=True)
class GuestOutcome:
    """What became of a guest: points of all bills, what is left of them, and the tier, as it is and under the draft."""

    customer_id: UUID
    points_before: int
    points_after: int
    balance_before: int
    balance_after: int
    tier_before: Tier
    tier_after: Tier

    @property
    def change(self) -> int:
        """How many points more the bills earn under the draft."""
        return self.points_after - self.points_before


@dataclass(frozen=True)
class DifferingVisit:
    """A bill that the rules in force count differently than the books."""

    customer_id: UUID
    visit_id: UUID
    kept: int
    counted: int


@dataclass(frozen=True)
class DifferingRedemption:
    """A redemption that the rules in force decide differently than the books."""

    customer_id: UUID
    redemption_id: UUID


@dataclass(frozen=True)
class SelfCheck:
    """Whether counting by the rules in force finds what the books say: it `holds` when nothing differs. With
    `recount_waits` there are new rules by which the guests have not been counted anew yet. The first of what differs
    are named."""

    holds: bool
    visits: int
    visits_differing: int
    redemptions: int
    redemptions_differing: int
    recount_waits: bool
    differing_visits: tuple[DifferingVisit, ...] = ()
    differing_redemptions: tuple[DifferingRedemption, ...] = ()


@dataclass(frozen=True)
class MonthOfRule:
    """Points that a rule gave for the bills of a month, which is named by its first day."""

    month: date
    rule: str
    before: int
    after: int


@dataclass(frozen=True)
class MonthOfLapse:
    """Points that lapse in a month, named by its first day; None: never."""

    month: date | None
    before: int
    after: int


@dataclass(frozen=True)
class Uncovered:
    """A redemption for which a guest would not have had the points under the draft."""

    customer_id: UUID
    redemption_id: UUID
    at: datetime
    points: int
    had: int


@dataclass(frozen=True)
class TierOfLadder:
    """How many guests stand in a tier."""

    tier: Tier
    before: int
    after: int


@dataclass(frozen=True)
class TierMove:
    """How many guests go from a tier to another."""

    origin: Tier
    target: Tier
    guests: int


@dataclass(frozen=True)
class ChangeGroup:
    """How many guests have a change of points within these bounds, both included; None: without one."""

    least: int | None
    most: int | None
    guests: int


@dataclass(frozen=True, kw_only=True)
class RehearsalReport:
    """What a rehearsal found. Before: by the rules in force; after: with the draft. `at` is the moment of which it
    tells, and `ladder_at` that of the tiers. The guests hold `liability` points; `liability_books` is what the books
    say, where what was learned late or forgiven came in another order. `uncovered` are redemptions for which the
    points would have been there by the rules in force, and not under the draft. `cards` are stamp cards that bills
    completed."""

    at: datetime
    ladder_at: datetime
    seconds: float
    check: SelfCheck
    guests: int
    points_before: int
    points_after: int
    months: tuple[MonthOfRule, ...]
    liability_books: int
    liability_before: int
    liability_after: int
    lapses: tuple[MonthOfLapse, ...]
    lapsed_before: int
    lapsed_after: int
    cards_before: int
    cards_after: int
    redemptions: int
    uncovered: int
    uncovered_points: int
    uncovered_guests: int
    uncovered_first: tuple[Uncovered, ...]
    ladder: tuple[TierOfLadder, ...]
    moves: tuple[TierMove, ...]
    winning: int
    losing: int
    winners: tuple[GuestOutcome, ...]
    losers: tuple[GuestOutcome, ...]
    groups: tuple[ChangeGroup, ...]
    toman_per_point_before: int | None
    toman_per_point_after: int | None
