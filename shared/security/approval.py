"""Four eyes: what one person may do alone, and who may let the rest pass. Every service asks this one rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, StrictBool

from shared.errors import Rejected
from shared.events.identity import ApprovalWhen
from shared.inputs.amounts import Money
from shared.inputs.fields import Command
from shared.persian.calendar import day_bounds, local_date
from shared.persian.money import Unit

ApprovalKind = Literal[
    "adjustment", "reversal", "bonus", "program", "campaign", "journey", "bill", "void", "claim", "policy"
]


@dataclass(frozen=True)
class Policy:
    """When a second person must approve what somebody of the cafe does.

    `when`: always (everything, however small), when_two (what is large, once somebody else is there who could approve
    it) or above (what is large, even if nobody else is there).

    Something is large when it lifts the person's sum of the day above `points`, or above `amount` Toman of bills by
    hand (`staff_amount` for staff below manager), and when it has no bound: rules of a program, campaigns and journeys
    without a budget. By `when_two` every message to guests is large.
    """

    when: ApprovalWhen = "when_two"
    points: int = 1_000
    amount: int = 10_000_000
    staff_amount: int = 2_000_000

    def is_weaker_than(self, other: "Policy") -> bool:
        """Whether something that `other` wants approved could pass alone by this one."""
        limits = ((self.points, other.points), (self.amount, other.amount), (self.staff_amount, other.staff_amount))
        if self.when == "always":
            return False
        return self.when != other.when or any(new > old for new, old in limits)


@dataclass(frozen=True)
class Size:
    """What is asked for, and how much of its kind the person did alone before it on the same day of the cafe.

    `asked` None has no bound. `is_message`: it reaches guests, so that to `when_two` it is large whatever it costs.
    """

    asked: int | Decimal | None = None
    done: int | Decimal = 0
    limit: int | Decimal = 0
    is_message: bool = False


@dataclass(frozen=True)
class Verdict:
    """alone: nobody else is needed. waits: somebody else must approve. approved: somebody else just did. refused: this
    person can't. `en` and `fa` say why."""

    outcome: Literal["alone", "waits", "approved", "refused"]
    en: str
    fa: str

    @property
    def passes(self) -> bool:
        """Whether it takes effect now."""
        return self.outcome in ("alone", "approved")


@dataclass(frozen=True)
class Oversight:
    """A cafe's policy, and everybody there who may approve: its managers and owners. Days are of its `time_zone`."""

    policy: Policy
    managers: frozenset[UUID]
    time_zone: str = "Asia/Tehran"

    def day_begins(self, moment: datetime) -> datetime:
        """The beginning of the cafe's day that `moment` is in: what was done alone since then is summed."""
        return day_bounds(local_date(moment, self.time_zone), self.time_zone)[0]

    def judge(self, authors: Sequence[UUID], size: Size, *, approver: UUID | None = None) -> Verdict:
        """Whether something may take effect now: when it is asked for, or (with `approver`) when somebody approves it.

        `authors`: its author first, and at the end whoever changed it last.
        """
        actor = authors[-1] if approver is None else approver
        if approver is not None and approver not in authors:
            return _APPROVED
        if not self._needs_another(actor, size):
            return _ALONE
        if not self.managers - set(authors):
            return _NOBODY_THERE if approver is None else _AUTHORS_ONLY
        return _WAITS if approver is None else _OWN

    def _needs_another(self, actor: UUID, size: Size) -> bool:
        is_large = size.asked is None or size.done + size.asked > size.limit
        match self.policy.when:
            case "always":
                return True
            case "above":
                return is_large
            case "when_two":
                # Without any manager the cafe is not known here yet: then it waits.
                others = not self.managers or bool(self.managers - {actor})
                return others and (is_large or size.is_message)


DEFAULT: Final = Policy()

_ALONE = Verdict("alone", "Nobody else is needed.", "تأیید کس دیگری لازم نیست.")
_APPROVED = Verdict("approved", "Approved by somebody else.", "کس دیگری تأیید کرد.")
_WAITS = Verdict(
    "waits",
    "By the cafe's approval policy another manager must approve this; until then it waits.",
    "بنا بر قاعدهٔ تأیید کافه، مدیر دیگری باید این را تأیید کند؛ تا آن زمان در انتظار می‌ماند.",
)
_NOBODY_THERE = Verdict(
    "waits",
    "By the cafe's approval policy another manager must approve this, and nobody else here could: the owner may add a"
    " manager or change the policy.",
    "بنا بر قاعدهٔ تأیید کافه، مدیر دیگری باید این را تأیید کند و کس دیگری در کافه نیست: مالک می‌تواند مدیری بیفزاید یا"
    " قاعده را تغییر دهد.",
)
_OWN = Verdict(
    "refused",
    "Somebody who neither wrote nor changed it must approve.",
    "کسی باید تأیید کند که آن را ننوشته و تغییر نداده است.",
)
_AUTHORS_ONLY = Verdict(
    "refused",
    "Everybody who could approve has written or changed it: let one of you save it anew and another approve, or add a"
    " manager.",
    "هر که می‌توانست تأیید کند خود آن را نوشته یا تغییر داده است: یکی از شما آن را دوباره ذخیره کند و دیگری تأیید کند،"
    " یا مدیری بیفزایید.",
)


def require_pass(verdict: Verdict) -> None:
    """Checks that the approver may approve this.

    Raises:
        Rejected: status 403 with the reason.
    """
    if not verdict.passes:
        raise Rejected("another_manager_needed", verdict.en, verdict.fa, status=403)


class Decide(Command):
    """The second person's answer."""

    approve: StrictBool


class Waiting(BaseModel):
    """Something that waits for a second person. `points` and `amount` (in `currency_unit`) are null where it has no
    bound or none of that kind; `reason_en` and `reason_fa` say why the caller may not decide about it."""

    kind: ApprovalKind
    id: UUID
    version: int | None = None
    what: dict[str, Any]
    points: int | None = None
    amount: Money | None = None
    currency_unit: Unit | None = None
    asked_by: UUID
    changed_by: UUID | None = None
    asked_at: datetime
    may_decide: bool
    reason_en: str | None = None
    reason_fa: str | None = None
    decide_at: str


def may_decide(verdict: Verdict) -> dict[str, Any]:
    """The fields of `Waiting` that say whether the caller may decide."""
    if verdict.passes:
        return {"may_decide": True}
    return {"may_decide": False, "reason_en": verdict.en, "reason_fa": verdict.fa}
