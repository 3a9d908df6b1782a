"""A provider that speaks Kavenegar's HTTP API and sends nothing: `python -m deploy.simulators.kavenegar --port 8190`.

What it does to a call, and how messages end, is set at /control; the phones are shown at /.
"""

import argparse
import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import httpx2
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from deploy.simulators import inbox
from deploy.simulators.network import STATUS_TEXTS, FaultKind, FaultyNetwork, NetworkFault, Sent

LARGEST_SEND: Final = 200
LARGEST_LOOKUP: Final = 500
LONGEST_TEXT: Final = 900
DEFAULT_LINE: Final = "10004346"
# The numbers and words of Kavenegar's own list.
RETURNS: Final = {
    200: "تایید شد",
    400: "پارامترها ناقص هستند",
    403: "کد شناسائی API-Key معتبر نمی‌باشد",
    404: "متدی با این نام پیدا نشده است",
    409: "سرور قادر به پاسخگوئی نیست بعدا تلاش کنید",
    411: "دریافت کننده نامعتبر است",
    412: "ارسال کننده نامعتبر است",
    413: "پیام خالی است و یا طول پیام بیش از حد مجاز می‌باشد",
    414: "حجم درخواست بیشتر از حد مجاز است",
    418: "اعتبار شما کافی نمی‌باشد",
    419: "طول آرایه متن و گیرنده و فرستنده هم اندازه نیست",
}


class Refused(Exception):
    """A call that Kavenegar answers with one of its numbers."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Truncated(Response):
    """Begins an answer and breaks it off, as a lost connection does."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": False})


class Control(BaseModel):
    """What may be changed from outside; what is not given stays."""

    faults: list[tuple[FaultKind, int, float]] | None = None
    moods: dict[str, tuple[FaultKind, int, float, str]] | None = None
    ends: dict[str, int] | None = None
    refused: set[str] | None = None
    credit: int | None = None
    receipts_url: str | None = None
    replies_url: str | None = None
    receipts_twice: bool | None = None


class SimulatedReply(BaseModel):
    """An SMS from a guest to one of our lines."""

    sender: str
    line: str = DEFAULT_LINE
    message: str


def make_app(network: FaultyNetwork | None = None, api_key: str | None = None) -> FastAPI:
    """The simulator. With `api_key` every other key is refused; without one all are taken."""
    network = network or FaultyNetwork()
    network.keys = {api_key} if api_key is not None else None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(timeout=5, trust_env=False) as app.state.client:
            task = asyncio.create_task(_move_by_itself(app)) if network.step_seconds is not None else None
            yield
            if task is not None:
                task.cancel()

    app = FastAPI(title="Kavenegar simulator", lifespan=lifespan)
    app.state.network = network
    app.add_exception_handler(Refused, _refusal)
    _add_methods(app, network)
    _add_control(app, network)
    return app


def _add_methods(app: FastAPI, network: FaultyNetwork) -> None:
    @app.api_route("/v1/{key}/{area}/{method}.json", methods=["GET", "POST"])
    async def call(key: str, area: str, method: str, request: Request) -> Response:
        network.calls += 1
        if network.keys is not None and key not in network.keys:
            raise Refused(403)
        form = {**request.query_params, **(await request.form())}
        name = f"{area}/{method}"
        mood = network.moods.get(key)
        if name in ("sms/send", "sms/sendarray"):
            return await _send(network, name, form, mood or network.next_fault())
        if name not in LOOKUPS:
            raise Refused(404)
        if mood is not None:
            await _before(mood)
        return await _after(mood, LOOKUPS[name](network, form))


async def _send(network: FaultyNetwork, name: str, form: Mapping[str, Any], fault: NetworkFault | None) -> Response:
    if fault is not None:
        await _before(fault)
    rows = _array_rows(form) if name == "sms/sendarray" else _plain_rows(form)
    _check(network, rows)
    entries = [network.take(*row).entry() for row in rows]
    return await _after(fault, entries)


