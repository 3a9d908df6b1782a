"""Who asks: a person whose token nobody has ended, from a device at an address."""

from typing import Annotated

from fastapi import Depends, Request

from services.identity.handlers import sessions
from services.identity.models.accounts import SignInDevice
from services.identity.rules import sessions as rules
from shared.security.addresses import client_address
from shared.security.auth import Staff
from shared.security.crypto import Keys
from shared.settings import Settings
from shared.web.dependencies import StaffCaller
from shared.web.rate_limits import Tries


async def signed_in(request: Request, caller: StaffCaller) -> Staff:
    """The person behind the request. Here, where sessions are kept, one that was ended is refused at once.

    Raises:
        Rejected: status 401.
    """
    async with request.app.state.pool.acquire() as conn:
        await sessions.check_token(conn, caller)
    return caller


Caller = Annotated[Staff, Depends(signed_in)]


def slow_down(request: Request) -> None:
    """For routes that look at a password or a code and need no token: so many a minute from one address.

    Raises:
        Rejected: status 429.
    """
    tries: Tries = request.app.state.tries
    address = client_address(request)
    tries.refuse_flood(address)
    tries.count(address)


Slowly = Depends(slow_down)


def new_tries() -> Tries:
    """Counts what `slow_down` slows down."""
    return Tries(rules.ATTEMPTS_A_MINUTE)


def device_of(request: Request, name: str | None = None, token: str | None = None) -> SignInDevice:
    """Where the person is; the name of the device is theirs or follows from its User-Agent."""
    found = rules.device_name(request.headers.get("user-agent", ""))
    return SignInDevice(name or found, client_address(request), token)


def keys_of(request: Request) -> Keys:
    """The keyring of this process."""
    keys: Keys = request.app.state.settings.keys
    return keys


def settings_of(request: Request) -> Settings:
    """The settings of this process."""
    config: Settings = request.app.state.settings
    return config
