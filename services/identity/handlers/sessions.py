"""Signing in, staying signed in, and ending sessions here and in every service."""

import base64
import secrets
from uuid import UUID

from services.identity.handlers import attempts, signing
from services.identity.models.accounts import Attempt, SessionRow, SignInDevice
from services.identity.models.http import Me, Session, SessionInfo
from services.identity.models.logins import masked_login
from services.identity.rules import access
from services.identity.rules import sessions as rules
from services.identity.store import accounts, cafes, invitations
from services.identity.store import sessions as store
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import Rejected
from shared.events.identity import SessionsEnded
from shared.messaging import outbox
from shared.process import telemetry
from shared.security.auth import Staff, session_ended
from shared.security.crypto import Keys, keyed_digest, same


async def begin_session(
    conn: Connection, keys: Keys, issuer: str, attempt: Attempt, device: SignInDevice, fresh_hash: str | None = None
) -> Session:
    """The tokens of a person whose password was right.

    Raises:
        Rejected: status 401 when the password has been replaced since it was looked at.
    """
    user_id, moment = attempt.account.user_id, now()
    assert user_id is not None
    generation = await accounts.lock_user(conn, user_id)
    account = await accounts.find_login(conn, [attempt.account.login_hash])
    if (account.user_id, account.password_hash) != (user_id, attempt.account.password_hash) or generation is None:
        raise wrong_password()
    await accounts.clear_attempts(conn, attempt.counters)
    await accounts.note_sign_in(conn, user_id, moment)
    if fresh_hash and account.password_hash:
        await accounts.refresh_hash(conn, user_id, account.password_hash, fresh_hash)
    session_id, seed = new_id(), secrets.token_bytes(32)
    await store.insert(conn, session_id, user_id, seed, device.name, rules.shortened_address(device.address), moment)
    await store.end_beyond(conn, user_id, rules.SESSIONS_PER_PERSON, moment)
    row = SessionRow(session_id, user_id, seed, 0, moment, moment, moment, None, generation)
    session = await _session(conn, keys, issuer, row)
    token = attempts.device_token(keys, user_id, attempt.device_id or new_id(), moment)
    return session.model_copy(update={"device_token": token})


async def renew(conn: Connection, keys: Keys, issuer: str, refresh_token: str, address: str) -> Session | None:
    """New tokens for the newest refresh token of a session.

    None when an old one came: then two have the session, and it has been ended; the caller commits that and answers
    `session_ended`.

    Raises:
        Rejected: status 401 for a token that never was one, or whose session has ended.
    """
    session_id, turn, mark = _parts(refresh_token)
    row = await store.lock(conn, session_id)
    if row is None or not same(mark, _mark(keys, row, turn)):
        raise session_ended()
    moment = now()
    if row.ended_at or rules.session_is_over(row.created_at, row.last_used_at, moment):
        raise session_ended()
    if turn == row.turn:
        await store.turn(conn, session_id, moment, rules.shortened_address(address))
        return await _session(conn, keys, issuer, row, row.turn + 1)
    if turn == row.turn - 1 and moment - row.turned_at <= rules.LOST_ANSWER_GRACE:
        return await _session(conn, keys, issuer, row, row.turn)
    telemetry.logger().warning("session.copied", user_id=str(row.user_id), session_id=str(session_id))
    await end_session(conn, row.user_id, session_id)
    return None


async def describe(conn: Connection, keys: Keys, caller: Staff) -> Me:
    """Who is signed in, and where they work."""
    logins = await accounts.logins_of(conn, keys, caller.user_id)
    return Me(
        user_id=caller.user_id,
        login=", ".join(masked_login(login) for login in logins),
        session_id=caller.session_id,
        cafes=await cafes.list_own_cafes(conn, caller.user_id),
    )


async def list_sessions(conn: Connection, caller: Staff) -> list[SessionInfo]:
    """Where the person is signed in, the last used first."""
    moment = now()
    rows = await store.list_live(conn, caller.user_id, moment - rules.SESSION_LIFETIME, moment - rules.IDLE_LIFETIME)
    return [SessionInfo(**row, is_current=row["session_id"] == caller.session_id) for row in rows]


