"""How long tokens, sessions and pauses last, and what a token says."""

import re
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, Final
from uuid import UUID

TOKEN_LIFETIME: Final = timedelta(minutes=15)
# A session that nobody renews for so long has ended, and so has one that is so old.
IDLE_LIFETIME: Final = timedelta(days=7)
SESSION_LIFETIME: Final = timedelta(days=30)
SESSIONS_PER_PERSON: Final = 20
# A refresh token that was used a moment ago is answered like the first time: that answer may have been lost, or two
# windows asked at once. Later it is a copy.
LOST_ANSWER_GRACE: Final = timedelta(seconds=60)
# Services remember 32 sessions that ended one by one. A person who ends so many while tokens of them live ends all.
ENDED_ONE_BY_ONE: Final = 16
ENDED_REMEMBERED_FOR: Final = TOKEN_LIFETIME + timedelta(minutes=2)
DEVICE_LIFETIME: Final = timedelta(days=180)
SESSIONS_FORGOTTEN_AFTER: Final = SESSION_LIFETIME + timedelta(days=7)
# Tokens made before there were sessions lived for twelve hours. A retired key stays published until no token of it can
# be valid, with room for clocks that differ.
KEYS_PUBLISHED_FOR: Final = timedelta(hours=24)
SIGNING_KEY_LIFETIME: Final = timedelta(days=30)
ATTEMPTS_FORGOTTEN_AFTER: Final = timedelta(days=1)

# Tries at one login from one address, and from all addresses together, before they have to wait.
FREE_ATTEMPTS: Final = 5
FREE_ATTEMPTS_OF_ALL: Final = 100
# Sign-ins that one address may try a minute, before any password is looked at.
ATTEMPTS_A_MINUTE: Final = 60
_FIRST_PAUSE = timedelta(seconds=15)
_LONGEST_PAUSE = timedelta(minutes=15)

_SYSTEMS = ("iPad", "iPhone", "Android", "Windows", "Mac OS", "CrOS", "Linux")
_PROGRAMS = ("Edg", "OPR", "Firefox", "SamsungBrowser", "Chrome", "Safari", "curl", "python")
_NAMES = {"Edg": "Edge", "OPR": "Opera", "Mac OS": "macOS", "CrOS": "ChromeOS", "SamsungBrowser": "Samsung Internet"}


def pause_after(failures: int, free: int = FREE_ATTEMPTS) -> timedelta:
    """How long to wait after so many attempts in a row without success.

    Nothing for fewer than `free`, 15 seconds at `free`, then twice as long each time, up to 15 minutes.
    """
    if failures < free:
        return timedelta(0)
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << min(failures - free, 10)))


def token_claims(
    user_id: UUID, session_id: UUID, generation: int, issuer: str, audience: str, token_id: UUID, moment: datetime
) -> dict[str, Any]:
    """What a token made at `moment` says: who the person is and in which session, and nothing of what they may do."""
    return {
        "iss": issuer,
        "aud": audience,
        "sub": str(user_id),
        "sid": str(session_id),
        "gen": generation,
        "jti": str(token_id),
        "iat": moment,
        "nbf": moment,
        "exp": moment + TOKEN_LIFETIME,
    }


def session_is_over(created_at: datetime, last_used_at: datetime, moment: datetime) -> bool:
    """Whether a session ended by itself: too old, or not renewed for too long."""
    return moment - created_at >= SESSION_LIFETIME or moment - last_used_at >= IDLE_LIFETIME


def signing_key_is_due(created_at: datetime, moment: datetime) -> bool:
    """Whether a new key should take over signing."""
    return moment - created_at >= SIGNING_KEY_LIFETIME


def device_name(user_agent: str) -> str:
    """What a person recognizes of a User-Agent, such as `Chrome, Android`: a whole one tells strangers too much."""
    program = next((name for name in _PROGRAMS if re.search(rf"\b{name}", user_agent)), "")
    system = next((name for name in _SYSTEMS if name in user_agent), "")
    return ", ".join(_NAMES.get(word, word) for word in (program, system) if word)


def shortened_address(address: str) -> str:
    """The network of an address: 198.51.100.0 or 2001:db8::. Empty for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    return str(ip_network((found, 24 if found.version == 4 else 48), strict=False).network_address)
