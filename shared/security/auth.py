"""Who is calling: a person with a signed token, or a till with an API key."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import httpx2
import jwt

from shared.clock import now
from shared.database.db import Connection
from shared.errors import Rejected
from shared.security.crypto import CannotUnseal, Keys, same, unseal
from shared.security.ids import ApiKey, hash_api_key, parse_api_key

AUDIENCE: Final = "servaan-crm"
ALGORITHM: Final = "EdDSA"
JWKS_PATH: Final = "/.well-known/jwks.json"

_REFETCH_AFTER = timedelta(minutes=10)
_REFETCH_PAUSE = timedelta(seconds=5)
_LEEWAY_SECONDS = 30

FIND_TILL_KEYS = """
SELECT cafe_id, key_id, key_hash, scopes, expires_at, revoked_at FROM till_keys WHERE key_id = ANY($1::text[])
"""
LOAD_TILL_KEYS = """
SELECT cafe_id, key_id, signing_key_sealed, scopes, expires_at, revoked_at
FROM till_keys
WHERE key_id = ANY($1::text[]) AND signing_key_sealed IS NOT NULL
"""

FetchKeys = Callable[[], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True)
class Staff:
    """A person who works in one or more cafes, and the session that their token belongs to.

    `generation` counts how often all sessions of the person were ended before this token was made. Tokens from before
    there were sessions have neither.
    """

    user_id: UUID
    generation: int = 0
    session_id: UUID | None = None


@dataclass(frozen=True)
class Till:
    """A till of one cafe, and what it may do."""

    cafe_id: UUID
    key_id: str
    scopes: frozenset[str]


@dataclass(frozen=True)
class TillKey:
    """What is needed to judge a record that a till signed."""

    till: Till
    signing_key: bytes = field(repr=False)
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_live(self, moment: datetime) -> bool:
        """Whether the key counts at `moment`."""
        return _is_live(self.revoked_at, self.expires_at, moment)


class PublicKeys:
    """The issuer's public keys: fetched when first needed, when a token names a new key, and every ten minutes.

    A token with an unknown key id triggers at most one fetch in five seconds, whoever sends how many of them; while
    the issuer is away, the keys already known stay good.
    """

    def __init__(self, fetch: FetchKeys) -> None:
        self._fetch = fetch
        self._known: dict[str, jwt.PyJWK] = {}
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._lock = asyncio.Lock()

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key with that id, or None when the issuer does not publish it.

        Raises:
            Rejected: status 503 when no key is known yet and the issuer does not answer.
        """
        if key_id not in self._known or self._is_stale():
            async with self._lock:
                await self._refresh(key_id)
        return self._known.get(key_id)

    def _is_stale(self) -> bool:
        return self._fetched_at is None or now() - self._fetched_at > _REFETCH_AFTER

    async def _refresh(self, key_id: str) -> None:
        if key_id in self._known and not self._is_stale():
            return
        if self._tried_at is not None and now() - self._tried_at < _REFETCH_PAUSE:
            if self._fetched_at is None:
                raise _issuer_away()
            return
        self._tried_at = now()
        try:
            published = await self._fetch()
        except (httpx2.HTTPError, OSError) as error:
            if not self._known:
                raise _issuer_away() from error
            return
        self._known = {
            key.key_id: key
            for entry in published.get("keys", ())
            if entry.get("alg", ALGORITHM) == ALGORITHM and entry.get("kty") == "OKP"
            for key in (jwt.PyJWK(entry, ALGORITHM),)
            if key.key_id
        }
        self._fetched_at = now()


def published_keys(issuer: str) -> PublicKeys:
    """The keys that the issuer at that address publishes; nothing is fetched before the first token."""

    async def fetch() -> Mapping[str, Any]:
        async with httpx2.AsyncClient(timeout=5, follow_redirects=False) as client:
            answer = await client.get(issuer.rstrip("/") + JWKS_PATH)
            answer.raise_for_status()
            keys: Mapping[str, Any] = answer.json()
            return keys

    return PublicKeys(fetch)