async def end_session(conn: Connection, user_id: UUID, session_id: UUID) -> bool:
    """Refuse the tokens of one session, here and soon in every service. False when there is no such session."""
    generation, moment = await accounts.lock_user(conn, user_id), now()
    if generation is None or not await store.end_one(conn, user_id, session_id, moment):
        return False
    lately = await store.lately_ended(conn, user_id, moment - rules.ENDED_REMEMBERED_FOR)
    if len(lately) > rules.ENDED_ONE_BY_ONE:
        # More than services remember one by one: older tokens of the other sessions go too, and are renewed.
        await _refuse(conn, user_id, await store.next_generation(conn, user_id))
    else:
        await _refuse(conn, user_id, generation, session_id)
    return True


async def end_all_sessions(conn: Connection, user_id: UUID, *, besides: UUID | None = None) -> None:
    """Refuse all tokens of the person made before now, here and soon in every service; codes for a new password too.

    The session `besides` stays: its next refresh token gives tokens that hold.
    """
    await store.end_all(conn, user_id, now(), besides)
    await invitations.drop_reset(conn, user_id)
    await _refuse(conn, user_id, await store.next_generation(conn, user_id))


async def check_token(conn: Connection, caller: Staff) -> None:
    """Checks that nobody has ended the token. In cafes `require_role` does that; this is for routes outside of cafes.

    Raises:
        Rejected: status 401.
    """
    if not await store.token_holds(conn, caller.user_id, caller.generation, caller.session_id):
        raise session_ended()


async def tidy(conn: Connection) -> int:
    """Deletes what nobody needs: old sessions, invitations, codes and counters of attempts.

    Returns:
        How much was deleted; more may be left while it is not 0.
    """
    moment = now()
    return (
        await store.forget(conn, moment - rules.SESSIONS_FORGOTTEN_AFTER)
        + await invitations.forget(conn, moment - access.INVITATIONS_FORGOTTEN_AFTER)
        + await invitations.forget_resets(conn, moment)
        + await accounts.forget_attempts(conn, moment - rules.ATTEMPTS_FORGOTTEN_AFTER)
        + await accounts.delete_signing_keys(conn, moment - rules.KEYS_PUBLISHED_FOR)
    )


def wrong_password() -> Rejected:
    """The same answer for a wrong password and for a login that nobody has."""
    return Rejected("wrong_login", "Login or password is wrong.", "نام کاربری یا گذرواژه درست نیست.", status=401)


async def _refuse(conn: Connection, user_id: UUID, generation: int, session_id: UUID | None = None) -> None:
    moment = now()
    where = await store.refuse_tokens(conn, user_id, generation, session_id)
    await outbox.emit(
        conn,
        [
            SessionsEnded(
                cafe_id=cafe_id,
                occurred_at=moment,
                user_id=user_id,
                sessions_from=generation,
                session_id=session_id,
            )
            for cafe_id in where
        ],
    )


async def _session(conn: Connection, keys: Keys, issuer: str, row: SessionRow, turn: int = 0) -> Session:
    ends_at = min(row.created_at + rules.SESSION_LIFETIME, now() + rules.IDLE_LIFETIME)
    return Session(
        access_token=await signing.access_token(conn, keys, issuer, row.user_id, row.session_id, row.generation),
        expires_in=int(rules.TOKEN_LIFETIME.total_seconds()),
        user_id=row.user_id,
        session_id=row.session_id,
        refresh_token=f"r1.{row.session_id.hex}.{turn}.{_mark(keys, row, turn).decode()}",
        refresh_expires_in=int((ends_at - now()).total_seconds()),
    )


def _parts(refresh_token: str) -> tuple[UUID, int, bytes]:
    try:
        kind, session, turn, mark = refresh_token.split(".")
        if kind != "r1" or not turn.isascii() or not turn.isdigit() or len(turn) > 9:
            raise session_ended()
        return UUID(hex=session), int(turn), mark.encode()
    except ValueError:
        raise session_ended() from None


def _mark(keys: Keys, row: SessionRow, turn: int) -> bytes:
    # Of the secret and of the session's own seed: neither the database alone nor the secret alone makes a token.
    digest = keyed_digest(keys, "refresh", attempts.NO_CAFE, row.seed + row.session_id.bytes + turn.to_bytes(4, "big"))
    return base64.urlsafe_b64encode(digest).rstrip(b"=")
