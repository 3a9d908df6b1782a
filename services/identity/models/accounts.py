"""What identity is asked about accounts, sessions and invitations, and what it answers. Nothing here shows a secret in
its representation."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from services.identity.models.http import Name, OwnCafe
from services.identity.models.logins import canonical_login, spellings
from services.identity.models.passwords import AnyPassword, NewPassword
from shared.events.identity import Role
from shared.inputs.fields import Command, Opaque


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


@dataclass(frozen=True)
class Account:
    """A login's account. Without a `user_id` nobody has that login."""

    login_hash: bytes = field(repr=False)
    user_id: UUID | None = None
    password_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Device:
    """Where a person signs in: what a list of sessions shows, and what a limit counts."""

    name: str
    address: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Attempt:
    """A sign-in under way; `counters` are what its success clears."""

    account: Account
    counters: tuple[bytes, ...] = field(repr=False)
    device_id: UUID | None = None


@dataclass(frozen=True)
class SessionRow:
    """A session as it is stored, with what the person's tokens must say."""

    session_id: UUID
    user_id: UUID
    seed: bytes = field(repr=False)
    turn: int
    turned_at: datetime
    created_at: datetime
    last_used_at: datetime
    ended_at: datetime | None
    generation: int


@dataclass(frozen=True)
class InvitationRow:
    """An invitation as it is stored."""

    cafe_id: UUID
    invitation_id: UUID
    login_hash: bytes = field(repr=False)
    login_sealed: str = field(repr=False)
    role: Role
    display_name: str
    invited_by: UUID | None
    invited_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    accepted_at: datetime | None


@dataclass(frozen=True)
class SigningKey:
    """The key pair that signs tokens; the private half as sealed."""

    key_id: str
    private_key_sealed: str = field(repr=False)
    public_key: dict[str, str]
    created_at: datetime
