"""Accounts, devices, sessions and invitations as they are kept. Nothing here shows a secret in its representation."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from shared.events.identity import Role


@dataclass(frozen=True)
class LoginAccount:
    """A login's account. Without a `user_id` nobody has that login."""

    login_hash: bytes = field(repr=False)
    user_id: UUID | None = None
    password_hash: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SignInDevice:
    """Where a person signs in: what a list of sessions shows, and what a limit counts."""

    name: str
    address: str
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Attempt:
    """A sign-in under way; `counters` are what its success clears."""

    account: LoginAccount
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
