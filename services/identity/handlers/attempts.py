"""Limits on trying passwords. The pause after wrong ones belongs to one login and one address, so strangers never lock
out somebody who comes from elsewhere, nor a device that signed in before."""

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.identity.models.accounts import Attempt, LoginAccount, SignInDevice
from services.identity.rules import sessions as rules
from services.identity.store import accounts as store
from shared.clock import now
from shared.database.db import Connection
from shared.errors import Rejected
from shared.persian.text import persian_digits
from shared.security.crypto import Keys, keyed_digest, same

NO_CAFE = UUID(int=0)


def login_hash(keys: Keys, login: str) -> bytes:
    """32 bytes by which a canonical login is found."""
    return keyed_digest(keys, "login", NO_CAFE, login.encode())


async def begin(conn: Connection, keys: Keys, logins: Sequence[str], device: SignInDevice) -> Attempt:
    """Begins a sign-in with the first of these logins that has an account.

    The attempt is counted before its password is looked at, so that parallel guesses count too.

    Raises:
        Rejected: status 429 while this login has to wait here, whether anybody has it or not.
    """
    account = await store.find_login(conn, [login_hash(keys, login) for login in logins])
    return await begin_for(conn, keys, account, device)


async def begin_for(conn: Connection, keys: Keys, account: LoginAccount, device: SignInDevice) -> Attempt:
    """As `begin`, for an account that has been found already."""
    device_id = known_device(keys, account.user_id, device.token)
    if device_id:
        counter = _counter(keys, account.login_hash, f"device {device_id}")
        await count(conn, counter)
        return Attempt(account, (counter,), device_id)
    here, everywhere = (_counter(keys, account.login_hash, what) for what in (f"address {device.address}", "all"))
    await count(conn, here)
    await count(conn, everywhere, rules.FREE_ATTEMPTS_OF_ALL)
    return Attempt(account, (here, everywhere))


async def begin_own(conn: Connection, keys: Keys, account: LoginAccount) -> Attempt:
    """Begins a check of the password of somebody who is signed in. Counted apart from sign-ins, and over all addresses:
    a stolen token must not be a way to guess.

    Raises:
        Rejected: status 429 while the person has to wait.
    """
    counter = _counter(keys, str(account.user_id).encode(), "own")
    await count(conn, counter)
    return Attempt(account, (counter,))


async def count(conn: Connection, counter: bytes, free: int = rules.FREE_ATTEMPTS) -> None:
    """Count one attempt.

    Raises:
        Rejected: status 429 while attempts of this counter have to wait.
    """
    moment = now()
    failures, blocked_until = await store.count_attempt(conn, counter, moment)
    if blocked_until > moment:
        raise _wait(blocked_until - moment)
    pause = rules.pause_after(failures, free)
    if pause:
        await store.block_attempts(conn, counter, moment + pause)


def device_token(keys: Keys, user_id: UUID, device_id: UUID, moment: datetime) -> str:
    """A token that shows, until `rules.DEVICE_LIFETIME` is over, that this person signed in on this device."""
    issued = int(moment.timestamp())
    return f"d1.{device_id.hex}.{issued}.{_device_mark(keys, user_id, device_id, issued)}"


def known_device(keys: Keys, user_id: UUID | None, token: str | None) -> UUID | None:
    """The device on which this person signed in before; None for any token that does not show that."""
    try:
        kind, device, issued, mark = (token or "").split(".")
        device_id, age = UUID(hex=device), now().timestamp() - int(issued)
    except (ValueError, OverflowError):
        return None
    if user_id is None or kind != "d1" or age > rules.DEVICE_LIFETIME.total_seconds():
        return None
    holds = same(mark.encode(errors="replace"), _device_mark(keys, user_id, device_id, int(issued)).encode())
    return device_id if holds else None


def _device_mark(keys: Keys, user_id: UUID, device_id: UUID, issued: int) -> str:
    digest = keyed_digest(keys, "device", NO_CAFE, b"%b%b%d" % (user_id.bytes, device_id.bytes, issued))
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _counter(keys: Keys, whose: bytes, where: str) -> bytes:
    # Hashed, so that nobody reads from which addresses people sign in.
    return keyed_digest(keys, "attempts", NO_CAFE, whose + b"\0" + where.encode())


def _wait(left: timedelta) -> Rejected:
    seconds = int(left.total_seconds()) + 1
    return Rejected(
        "too_many_attempts",
        f"Too many attempts; try again in {seconds} seconds.",
        f"تلاش‌ها بیش از اندازه بود؛ {persian_digits(str(seconds))} ثانیهٔ دیگر دوباره تلاش کنید.",
        status=429,
        retry_after=seconds,
    )
