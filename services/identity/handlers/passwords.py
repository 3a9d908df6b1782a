"""Hashing and checking passwords, on few cores and with a bounded queue."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import lru_cache

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from services.identity.models.passwords import refuse_guessable
from shared.errors import Problem, Rejected

_passwords = PasswordHash((Argon2Hasher(),))


class Hashing:
    """A bounded queue for hashing. One hash takes 64 MiB and a core for a moment, so a flood of them waits here, and
    what is too much is told to come again. Some places are kept for people who are known."""

    def __init__(self, at_once: int = 2, places: int = 32, kept_for_known: int = 8) -> None:
        self._cores = asyncio.Semaphore(at_once)
        self._places, self._kept, self._taken = places, kept_for_known, 0

    @asynccontextmanager
    async def turn(self, *, known: bool) -> AsyncIterator[None]:
        """Waits for a core.

        Raises:
            Rejected: status 503 when too many wait already.
        """
        if self._taken >= self._places - (0 if known else self._kept):
            raise Rejected(
                "busy",
                "Too many sign in at the moment; try again.",
                "هم‌اکنون ورودهای زیادی در جریان است؛ دوباره تلاش کنید.",
                status=503,
                retry_after=2,
            )
        self._taken += 1
        try:
            async with self._cores:
                yield
        finally:
            self._taken -= 1


hashing = Hashing()


async def hash_password(password: SecretStr, *, known: bool = True) -> str:
    """The argon2id hash of a new password; takes a core for some ten milliseconds, outside of the event loop.

    Raises:
        Rejected: status 503 when too many wait already.
    """
    async with hashing.turn(known=known):
        return await asyncio.to_thread(_passwords.hash, password.get_secret_value())


async def password_matches(
    password: SecretStr, password_hash: str | None, *, known: bool = True
) -> tuple[bool, str | None]:
    """Whether the password is the hashed one, and a fresh hash where the old one's parameters are outdated.

    Without a hash (nobody has that login) it takes as long and answers no.

    Raises:
        Rejected: status 503 when too many wait already; who is not `known` is told so earlier.
    """
    async with hashing.turn(known=known):
        return await asyncio.to_thread(_verify, password.get_secret_value(), password_hash)


def check_new_password(field: str, password: SecretStr, known: Iterable[str]) -> None:
    """Checks that the password can't be guessed from what is known of the person: login, name, name of the cafe.

    Raises:
        Rejected: status 422, naming `field`.
    """
    try:
        refuse_guessable(password.get_secret_value(), known)
    except PydanticCustomError as error:
        fa = str((error.context or {}).get("fa"))
        problem = Problem(field, error.type, error.message(), fa)
        raise Rejected(
            "invalid_input", "Some fields are not right.", "برخی فیلدها درست نیستند.", problems=[problem]
        ) from None


def _verify(password: str, password_hash: str | None) -> tuple[bool, str | None]:
    matches, fresh = _passwords.verify_and_update(password, password_hash or _hash_of_nothing())
    return matches and password_hash is not None, fresh


@lru_cache(maxsize=1)
def _hash_of_nothing() -> str:
    return _passwords.hash(secrets.token_urlsafe(32))
