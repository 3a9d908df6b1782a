"""FastAPI dependency: the guest behind a request, by the link to their own page alone."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from shared.clock import now
from shared.errors import Rejected
from shared.security.guest_links import GUEST_LINK_HEADER, GuestLink, WrongGuestLink, read_guest_token


class GuestLinkHeader(APIKeyHeader):
    """The secret part of the link, in a header, so that it stands in no address between processes."""


_link = GuestLinkHeader(name=GUEST_LINK_HEADER, auto_error=False, description="the secret part of a guest's own link")


async def current_guest(request: Request, token: Annotated[str | None, Depends(_link)]) -> GuestLink:
    """Whose link the request carries.

    Raises:
        Rejected: status 401 without a link of ours whose time is now.
    """
    try:
        link = read_guest_token(request.app.state.settings.keys, token or "")
    except WrongGuestLink:
        raise link_unknown() from None
    if link.is_over(now()):
        raise link_over()
    return link


def link_unknown() -> Rejected:
    """No link of ours."""
    return Rejected("guest_link_unknown", "This link is not valid.", "این پیوند درست نیست.", status=401)


def link_over() -> Rejected:
    """One whose time has passed."""
    return Rejected("guest_link_over", "This link has expired.", "زمان این پیوند گذشته است.", status=401)


def link_gone() -> Rejected:
    """One whose guest is not there any more."""
    return Rejected("guest_link_gone", "This page is no longer there.", "این صفحه دیگر نیست.", status=401)


GuestCaller = Annotated[GuestLink, Depends(current_guest)]