async def _before(fault: NetworkFault) -> None:
    if fault.kind == "refuse":
        raise Refused(fault.code)
    if fault.kind == "error_before":
        raise Refused(500)
    if fault.kind == "slow":
        await asyncio.sleep(fault.seconds)


async def _after(fault: NetworkFault | None, entries: object) -> Response:
    if fault is None:
        return _answer(entries)
    if fault.kind == "hang":
        await asyncio.sleep(fault.seconds)
    if fault.kind == "say":
        return Response(fault.words, media_type="application/json")
    answer = ANSWERS.get(fault.kind)
    return answer() if answer is not None else _answer(entries)


async def _drops() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.05)


async def _flood() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 65536
        # To a caller who is gone nothing is written that could be waited for.
        await asyncio.sleep(0)


def _bomb() -> Response:
    return Response(gzip.compress(b" " * 16 * 1024 * 1024), headers={"content-encoding": "gzip"})


ANSWERS: Final[Mapping[str, Callable[[], Response]]] = {
    "drop": Truncated,
    "error_after": lambda: Response("<html>Bad Gateway</html>", 502),
    "drip": lambda: StreamingResponse(_drops()),
    "flood": lambda: StreamingResponse(_flood()),
    "bomb": _bomb,
    "headers": lambda: Response(headers={f"x-{number}": "x" * 1000 for number in range(1000)}),
    "redirect": lambda: RedirectResponse("http://127.0.0.1:9/elsewhere"),
}


StoredMessage = tuple[str, str, str, int | None]


def _array_rows(form: Mapping[str, Any]) -> list[StoredMessage]:
    try:
        receptors, senders, messages = (json.loads(form[name]) for name in ("receptor", "sender", "message"))
        local_ids = json.loads(form["localmessageids"]) if "localmessageids" in form else [None] * len(receptors)
    except (KeyError, ValueError):
        raise Refused(400) from None
    if len({len(receptors), len(senders), len(messages), len(local_ids)}) != 1:
        raise Refused(419)
    return list(zip(receptors, senders, messages, local_ids, strict=True))


def _plain_rows(form: Mapping[str, Any]) -> list[StoredMessage]:
    if not form.get("receptor") or "message" not in form:
        raise Refused(400)
    receptors = str(form["receptor"]).split(",")
    local_ids = [int(each) for each in str(form["localid"]).split(",")] if form.get("localid") else []
    sender, message = str(form.get("sender", "")), str(form["message"])
    return [
        (receptor, sender, message, local_ids[at] if at < len(local_ids) else None)
        for at, receptor in enumerate(receptors)
    ]


def _check(network: FaultyNetwork, rows: Sequence[StoredMessage]) -> None:
    if len(rows) > LARGEST_SEND:
        raise Refused(414)
    if any(receptor in network.refused or not _is_number(receptor) for receptor, *_ in rows):
        raise Refused(411)
    if any(sender and not sender.isdigit() for _, sender, *_ in rows):
        raise Refused(412)
    if any(not 0 < len(message) <= LONGEST_TEXT for _, _, message, _ in rows):
        raise Refused(413)
    if network.credit < sum(network.cost(message) for _, _, message, _ in rows):
        raise Refused(418)


def _is_number(receptor: str) -> bool:
    return receptor.isdigit() and ((receptor.startswith("09") and len(receptor) == 11) or receptor.startswith("00"))


def _status(network: FaultyNetwork, form: Mapping[str, Any]) -> list[dict[str, object]]:
    ids = _ids(form, "messageid")
    return [{"messageid": each, **_state(network.by_id.get(each))} for each in ids]


def _status_by_local_id(network: FaultyNetwork, form: Mapping[str, Any]) -> list[dict[str, object]]:
    found = []
    for local_id in _ids(form, "localid"):
        message = network.by_local_id.get(local_id)
        message_id = message.messageid if message else 0
        found.append({"messageid": message_id, "localid": str(local_id), **_state(message)})
    return found


