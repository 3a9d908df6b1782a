"""What identity is asked about cafes, their people and tills, and what it answers."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StrictBool

from shared.events.base import CurrencyUnit
from shared.events.identity import ApprovalWhen, Role
from shared.inputs.amounts import INSIDE
from shared.inputs.bounds import MOST_RIAL, PointsOrNone
from shared.inputs.fields import Command, Matching, Moment, Text, Whole, Zones
from shared.persian.calendar import Calendar
from shared.security.approval import DEFAULT, Policy
from shared.security.ids import Scope

Name = Annotated[str, Text(100, line=True)]
Code = Annotated[str, Matching("[A-Za-z0-9_-]{1,30}", 30, "کد از حروف انگلیسی، رقم، خط و زیرخط است")]
Zone = Annotated[str, Zones()]
TimeOfDay = Annotated[str, Matching("([01][0-9]|2[0-3]):[0-5][0-9]", 5, "ساعت باید مانند 22:30 باشد")]
Limit = Annotated[int, Whole(0, MOST_RIAL)]
PolicyStepKind = Literal["asked", "applied", "declined", "replaced"]


class CreateCafe(Command):
    """A new cafe; the defaults are those of a cafe in Iran."""

    name: Name
    time_zone: Zone = "Asia/Tehran"
    calendar: Calendar = "jalali"
    currency_unit: CurrencyUnit = "IRT"
    quiet_from: TimeOfDay = "22:00"
    quiet_until: TimeOfDay = "09:00"


class ChangeCafe(Command):
    """What is given changes, the rest stays. Another `currency_unit` changes how amounts are shown and read from then
    on; what they are worth stays."""

    name: Name | None = None
    time_zone: Zone | None = None
    calendar: Calendar | None = None
    currency_unit: CurrencyUnit | None = None
    quiet_from: TimeOfDay | None = None
    quiet_until: TimeOfDay | None = None
    is_active: StrictBool | None = None


class SetPolicy(Command):
    """When a second person must approve, whole. `points` and `amount` are what a manager may give and enter by hand in
    a day alone, `staff_amount` what others may enter. Amounts are whole Toman, written in `currency_unit`, which is the
    cafe's own when it is left out."""

    when: ApprovalWhen
    points: PointsOrNone
    amount: Limit
    staff_amount: Limit
    currency_unit: CurrencyUnit | None = None


class CreateBranch(Command):
    """`code` is what tills write into their records."""

    code: Code
    name: Name


class ChangeBranch(Command):
    """What is given changes, the rest stays."""

    name: Name | None = None
    is_active: StrictBool | None = None


class SetRole(Command):
    """Another role for a member."""

    role: Role


class CreateApiKey(Command):
    """A key for one till. A till may have two live keys, so that one can replace the other without a gap."""

    device_name: Name
    scopes: Annotated[frozenset[Scope], Field(min_length=1)] = frozenset({"ingest", "loyalty_lookup"})
    expires_at: Moment | None = None


class Cafe(BaseModel):
    """A cafe's settings. Between `quiet_from` and `quiet_until` (local time) no marketing message is sent. Amounts are
    shown in `currency_unit`; kept and told to other services they are Toman."""

    cafe_id: UUID
    version: int
    name: str
    time_zone: str
    calendar: Calendar
    currency_unit: CurrencyUnit
    quiet_from: TimeOfDay
    quiet_until: TimeOfDay
    is_active: bool
    approval_when: ApprovalWhen = DEFAULT.when
    approval_points: int = DEFAULT.points
    approval_amount: int = DEFAULT.amount
    approval_staff_amount: int = DEFAULT.staff_amount

    @property
    def policy(self) -> Policy:
        """When a second person must approve."""
        return Policy(self.approval_when, self.approval_points, self.approval_amount, self.approval_staff_amount)

    def with_policy(self, policy: Policy) -> "Cafe":
        """The cafe's next version, with that policy."""
        return self.model_copy(
            update={
                "version": self.version + 1,
                "approval_when": policy.when,
                "approval_points": policy.points,
                "approval_amount": policy.amount,
                "approval_staff_amount": policy.staff_amount,
            }
        )


class OwnCafe(Cafe):
    """A cafe as one of its people sees it."""

    role: Role


class Branch(BaseModel):
    """One place of a cafe."""

    branch_id: UUID
    version: int
    code: str
    name: str
    is_active: bool


class Member(BaseModel):
    """A person with access to a cafe."""

    user_id: UUID
    display_name: str
    role: Role
    changed_at: datetime


class ApiKeyInfo(BaseModel):
    """A till's key without its secret."""

    key_id: str
    device_name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class NewApiKey(ApiKeyInfo):
    """The only time the whole key is shown."""

    api_key: str = Field(repr=False)


class ShownPolicy(BaseModel):
    """A cafe's approval policy, amounts in `currency_unit`, the cafe's. A change that waits for the other owner is in
    `waiting`."""

    when: ApprovalWhen
    points: int
    amount: int
    staff_amount: int
    currency_unit: CurrencyUnit
    waiting: UUID | None = None


class PolicyStep(BaseModel):
    """One step of a change of the policy: who asked, and who let it take effect or not. Amounts of `before` and `after`
    are in `currency_unit`."""

    change_id: UUID
    step: PolicyStepKind
    by_user: UUID
    at: datetime
    before: dict[str, Any]
    after: dict[str, Any]
    currency_unit: CurrencyUnit = INSIDE
