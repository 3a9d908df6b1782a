"""FastAPI dependencies: the person or the till behind a request."""

import time
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from shared.database.db import Pool
from shared.errors import Rejected
from shared.security import auth
from shared.web.coalescing import Gathering

KNOWN_SECONDS = 1.0

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
        state.tills = Tills(state.pool)
    till: auth.Till | None = await state.tills.find(api_key)
    if till is None:
        raise auth.bad_api_key()
    return till


class Tills:
    """The tills behind API keys. A key that held is not looked up again within `KNOWN_SECONDS`: that is about how long
    the word of a revocation is on its way here anyway. Look-ups wait for each other: anybody may send keys that nobody
    knows, and however many come, they take one connection of the pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._looking_up: Gathering[None, str, auth.Till | None] = Gathering(self._look_up)
        self._known: dict[str, auth.Till] = {}
        self._forget_at = 0.0

    async def find(self, api_key: str) -> auth.Till | None:
        """The till of that key; None for one that is unknown, revoked or expired."""
        if time.monotonic() >= self._forget_at:
            self._known.clear()
            self._forget_at = time.monotonic() + KNOWN_SECONDS
        return self._known.get(api_key) or await self._looking_up.ask(None, api_key)

    async def _look_up(self, _: None, api_keys: Sequence[str]) -> list[auth.Till | None]:
        async with self._pool.acquire() as conn:
            found = await auth.verify_tills(conn, api_keys)
        self._known |= {key: till for key, till in zip(api_keys, found, strict=True) if till}
        return found


StaffCaller = Annotated[auth.Staff, Depends(current_staff)]
TillCaller = Annotated[auth.Till, Depends(current_till)]


def _missing(header: str) -> Rejected:
    return Rejected(
        "not_signed_in",
        f"The header {header} is missing.",
        "سرآیند هویت در درخواست نیست.",
        status=401,
    )
