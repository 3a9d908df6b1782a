"""Forgotten and changed passwords. A code for a new one is made for who is below in all that the account opens."""

import secrets
from datetime import datetime
from uuid import UUID

from pydantic import SecretStr

from services.identity.handlers import attempts, passwords, people
from services.identity.handlers.invitations import link
from services.identity.handlers.sessions import end_all_sessions, wrong_password
from services.identity.models.accounts import Attempt
from services.identity.models.http import NewReset
from services.identity.rules import access as rules
from services.identity.store import accounts
from services.identity.store import cafes as cafe_store
from services.identity.store import invitations as store
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound, Rejected
from shared.security.crypto import Keys, sha256


async def offer_reset(conn: Connection, cafe_id: UUID, user_id: UUID, *, by: UUID, console: str | None) -> NewReset:
    """A one-time code by which a member chooses a new password; sessions end when it is used.

    Raises:
        Rejected: status 404 for a stranger, 403 when `by` does not rank above the member in every cafe of theirs.
    """
    await people.enter(conn, cafe_id, by, "manager")
    if user_id not in await people.members_of(conn, cafe_id):
        raise NotFound("member", "همکار")
    await cafe_store.as_service(conn)
    await accounts.lock_user(conn, user_id)
    if not await _may_reset(conn, by, user_id):
        raise Rejected(
            "reset_not_yours",
            "Only who ranks above this person in all their cafes may do that; otherwise ask the operator.",
            "تنها کسی که در همهٔ کافه‌های این فرد بالادست اوست می‌تواند؛ وگرنه از گردانندهٔ سامانه بخواهید.",
            status=403,
        )
    return await _new_code(conn, user_id, by, now(), console)


async def operator_reset(conn: Connection, user_id: UUID, *, console: str | None = None) -> NewReset:
    """As `offer_reset`, for an operator: all sessions end at once, in case somebody else has the account."""
    await end_all_sessions(conn, user_id)
    return await _new_code(conn, user_id, None, now(), console)


async def check_reset(conn: Connection, keys: Keys, code: SecretStr, new_password: SecretStr) -> UUID:
    """Whose password the code replaces.

    Raises:
        Rejected: status 404 for a code that does not hold (any more), 422 for a password that can be guessed.
    """
    found = await store.find_reset(conn, sha256(code.get_secret_value()), now())
    # Since the code was made, the person may have come to work elsewhere, and its maker may have lost their say.
    if found is None or (found.made_by and not await _may_reset(conn, found.made_by, found.user_id)):
        raise Rejected(
            "reset_over",
            "This code does not hold (any more); ask for a new one.",
            "این کد معتبر نیست یا پایان یافته است؛ کد تازه‌ای بخواهید.",
            status=404,
        )
    passwords.check_new_password("new_password", new_password, await _known(conn, keys, found.user_id))
    return found.user_id


async def use_reset(conn: Connection, keys: Keys, code: SecretStr, new_password: SecretStr, chosen_hash: str) -> None:
    """The new password of the person whose code it is; all their sessions end.

    Raises:
        Rejected: as `check_reset`.
    """
    user_id = await check_reset(conn, keys, code, new_password)
    await accounts.lock_user(conn, user_id)
    # Once more, behind the lock: somebody may have used the code, or given the person access, at the same time.
    await check_reset(conn, keys, code, new_password)
    await set_password(conn, user_id, chosen_hash)


async def set_password(conn: Connection, user_id: UUID, password_hash: str) -> None:
    """A new password; all sessions of the person end."""
    await accounts.save_password(conn, user_id, password_hash)
    await end_all_sessions(conn, user_id)


async def begin_change(conn: Connection, keys: Keys, user_id: UUID, new_password: SecretStr) -> Attempt:
    """Who changes their own password.

    Raises:
        Rejected: status 429 while the person has to wait, 422 for a password that can be guessed.
    """
    passwords.check_new_password("new_password", new_password, await _known(conn, keys, user_id))
    account = await accounts.find_account(conn, user_id)
    if account is None:
        raise wrong_password()
    return await attempts.begin_own(conn, keys, account)


async def finish_change(conn: Connection, attempt: Attempt, password_hash: str, *, session_id: UUID | None) -> None:
    """The new password of a person whose old one was right. All their sessions end, but the one that asks.

    Raises:
        Rejected: status 401 when the password has been replaced since it was looked at.
    """
    user_id = attempt.account.user_id
    assert user_id is not None
    await accounts.lock_user(conn, user_id)
    account = await accounts.find_account(conn, user_id)
    if account is None or account.password_hash != attempt.account.password_hash:
        raise wrong_password()
    await accounts.clear_attempts(conn, attempt.counters)
    await accounts.save_password(conn, user_id, password_hash)
    await end_all_sessions(conn, user_id, besides=session_id)


async def _may_reset(conn: Connection, by: UUID, user_id: UUID) -> bool:
    roles = await accounts.find_roles(conn, user_id)
    return rules.may_reset(await accounts.find_roles(conn, by), roles)


async def _new_code(
    conn: Connection, user_id: UUID, by: UUID | None, moment: datetime, console: str | None
) -> NewReset:
    code, expires_at = secrets.token_urlsafe(24), moment + rules.RESET_LIFETIME
    await store.save_reset(conn, user_id, sha256(code), by, moment, expires_at)
    return NewReset(expires_at=expires_at, code=code, link=link(console, "reset", code))


async def _known(conn: Connection, keys: Keys, user_id: UUID) -> list[str]:
    return [*await cafe_store.names_around(conn, user_id), *await accounts.logins_of(conn, keys, user_id)]
