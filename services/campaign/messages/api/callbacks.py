"""The addresses that providers call. Each holds a token of its account, so nobody else can report or reply."""

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from services.campaign.channels.handlers.accounts import check_token
from services.campaign.channels.protocol import Adapter
from services.campaign.channels.registry import ADAPTERS
from services.campaign.messages.handlers.receipts import take_receipts
from services.campaign.messages.handlers.replies import take_reply
from shared.inputs.fields import Opaque
from shared.web.acting import acting_on_callback
from shared.web.documents import problems

router = APIRouter(tags=["provider callbacks"], default_response_class=PlainTextResponse)
# Providers may add parameters of their own.
ADDRESSES: Final = tuple(f"/providers/{name}/{what}" for name in ADAPTERS for what in ("receipts", "replies"))

Token = Annotated[str, Opaque(32, least=32)]


def _add_routes(adapter: type[Adapter]) -> None:
    async def receipts(request: Request, cafe: UUID, provider: UUID, token: Token) -> str:
        check_token(request.app.state.settings.keys, cafe, provider, token)
        receipt = adapter.read_receipt(await _given(request, adapter.receipt_fields))
        if receipt is not None:
            async with acting_on_callback(request) as conn:
                await take_receipts(conn, cafe, provider, dict([receipt]))
        return "ok"

    async def replies(request: Request, cafe: UUID, provider: UUID, token: Token) -> str:
        keys = request.app.state.settings.keys
        check_token(keys, cafe, provider, token)
        sender, words = adapter.read_reply(await _given(request, adapter.reply_fields))
        async with acting_on_callback(request) as conn:
            await take_reply(conn, keys, cafe, sender, words)
        return "ok"

    for method in ("GET", "POST"):
        name = "" if method == "GET" else "post_"
        for route, said, given in (
            (receipts, "How a message fared", adapter.receipt_fields),
            (replies, "What a guest answered", adapter.reply_fields),
        ):
            router.add_api_route(
                f"/providers/{adapter.name}/{route.__name__}",
                route,
                methods=[method],
                name=name + route.__name__,
                description=f"{said}: {' and '.join(f'`{each}`' for each in given)}, in the query or in a form.",
                responses=problems(404),
            )


async def _given(request: Request, names: Sequence[str]) -> dict[str, str]:
    # Accounts may be set to call with GET or with POST, with the values in the query or in a form.
    form = await request.form() if request.method == "POST" else {}
    values = {name: form.get(name, request.query_params.get(name, "")) for name in names}
    return {name: value if isinstance(value, str) else "" for name, value in values.items()}


for each in ADAPTERS.values():
    _add_routes(each)
