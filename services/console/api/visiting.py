"""Who a request comes from: for every route behind the sign-in."""

from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Final
from uuid import UUID

from fastapi import Depends, Request

from services.console.api import wall
from services.console.handlers import sessions
from services.console.models.session import Access, Insider, SealedSession, Visitor
from services.console.store.upstream import SignedOut, Upstream
from shared.errors import Rejected
from shared.security.addresses import client_address
from shared.web.http import correlation_of

# A page asks up to eight calls, and all people share the connections to the APIs.
PAGES_AT_ONCE: Final = 8


def upstream(request: Request) -> Upstream:
    """The APIs."""
    found: Upstream = request.app.state.upstream
    return found


def access_of(request: Request) -> Access:
    """With what calls for this request are made, before anybody has signed in."""
    trace = request.scope["state"].get("correlation_id") or correlation_of(dict(request.scope["headers"]))
    return Access(None, client_address(request), trace, request.headers.get("user-agent", "")[:200])


async def visitor_of(request: Request) -> AsyncIterator[Visitor]:
    """The person who is signed in; their session is renewed when it is time.

    Raises `SignedOut`, and `Rejected` (429) while so many of their pages are under way that those of others would wait.
    """
    session = wall.session_of(request)
    if session is None:
        raise SignedOut
    underway: Counter[UUID] = request.app.state.underway
    if underway[session.user_id] >= PAGES_AT_ONCE:
        raise Rejected(
            "busy", "Too much is under way; try again.", "کارهای زیادی در جریان است؛ دوباره بزنید.", status=429
        )
    underway[session.user_id] += 1
    try:
        request.state.visitor = await entered(request, session)
        yield request.state.visitor
    finally:
        underway[session.user_id] -= 1
        if not underway[session.user_id]:
            del underway[session.user_id]


async def entered(request: Request, session: SealedSession) -> Visitor:
    """The person of that session. Raises `SignedOut`."""
    access = access_of(request)
    fresh = await sessions.fresh(upstream(request), access, session)
    if fresh is not session:
        wall.keep(request, fresh)
    return await sessions.enter(upstream(request), access, fresh)


# Until the answer begins: a stream is under way for hours, and asks nothing more.
AnyVisitor = Annotated[Visitor, Depends(visitor_of, scope="function")]


async def insider_of(request: Request, visitor: AnyVisitor, cafe_id: UUID) -> Insider:
    """The person in the cafe of the address.

    Raises:
        Rejected: status 404 when it is none of theirs: who is not of a cafe does not learn that it is there.
    """
    found = sessions.inside(visitor, cafe_id)
    if found is None:
        raise Rejected("not_found", "There is nothing at this address.", "در این نشانی چیزی نیست.", status=404)
    request.state.visitor = found
    return found


Here = Annotated[Insider, Depends(insider_of)]
