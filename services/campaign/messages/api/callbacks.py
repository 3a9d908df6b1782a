"""The addresses that providers call. Each holds a token of its account, so nobody else can report or reply."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from services.campaign.channels.handlers import accounts
from services.campaign.messages.handlers import receipts as receipts_handlers
from services.campaign.messages.handlers.replies import take_reply
from shared.inputs.fields import Opaque
from shared.web.acting import acting_on_callback
from shared.web.documents import problems

router = APIRouter(prefix="/providers/kavenegar", tags=["provider callbacks"], default_response_class=PlainTextResponse)
# Providers may add parameters of their own.
ADDRESSES = ("/providers/kavenegar/receipts", "/providers/kavenegar/replies")
Token = Annotated[str, Opaque(32, least=32)]


async def _given(request: Request, *names: str) -> list[str]:
    # Accounts may be set to call with GET or with POST, with the values in the query or in a form.
    form = await request.form() if request.method == "POST" else {}
    values = (form.get(name, request.query_params.get(name, "")) for name in names)
    return [value if isinstance(value, str) else "" for value in values]


@router.get("/receipts", name="receipts", responses=problems(404))
@router.post("/receipts", name="post_receipts", responses=problems(404))
async def receipts(request: Request, cafe: UUID, provider: UUID, token: Token) -> str:
    """How a message fared: `messageid` and `status`, in the query or in a form."""
    accounts.check_token(request.app.state.settings.keys, cafe, provider, token)
    message_id, status = await _given(request, "messageid", "status")
    if message_id.isascii() and status.isdecimal() and len(status) <= 3:
        async with acting_on_callback(request) as conn:
            await receipts_handlers.take_receipts(conn, cafe, provider, {message_id: int(status)})
    return "ok"


@router.get("/replies", name="replies", responses=problems(404))
@router.post("/replies", name="post_replies", responses=problems(404))
async def replies(request: Request, cafe: UUID, provider: UUID, token: Token) -> str:
    """What a guest answered: `from` and `message`, in the query or in a form."""
    keys = request.app.state.settings.keys
    accounts.check_token(keys, cafe, provider, token)
    sender, message = await _given(request, "from", "message")
    async with acting_on_callback(request) as conn:
        await take_reply(conn, keys, cafe, sender, message)
    return "ok"
