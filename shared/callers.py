"""FastAPI dependencies: the person or the till behind a request."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from shared import auth, db
from shared.errors import Rejected

_bearer = HTTPBearer(auto_error=False, description="the access token of POST /sessions at the identity service")
_api_key = APIKeyHeader(name="X-API-Key", auto_error=False, description="the till's key: crm_<key id>_<secret>")


async def current_staff(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> auth.Staff:
    """The person whose token the request carries (`Authorization: Bearer`).

    Raises:
        Rejected: status 401 without a good token, 503 while tokens can't be checked.
    """
    if credentials is None:
        raise _missing("Authorization: Bearer …")
    state = request.app.state
    if not hasattr(state, "staff_keys"):
        state.staff_keys = auth.published_keys(state.settings.identity_url)
    return await auth.verify_staff(credentials.credentials, state.staff_keys, state.settings.identity_url)


async def current_till(request: Request, api_key: Annotated[str | None, Depends(_api_key)]) -> auth.Till:
    """The till whose key the request carries (`X-API-Key`).

    Raises:
        Rejected: status 401 without a good key.
    """
    if api_key is None:
        raise _missing("X-API-Key")
    async with db.transaction(request.app.state.pool) as conn:
        return await auth.verify_till(conn, api_key)


StaffCaller = Annotated[auth.Staff, Depends(current_staff)]
TillCaller = Annotated[auth.Till, Depends(current_till)]


def _missing(header: str) -> Rejected:
    return Rejected(
        "not_signed_in",
        f"The header {header} is missing.",
        "سرآیند هویت در درخواست نیست.",
        status=401,
    )
