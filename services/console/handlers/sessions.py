"""Signing in and staying so: the console renews a person's token while they work."""

import time
from dataclasses import replace
from uuid import UUID

from services.console.models.people import Tokens
from services.console.models.session import Access, Insider, SealedSession, Visitor
from services.console.store import identity
from services.console.store.upstream import RefusedCall, SignedOut, Upstream

# A token that ends sooner is renewed before it is used: the page's calls must not fail half way.
RENEW_BEFORE_SECONDS = 60.0


async def sign_in(
    up: Upstream, access: Access, login: str, password: str, device_token: str | None, csrf: str
) -> tuple[SealedSession, str | None]:
    """The session of a person, and the token by which identity knows this device again, when it gave one.

    Raises `RefusedCall`.
    """
    tokens = await identity.sign_in(up, access, login, password, device_token)
    return _session(tokens, csrf), tokens.device_token


async def fresh(up: Upstream, access: Access, session: SealedSession) -> SealedSession:
    """The session with a token that holds for a while. Raises `SignedOut` when it has ended."""
    now = time.time()
    if session.access_until - now > RENEW_BEFORE_SECONDS:
        return session
    if session.refresh_until <= now:
        raise SignedOut
    try:
        return _session(await identity.renew(up, access, session.refresh_token), session.csrf)
    except RefusedCall as error:
        if error.status == 401:
            raise SignedOut from error
        raise


async def enter(up: Upstream, access: Access, session: SealedSession) -> Visitor:
    """The person of a session."""
    own = replace(access, token=session.access_token)
    return Visitor(session, own, await identity.who_am_i(up, own))


def inside(visitor: Visitor, cafe_id: UUID) -> Insider | None:
    """The visitor in one of their cafes; None when it is none of theirs."""
    cafe = next((each for each in visitor.caller.cafes if each.cafe_id == cafe_id), None)
    return Insider(visitor.session, visitor.access, visitor.caller, cafe) if cafe else None


def _session(tokens: Tokens, csrf: str) -> SealedSession:
    now = time.time()
    return SealedSession(
        tokens.access_token,
        now + tokens.expires_in,
        tokens.refresh_token,
        now + tokens.refresh_expires_in,
        tokens.user_id,
        csrf,
    )
