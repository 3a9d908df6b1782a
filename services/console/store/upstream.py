"""One call to one API as the person who is signed in. What goes wrong is one of three: refused, away, signed out."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
import msgspec

from services.console.models.session import Access
from shared.errors import CAFE_UNKNOWN
from shared.process import telemetry
from shared.security.addresses import VOUCHED, vouched
from shared.security.guest_links import GUEST_LINK_HEADER
from shared.settings import Settings

T = TypeVar("T")
CALL_SECONDS = 3.0
# A stream says something more often than that, if only that it is there.
SILENCE_SECONDS = 40.0
MOST_STREAMS = 1000


@dataclass(frozen=True)
class RefusedField:
    """A field that an API did not take, and how to mend it."""

    field: str
    en: str
    fa: str


class RefusedCall(Exception):
    """An API says no. It says why in both languages, and names the fields."""

    def __init__(
        self, status: int, code: str, en: str, fa: str, faults: tuple[RefusedField, ...], retry_after: int
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.en, self.fa = status, code, en, fa
        self.faults, self.retry_after = faults, retry_after


class Away(Exception):
    """An API does not answer in time, says that it can't now, or has not heard of the cafe yet. `service` is which."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.service = service


class SignedOut(Exception):
    """The token does not hold any more: the person has to sign in."""


class Upstream:
    """The six APIs."""

    def __init__(self, config: Settings) -> None:
        self._config = config
        self._http = httpx2.AsyncClient(
            timeout=CALL_SECONDS, limits=httpx2.Limits(max_connections=200, max_keepalive_connections=50)
        )

        # Of their own: a stream keeps its connection for as long as a page is looked at.
        self._streams = httpx2.AsyncClient(
            timeout=httpx2.Timeout(CALL_SECONDS, read=SILENCE_SECONDS),
            limits=httpx2.Limits(max_connections=MOST_STREAMS, max_keepalive_connections=0),
        )

    @property
    def live_url(self) -> str:
        """Where the console's worker is."""
        return self._config.live_url.rstrip("/")

    async def close(self) -> None:
        """Closes all connections."""
        await self._http.aclose()
        await self._streams.aclose()

    async def get(
        self, access: Access, service: str, path: str, kind: type[T], query: Mapping[str, Any] | None = None
    ) -> T:
        """What stands at `path`, as `kind`. Values of `query` that are None are left out."""
        given = {name: _written(value) for name, value in (query or {}).items() if value is not None}
        return await self._call(access, service, "GET", path, kind, params=given)

    async def send(
        self,
        access: Access,
        service: str,
        method: str,
        path: str,
        kind: type[T],
        body: Any = None,
        *,
        seconds: float = CALL_SECONDS,
    ) -> T:
        """The answer to a command, which may take so many seconds. `kind` None when there is none."""
        content = b"" if body is None else msgspec.json.encode(body)
        return await self._call(access, service, method, path, kind, content=content, timeout=seconds)

    async def follow(self, access: Access, service: str, address: str, place: str | None) -> "Followed":
        """The stream at `address`, from `place` on. Raises as a call does; the caller closes it."""
        headers = self._headers(access) | ({"Last-Event-ID": place} if place else {})
        request = self._streams.build_request("GET", address, headers=headers)
        try:
            answer = await self._streams.send(request, stream=True)
            if answer.is_success:
                return Followed(answer)
            await answer.aread()
        except httpx2.HTTPError as error:
            raise Away(service) from error
        raise _failure(service, answer, signed_in=access.token is not None)

    async def download(self, access: Access, service: str, path: str) -> "Followed":
        """The file at `path`, as it comes. Raises as a call does; the caller closes it."""
        return await self.follow(access, service, f"{self._config.api_url(service)}{path}", None)

    async def _call(self, access: Access, service: str, method: str, path: str, kind: type[T], **more: Any) -> T:
        """Raises `RefusedCall`, `Away` or `SignedOut`."""
        headers = self._headers(access)
        try:
            answer = await self._http.request(method, f"{self._config.api_url(service)}{path}", headers=headers, **more)
        except httpx2.HTTPError as error:
            raise Away(service) from error
        if answer.is_success:
            try:
                return msgspec.json.decode(answer.content or b"null", type=kind, strict=False)
            except msgspec.MsgspecError as error:
                # An API of another version than we know: its panel is missing, and the others are there.
                telemetry.logger().error("upstream.not_understood", service=service)
                raise Away(service) from error
        raise _failure(service, answer, signed_in=access.token is not None)

    def _headers(self, access: Access) -> dict[str, str]:
        headers = {"X-Correlation-Id": str(access.correlation_id), "Content-Type": "application/json"}
        if access.token is not None:
            headers["Authorization"] = f"Bearer {access.token}"
        if access.guest_link:
            headers[GUEST_LINK_HEADER] = access.guest_link
        if access.address:
            headers[VOUCHED] = vouched(self._config.keys, access.address)
        if access.device:
            headers["User-Agent"] = access.device
        return headers


@dataclass(frozen=True)
class Followed:
    """A stream that is open."""

    answer: httpx2.Response

    async def read(self) -> AsyncIterator[bytes]:
        """What comes, as it comes. It ends when the other side does, also in the middle."""
        try:
            async for part in self.answer.aiter_raw():
                yield part
        except httpx2.HTTPError as error:
            telemetry.logger().info("stream.cut", error=type(error).__name__)

    async def close(self) -> None:
        """Lets go of it."""
        await self.answer.aclose()


def _failure(service: str, answer: httpx2.Response, *, signed_in: bool) -> Exception:
    if answer.status_code == 401 and signed_in:
        return SignedOut()
    if answer.status_code in (502, 503, 504) or answer.status_code == 500:
        return Away(service)
    try:
        said = json.loads(answer.content)
        faults = tuple(RefusedField(each["field"], each["en"], each["fa"]) for each in said.get("errors", ()))
        en, fa, code = said["title"], said["title_fa"], said["code"]
    except (ValueError, KeyError, TypeError):
        # Something before the API answered in its stead.
        return Away(service)
    if code == CAFE_UNKNOWN:
        # Identity has let the person in, so the cafe or their access is new there.
        return Away(service)
    wait = answer.headers.get("retry-after", "")
    return RefusedCall(answer.status_code, code, en, fa, faults, int(wait) if wait.isdigit() else 0)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
