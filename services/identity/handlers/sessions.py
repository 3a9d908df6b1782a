"""Signing in, passwords, and the keys that sign tokens."""

import asyncio
import json
import secrets
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from services.identity import rules, store
from services.identity.handlers.people import login_hash
from services.identity.models import Attempt, Session, SigningKey
from shared.auth import ALGORITHM, AUDIENCE
from shared.clock import new_id, now
from shared.crypto import Keys, seal, unseal
from shared.db import Connection
from shared.errors import Rejected
from shared.persian.text import persian_digits

_passwords = PasswordHash((Argon2Hasher(),))
# One hash takes 64 MiB and a core for a moment: a flood of sign-ins queues here instead of emptying the machine.
_hashing = asyncio.Semaphore(2)


async def hash_password(password: str) -> str:
    """The argon2id hash of a new password; takes a core for some ten milliseconds, outside of the event loop."""
    async with _hashing:
        return await asyncio.to_thread(_passwords.hash, password)


async def begin_sign_in(conn: Connection, keys: Keys, login: str) -> Attempt:
    """Who signs in with that (canonical) login.

    The attempt is counted before its password is looked at, so that parallel guesses count too.

    Raises:
        Rejected: status 429 while the login is blocked, whether anybody has it or not.
    """
    digest = login_hash(keys, login)
    await _count_attempt(conn, digest)
    return await store.find_login(conn, digest)


async def begin_password_change(conn: Connection, keys: Keys, user_id: UUID) -> Attempt:
    """Who changes their password. Counted like a sign-in: a stolen token must not be a way to guess.

    Raises:
        Rejected: status 429 while the person's changes are blocked.
    """
    digest = login_hash(keys, f"change:{user_id}")
    await _count_attempt(conn, digest)
    return Attempt(digest, user_id, await store.find_password_hash(conn, user_id))


async def finish_password_change(conn: Connection, attempt: Attempt, password_hash: str) -> None:
    """The new password of a person whose old one was right."""
    assert attempt.user_id is not None
    await store.clear_attempts(conn, attempt.login_hash)
    await store.save_password(conn, attempt.user_id, password_hash)


async def password_matches(password: str, password_hash: str | None) -> tuple[bool, str | None]:
    """Whether the password is the hashed one, and a fresh hash where the old one's parameters are outdated.

    Without a hash (nobody has that login) it takes as long and answers no.
    """
    async with _hashing:
        return await asyncio.to_thread(_verify, password, password_hash)


async def finish_sign_in(
    conn: Connection, keys: Keys, attempt: Attempt, issuer: str, fresh_hash: str | None = None
) -> Session:
    """The token of a person whose password was right."""
    assert attempt.user_id is not None
    moment = now()
    await store.clear_attempts(conn, attempt.login_hash)
    await store.note_sign_in(conn, attempt.user_id, moment)
    if fresh_hash:
        await store.save_password(conn, attempt.user_id, fresh_hash)
    key = await ensure_signing_key(conn, keys)
    claims = rules.token_claims(attempt.user_id, issuer, AUDIENCE, new_id(), moment)
    private = serialization.load_pem_private_key(_opened(keys, key).encode(), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    token = jwt.encode(claims, private, ALGORITHM, headers={"kid": key.key_id})
    return Session(access_token=token, expires_in=int(rules.TOKEN_LIFETIME.total_seconds()), user_id=attempt.user_id)


def wrong_password() -> Rejected:
    """The same answer for a wrong password and for a login that nobody has."""
    return Rejected("wrong_login", "Login or password is wrong.", "نام کاربری یا گذرواژه درست نیست.", status=401)


async def ensure_signing_key(conn: Connection, keys: Keys) -> SigningKey:
    """The key that signs tokens: a new one when there is none or the old one is due."""
    key = await store.active_signing_key(conn)
    if key is not None and not rules.signing_key_is_due(key.created_at, now()):
        return key
    key = await store.active_signing_key(conn, lock=True)
    if key is not None and not rules.signing_key_is_due(key.created_at, now()):
        return key
    fresh = _generate_signing_key(keys, now())
    await store.replace_signing_key(conn, fresh)
    return fresh


async def published_keys(conn: Connection, keys: Keys) -> dict[str, list[Any]]:
    """The JSON Web Key Set: every public key of which tokens may still be valid."""
    await ensure_signing_key(conn, keys)
    return {"keys": list(await store.published_keys(conn, now() - rules.KEYS_PUBLISHED_FOR))}


async def tidy(conn: Connection, keys: Keys) -> int:
    """Rotate the signing key when due, delete keys and attempt counters that nobody needs.

    Returns:
        How much was deleted; more may be left while it is not 0.
    """
    await ensure_signing_key(conn, keys)
    deleted = await store.delete_signing_keys(conn, now() - rules.KEYS_PUBLISHED_FOR)
    return deleted + await store.forget_attempts(conn, now() - rules.ATTEMPTS_FORGOTTEN_AFTER)


async def _count_attempt(conn: Connection, digest: bytes) -> None:
    moment = now()
    failures, blocked_until = await store.count_attempt(conn, digest, moment)
    if blocked_until > moment:
        seconds = int((blocked_until - moment).total_seconds()) + 1
        raise Rejected(
            "too_many_attempts",
            f"Too many attempts; try again in {seconds} seconds.",
            f"تلاش‌ها بیش از اندازه بود؛ {persian_digits(str(seconds))} ثانیهٔ دیگر دوباره تلاش کنید.",
            status=429,
        )
    pause = rules.pause_after(failures)
    if pause:
        await store.block_login(conn, digest, moment + pause)


def _generate_signing_key(keys: Keys, moment: datetime) -> SigningKey:
    private = Ed25519PrivateKey.generate()
    key_id = secrets.token_hex(8)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public: dict[str, str] = json.loads(OKPAlgorithm.to_jwk(private.public_key()))
    public.pop("key_ops", None)
    return SigningKey(
        key_id,
        seal(keys, pem.decode(), table="signing_keys", column="private_key_sealed", row=key_id),
        {**public, "kid": key_id, "alg": ALGORITHM, "use": "sig"},
        moment,
    )


def _opened(keys: Keys, key: SigningKey) -> str:
    return unseal(keys, key.private_key_sealed, table="signing_keys", column="private_key_sealed", row=key.key_id)


def _verify(password: str, password_hash: str | None) -> tuple[bool, str | None]:
    matches, fresh = _passwords.verify_and_update(password, password_hash or _hash_of_nothing())
    return matches and password_hash is not None, fresh


@lru_cache(maxsize=1)
def _hash_of_nothing() -> str:
    return _passwords.hash(secrets.token_urlsafe(32))
