"""Decisions of identity: pauses, roles, and what a token says."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shared.events.identity import Role

TOKEN_LIFETIME: Final = timedelta(hours=12)
# A retired key stays published until no token of it can be valid, with room for clocks that differ.
KEYS_PUBLISHED_FOR: Final = 2 * TOKEN_LIFETIME
SIGNING_KEY_LIFETIME: Final = timedelta(days=30)
ATTEMPTS_FORGOTTEN_AFTER: Final = timedelta(days=1)
LIVE_KEYS_PER_TILL: Final = 2

_FREE_ATTEMPTS = 5
_FIRST_PAUSE = timedelta(seconds=15)
_LONGEST_PAUSE = timedelta(minutes=15)
_RANK: Final[dict[Role, int]] = {"staff": 0, "manager": 1, "owner": 2}


def pause_after(failures: int) -> timedelta:
    """How long a login is blocked after so many attempts in a row without success.

    Nothing for the first four, 15 seconds after the fifth, then twice as long each time, up to 15 minutes.
    """
    if failures < _FREE_ATTEMPTS:
        return timedelta(0)
    doublings = min(failures - _FREE_ATTEMPTS, 10)
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << doublings))


def may_change_access(actor: Role, *roles: Role | None) -> bool:
    """Whether `actor` may turn one of `roles` into another: owners all, managers those below their own."""
    return actor == "owner" or all(role is None or _RANK[role] < _RANK[actor] for role in roles)


def token_claims(user_id: UUID, issuer: str, audience: str, token_id: UUID, moment: datetime) -> dict[str, Any]:
    """What the token of a person who signed in at `moment` says: who they are, and nothing of what they may do."""
    return {
        "iss": issuer,
        "aud": audience,
        "sub": str(user_id),
        "jti": str(token_id),
        "iat": moment,
        "nbf": moment,
        "exp": moment + TOKEN_LIFETIME,
    }


def signing_key_is_due(created_at: datetime, moment: datetime) -> bool:
    """Whether a new key should take over signing."""
    return moment - created_at >= SIGNING_KEY_LIFETIME
