"""What identity is asked, and what it answers. Nothing here shows a secret in its representation."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, SecretStr, StrictBool

from services.identity.models.logins import canonical_login, spellings
from services.identity.models.passwords import AnyPassword, NewPassword
from shared.events.base import CurrencyUnit
from shared.events.identity import ApprovalWhen, Role
from shared.inputs.amounts import INSIDE
from shared.inputs.bounds import MOST_RIAL, PointsOrNone
from shared.inputs.fields import Command, Matching, Moment, Opaque, Text, Whole, Zones
from shared.persian.calendar import Calendar
from shared.persian.text import SpokenLanguage
from shared.security.approval import DEFAULT, Policy
from shared.security.ids import Scope

Name = Annotated[str, Text(100, line=True)]
BranchCode = Annotated[str, Matching("[A-Za-z0-9_-]{1,30}", 30, "کد از حروف انگلیسی، رقم، خط و زیرخط است")]
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
    language: SpokenLanguage = "fa"
    quiet_from: TimeOfDay = "22:00"
    quiet_until: TimeOfDay = "09:00"


class ChangeCafe(Command):
    """What is given changes, the rest stays. Another `currency_unit` changes how amounts are shown and read from then
    on; what they are worth stays."""

    name: Name | None = None
    time_zone: Zone | None = None
    calendar: Calendar | None = None
    currency_unit: CurrencyUnit | None = None
    language: SpokenLanguage | None = None
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

    code: BranchCode
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
    shown in `currency_unit`; kept and told to other services they are Toman. `language` is what its people read until
    one of them chooses otherwise."""

    cafe_id: UUID
    version: int
    name: str
    time_zone: str
    calendar: Calendar
    currency_unit: CurrencyUnit
    language: SpokenLanguage
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


class Leader(BaseModel):
    """Whom to ask in a cafe for what one's own role does not allow."""

    display_name: str
    role: Role


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


def _some_login(typed: str) -> str:
    spellings(typed)
    return typed


Login = Annotated[str, Opaque(254), AfterValidator(canonical_login)]
# Accounts may have begun with a login that a new one could not have.
AnyLogin = Annotated[str, Opaque(254), AfterValidator(_some_login)]
OneTimeCode = Annotated[SecretStr, Opaque(100, 20)]
RefreshToken = Annotated[SecretStr, Opaque(200, 20)]
DeviceToken = Annotated[SecretStr, Opaque(200)]
Shown = Annotated[str, Field(repr=False)]


class SignIn(Command):
    """`login` is an e-mail address or a phone number in any spelling. `device_token` is what an earlier sign-in on
    this device answered: with it, strangers who try passwords can't keep the person out."""

    login: AnyLogin
    password: AnyPassword
    device_token: DeviceToken | None = None
    device_name: Name | None = None


class Renew(Command):
    """The newest refresh token of a session."""

    refresh_token: RefreshToken


class ChangePassword(Command):
    """A new password, with the old one as proof."""

    old_password: AnyPassword
    new_password: NewPassword


class ChosenPassword(Command):
    """A password that an operator hands in."""

    password: NewPassword


class Session(BaseModel):
    """A signed-in person's tokens. `access_token` goes with requests for `expires_in` seconds; before that, or when it
    is refused, `POST /sessions/renew` takes `refresh_token` for new ones. Each refresh token holds once."""

    access_token: Shown
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int
    user_id: UUID
    session_id: UUID
    refresh_token: Shown
    refresh_expires_in: int
    device_token: str | None = Field(None, repr=False)


class SessionInfo(BaseModel):
    """A device that is signed in. `address` is the network it was last used from, not the whole address."""

    session_id: UUID
    device_name: str
    address: str
    created_at: datetime
    last_used_at: datetime
    is_current: bool


class Me(BaseModel):
    """Who is signed in, and where they work."""

    user_id: UUID
    login: str = Field(description="masked")
    session_id: UUID | None
    cafes: list[OwnCafe]


class Invite(Command):
    """Asks a person to work in the cafe. Whether the login has an account makes no difference."""

    login: Login
    role: Role
    display_name: Name


class Invitation(BaseModel):
    """An invitation; open while it is neither accepted, revoked nor expired."""

    invitation_id: UUID
    login: str = Field(description="masked")
    display_name: str
    role: Role
    state: Literal["open", "accepted", "revoked", "expired"]
    invited_by: UUID | None
    invited_at: datetime
    expires_at: datetime


class NewInvitation(Invitation):
    """The only time the code is shown; whoever has it and is asked for may accept. `link` is there when the console's
    address is set."""

    code: Shown
    link: str | None = Field(None, repr=False)


class ReadInvitation(Command):
    """An invitation's code."""

    code: OneTimeCode


class InvitationText(BaseModel):
    """What an invitation says to the person who holds it."""

    cafe_name: str
    display_name: str
    role: Role
    login: str = Field(description="masked")
    expires_at: datetime


class AcceptInvitation(Command):
    """`password` is that of the account, or the one that an account begins with. An account gets a `new_password` too,
    unless who invites owns all cafes that it opens."""

    code: OneTimeCode
    password: AnyPassword
    new_password: NewPassword | None = None


class Accepted(BaseModel):
    """The access that an accepted invitation gave."""

    cafe_id: UUID
    user_id: UUID
    role: Role


class NewReset(BaseModel):
    """A one-time code by which a person chooses a new password. Shown once; `link` as for invitations."""

    expires_at: datetime
    code: Shown
    link: str | None = Field(None, repr=False)


class UseReset(Command):
    """A reset's code and the new password."""

    code: OneTimeCode
    new_password: NewPassword
