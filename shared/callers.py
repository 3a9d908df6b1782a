"""FastAPI dependencies: the person or the till behind a request."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import State

from shared import auth
from shared.errors import Rejected
from shared.gathering import Gathering

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
    state = request.app.state
    if not hasattr(state, "tills"):
        state.tills = Gathering(partial(_verify_tills, state))
    till: auth.Till | None = await state.tills.ask(None, api_key)
    if till is None:
        raise auth.bad_api_key()
    return till


async def _verify_tills(state: State, _: None, api_keys: Sequence[str]) -> list[auth.Till | None]:
    async with state.pool.acquire() as conn:
        return await auth.verify_tills(conn, api_keys)


StaffCaller = Annotated[auth.Staff, Depends(current_staff)]
TillCaller = Annotated[auth.Till, Depends(current_till)]


def _missing(header: str) -> Rejected:
    return Rejected(
        "not_signed_in",
        f"The header {header} is missing.",
        "سرآیند هویت در درخواست نیست.",
        status=401,
    )
