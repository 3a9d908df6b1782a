"""Who a request comes from: for every route behind the sign-in."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from services.console.api import wall
from services.console.handlers import sessions
from services.console.models.session import Access, Insider, Visitor
from services.console.store.upstream import SignedOut, Upstream
from shared.errors import Rejected
from shared.security.addresses import client_address
from shared.web.http import correlation_of


def upstream(request: Request) -> Upstream:
    """The APIs."""
    found: Upstream = request.app.state.upstream
    return found


def access_of(request: Request) -> Access:
    """With what calls for this request are made, before anybody has signed in."""
    trace = request.scope["state"].get("correlation_id") or correlation_of(dict(request.scope["headers"]))
    return Access(None, client_address(request), trace, request.headers.get("user-agent", "")[:200])


async def visitor_of(request: Request) -> Visitor:
    """The person who is signed in; their session is renewed when it is time.

    Raises `SignedOut`.
    """
    session = wall.session_of(request)
    if session is None:
        raise SignedOut
    access = access_of(request)
    fresh = await sessions.fresh(upstream(request), access, session)
    if fresh is not session:
        wall.keep(request, fresh)
    return await sessions.enter(upstream(request), access, fresh)


AnyVisitor = Annotated[Visitor, Depends(visitor_of)]


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