def _state(message: Sent | None) -> dict[str, object]:
    status = message.status if message else 100
    return {"status": status, "statustext": STATUS_TEXTS[status]}


def _latest(network: FaultyNetwork, _: Mapping[str, Any]) -> list[dict[str, object]]:
    return [message.entry() for message in network.sent[-LARGEST_LOOKUP:][::-1]]


def _account(network: FaultyNetwork, _: Mapping[str, Any]) -> dict[str, object]:
    return {"remaincredit": network.credit, "expiredate": 2**31 - 1, "type": "master"}


LOOKUPS: Final[Mapping[str, Callable[[FaultyNetwork, Mapping[str, Any]], object]]] = {
    "sms/status": _status,
    "sms/statuslocalmessageid": _status_by_local_id,
    "sms/latestoutbox": _latest,
    "account/info": _account,
}


def _ids(form: Mapping[str, Any], name: str) -> list[int]:
    try:
        ids = [int(each) for each in str(form[name]).split(",")]
    except (KeyError, ValueError):
        raise Refused(400) from None
    if len(ids) > LARGEST_LOOKUP:
        raise Refused(414)
    return ids


def _answer(entries: object) -> JSONResponse:
    return JSONResponse({"return": {"status": 200, "message": RETURNS[200]}, "entries": entries})


async def _refusal(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, Refused) else 500
    words = RETURNS.get(status, "عملیات ناموفق بود")
    return JSONResponse({"return": {"status": status, "message": words}, "entries": None}, status)


def _change(network: FaultyNetwork, change: Control) -> None:
    for name in change.model_fields_set - {"faults", "moods"}:
        setattr(network, name, getattr(change, name))
    if change.faults is not None:
        network.faults.clear()
        network.faults.extend(NetworkFault(*fault) for fault in change.faults)
    if change.moods is not None:
        network.moods = {key: NetworkFault(*mood) for key, mood in change.moods.items()}


def _add_control(app: FastAPI, network: FaultyNetwork) -> None:
    @app.get("/", response_class=HTMLResponse)
    async def phones() -> str:
        return inbox.page(network.sent)

    @app.get("/healthz")
    async def healthz() -> str:
        return "ok"

    @app.post("/control")
    async def control(change: Control) -> None:
        _change(network, change)

    @app.get("/control/messages")
    async def messages() -> list[dict[str, object]]:
        return [{**message.entry(), "localid": message.localid} for message in network.sent]

    @app.post("/control/advance")
    async def advance() -> None:
        await _tell(app, network.move(everything=True))

    @app.post("/control/replies")
    async def reply(given: SimulatedReply) -> None:
        if network.replies_url:
            form = {"messageid": "1", "from": given.sender, "to": given.line, "message": given.message}
            await app.state.client.post(network.replies_url, data=form)


async def _move_by_itself(app: FastAPI) -> None:
    network: FaultyNetwork = app.state.network
    while True:
        await asyncio.sleep((network.step_seconds or 1.0) / 2)
        await _tell(app, network.move())


async def _tell(app: FastAPI, arrived: Sequence[Sent]) -> None:
    network: FaultyNetwork = app.state.network
    if network.receipts_url is None:
        return
    for message in arrived:
        for _ in range(2 if network.receipts_twice else 1):
            form = {"messageid": str(message.messageid), "status": str(message.status)}
            # A receipt that can't be delivered is lost, as with the real provider: polling finds it.
            with contextlib.suppress(httpx2.HTTPError):
                await app.state.client.post(network.receipts_url, data=form)


def main() -> None:
    """Serves the simulator until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8190)
    parser.add_argument("--api-key", help="refuse every other key")
    parser.add_argument("--step-seconds", type=float, default=1.0, help="how fast messages travel")
    given = parser.parse_args()
    app = make_app(FaultyNetwork(step_seconds=given.step_seconds), given.api_key)
    uvicorn.run(app, host=given.host, port=given.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
