"""Signing in and out, sessions, and one's own password."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from services.identity.api.asking import Caller, Slowly, device_of, keys_of, settings_of
from services.identity.handlers import attempts, passwords, resets, sessions, signing
from services.identity.models.http import ChangePassword, Me, Renew, Session, SessionInfo, SignIn, UseReset
from services.identity.models.logins import spellings
from shared.database import db
from shared.errors import NotFound
from shared.process import telemetry
from shared.security.addresses import client_address
from shared.security.auth import JWKS_PATH, session_ended
from shared.web.acting import acting_as_service
from shared.web.documents import problems

router = APIRouter(tags=["sessions"])


@router.post("/sessions", status_code=201, dependencies=[Slowly], responses=problems(401, 429))
async def sign_in(request: Request, body: SignIn) -> Session:
    """Signs in with an e-mail address or a phone number. After five wrong passwords from one address this login pauses
    there; a device that signed in before and shows its `device_token` has its own five."""
    pool, keys = request.app.state.pool, keys_of(request)
    device = device_of(request, body.device_name, body.device_token.get_secret_value() if body.device_token else None)
    async with db.transaction(pool) as conn:
        attempt = await attempts.begin(conn, keys, spellings(body.login), device)
    matches, fresh = await passwords.password_matches(
        body.password, attempt.account.password_hash, known=attempt.device_id is not None
    )
    if not matches:
        telemetry.logger().warning("session.refused", user_id=str(attempt.account.user_id))
        raise sessions.wrong_password()
    async with db.transaction(pool) as conn:
        return await sessions.begin_session(conn, keys, settings_of(request).identity_url, attempt, device, fresh)


@router.post("/sessions/renew", status_code=201, responses=problems(401, 429))
async def renew_session(request: Request, body: Renew) -> Session:
    """New tokens for the newest refresh token of a session. Each holds once; one that comes a second time after more
    than a minute is a copy, and ends the session."""
    address, issuer = client_address(request), settings_of(request).identity_url
    async with acting_as_service(request) as conn:
        renewed = await sessions.renew(conn, keys_of(request), issuer, body.refresh_token.get_secret_value(), address)
    if renewed is None:
        raise session_ended()
    return renewed


@router.get("/sessions")
async def list_sessions(request: Request, caller: Caller) -> list[SessionInfo]:
    """Where the caller is signed in, the last used first."""
    async with db.transaction(request.app.state.pool) as conn:
        return await sessions.list_sessions(conn, caller)


@router.delete("/sessions", status_code=204)
async def sign_out_everywhere(request: Request, caller: Caller) -> None:
    """Ends all sessions of the caller, this one too."""
    async with acting_as_service(request) as conn:
        await sessions.end_all_sessions(conn, caller.user_id)


@router.delete("/sessions/current", status_code=204)
async def sign_out(request: Request, caller: Caller) -> None:
    """Ends the session of the token that comes with the request."""
    async with acting_as_service(request) as conn:
        if caller.session_id is None or not await sessions.end_session(conn, caller.user_id, caller.session_id):
            # A token from before there were sessions: there is nothing less to end than all.
            await sessions.end_all_sessions(conn, caller.user_id)


@router.delete("/sessions/{session_id}", status_code=204)
async def end_session(request: Request, caller: Caller, session_id: UUID) -> None:
    """Ends one session of the caller, on this or another device."""
    async with acting_as_service(request) as conn:
        if not await sessions.end_session(conn, caller.user_id, session_id):
            raise NotFound("session", "نشست")


@router.get("/me")
async def who_am_i(request: Request, caller: Caller) -> Me:
    """The caller: their login, their session, and their cafes with their role in each."""
    async with db.transaction(request.app.state.pool) as conn:
        return await sessions.describe(conn, keys_of(request), caller)


@router.put("/me/password", status_code=204, responses=problems(429))
async def change_password(request: Request, caller: Caller, body: ChangePassword) -> None:
    """Replaces the caller's own password; wrong guesses of the old one count as failed sign-ins do. All other sessions
    end, and this one has to be renewed."""
    pool, keys = request.app.state.pool, keys_of(request)
    async with db.transaction(pool) as conn:
        attempt = await resets.begin_change(conn, keys, caller.user_id, body.new_password)
    matches, _ = await passwords.password_matches(body.old_password, attempt.account.password_hash)
    if not matches:
        telemetry.logger().warning("password_change.refused", user_id=str(caller.user_id))
        raise sessions.wrong_password()
    fresh = await passwords.hash_password(body.new_password)
    async with acting_as_service(request) as conn:
        await resets.finish_change(conn, attempt, fresh, session_id=caller.session_id)


@router.post("/password-resets/use", status_code=204, dependencies=[Slowly], responses=problems(401, 404, 429))
async def use_reset(request: Request, body: UseReset) -> None:
    """Chooses a new password with a one-time code; all sessions of the person end."""
    pool, keys = request.app.state.pool, keys_of(request)
    async with db.transaction(pool) as conn:
        await resets.check_reset(conn, keys, body.code, body.new_password)
    fresh = await passwords.hash_password(body.new_password, known=False)
    async with acting_as_service(request) as conn:
        await resets.use_reset(conn, keys, body.code, body.new_password, fresh)


@router.get(JWKS_PATH)
async def published_keys(request: Request, response: Response) -> Mapping[str, Any]:
    """The keys that tokens are signed with (RFC 7517)."""
    response.headers["Cache-Control"] = "max-age=300"
    async with db.transaction(request.app.state.pool) as conn:
        return await signing.published_keys(conn, keys_of(request))
