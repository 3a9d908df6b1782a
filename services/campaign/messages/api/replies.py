"""Guests' answers that wait for a person."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.campaign.messages.handlers import replies
from services.campaign.messages.handlers.replies import Read
from services.campaign.messages.models.http import ReplyView, SettleReply
from shared.inputs.fields import PageSize
from shared.web.acting import acting, acting_as_service
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["replies"])


@router.get("/replies")
async def list_replies(request: Request, caller: StaffCaller, cafe_id: UUID, limit: PageSize = 50) -> list[ReplyView]:
    """Guests' answers by SMS that are neither a clear stop nor a clear return, the oldest first. Read and settle them.
    They are deleted after 90 days."""
    async with acting(request, caller, cafe_id) as conn:
        found = await replies.list_unclear(conn, cafe_id, limit, keys=request.app.state.settings.keys)
    return [_view(each) for each in found]


@router.post("/replies/{reply_id}/settlement")
async def settle_reply(
    request: Request, caller: StaffCaller, cafe_id: UUID, reply_id: UUID, body: SettleReply
) -> ReplyView:
    """Says what an answer is. Taken for a stop, it counts from when the guest sent it."""
    async with acting(request, caller, cafe_id):
        pass
    # Consents are the service's own: people change them by saying what happened.
    async with acting_as_service(request) as conn:
        settled = await replies.settle(
            conn, cafe_id, reply_id, body.settled_as, caller.user_id, keys=request.app.state.settings.keys
        )
    return _view(settled)


def _view(read: Read) -> ReplyView:
    reply = read.reply
    return ReplyView(
        id=reply.id, customer_id=reply.customer_id, words=read.words, received_at=reply.received_at,
        settled_as=reply.settled_as, settled_by=reply.settled_by, settled_at=reply.settled_at,
    )  # fmt: skip