async def verify_staff(token: str, keys: PublicKeys, issuer: str) -> Staff:
    """The person a token speaks for.

    The algorithm is fixed and the key comes from `keys` by its id alone: `alg`, `jku`, `x5u` and `jwk` in the
    token's header have no say. Issuer, audience, expiry and start are checked.

    Raises:
        Rejected: status 401 for any token that does not hold, 503 when the issuer's keys can't be had.
    """
    try:
        key = await keys.find(str(jwt.get_unverified_header(token).get("kid", "")))
        if key is None:
            raise _bad_token()
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=issuer,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "nbf", "iat", "iss", "aud", "sub"]},
        )
        session_id = UUID(claims["sid"]) if "sid" in claims else None
        return Staff(UUID(claims["sub"]), int(claims.get("gen", 0)), session_id)
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        raise _bad_token() from error


def session_ended() -> Rejected:
    """The answer to a token that was ended before it expired: by signing out, a new password, or the loss of access."""
    return Rejected(
        "session_ended",
        "This session has ended; renew it or sign in again.",
        "این نشست پایان یافته است؛ آن را تازه کنید یا دوباره وارد شوید.",
        status=401,
    )


async def verify_tills(conn: Connection, texts: Sequence[str]) -> list[Till | None]:
    """The till that each API key belongs to (one query); None for an unknown, revoked or expired key."""
    parsed = [parse_api_key(text) for text in texts]
    rows: dict[str, list[asyncpg.Record]] = {}
    for row in await conn.fetch(FIND_TILL_KEYS, list({key.key_id for key in parsed if key})):
        rows.setdefault(row["key_id"], []).append(row)
    moment = now()
    return [_till_of(key, rows.get(key.key_id, ()), moment) if key else None for key in parsed]


def _till_of(key: ApiKey, rows: Iterable[asyncpg.Record], moment: datetime) -> Till | None:
    digest = hash_api_key(key)
    for row in rows:
        matches = row["key_hash"] is not None and same(row["key_hash"], digest)
        if matches and _is_live(row["revoked_at"], row["expires_at"], moment):
            return Till(row["cafe_id"], key.key_id, frozenset(row["scopes"]))
    return None


def require_scope(till: Till, scope: str) -> None:
    """Checks that the till may do that.

    Raises:
        Rejected: status 403.
    """
    if scope not in till.scopes:
        raise Rejected(
            "scope_missing",
            f"This key lacks the scope {scope}.",
            "این کلید اجازهٔ این کار را ندارد.",
            status=403,
        )


async def load_till_keys(conn: Connection, keys: Keys, key_ids: Sequence[str]) -> dict[str, TillKey]:
    """The keys with those ids (one query), for checking the signatures of a batch of records.

    Revoked and expired keys are included: ask `TillKey.is_live`. Ids that nobody owns are missing.
    """
    rows = await conn.fetch(
        LOAD_TILL_KEYS,
        list(set(key_ids)),
    )
    found = {}
    for row in rows:
        try:
            opened = unseal_signing_key(keys, row["key_id"], row["signing_key_sealed"])
        except CannotUnseal:
            continue
        till = Till(row["cafe_id"], row["key_id"], frozenset(row["scopes"]))
        found[till.key_id] = TillKey(till, opened, row["expires_at"], row["revoked_at"])
    return found


def unseal_signing_key(keys: Keys, key_id: str, sealed: str) -> bytes:
    """The signing key (32 bytes) of a till key, as identity sealed it into `till_keys`.

    Raises:
        CannotUnseal: the envelope is not of this key.
    """
    return bytes.fromhex(unseal(keys, sealed, table="till_keys", column="signing_key_sealed", row=key_id))


def _is_live(revoked_at: datetime | None, expires_at: datetime | None, moment: datetime) -> bool:
    return revoked_at is None and (expires_at is None or moment < expires_at)


def _bad_token() -> Rejected:
    return Rejected(
        "invalid_token", "The token is not valid; sign in again.", "نشست شما معتبر نیست؛ دوباره وارد شوید.", status=401
    )


def bad_api_key() -> Rejected:
    """The answer to a key that does not hold, whatever is wrong with it."""
    return Rejected("invalid_api_key", "The API key is not valid.", "کلید دستگاه معتبر نیست.", status=401)


def _issuer_away() -> Rejected:
    return Rejected(
        "issuer_unavailable",
        "Tokens can't be checked at the moment; try again.",
        "بررسی نشست در این لحظه ممکن نیست؛ دوباره تلاش کنید.",
        status=503,
    )
