"""Guests' answers that wait for a person."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel

from services.campaign.api.acting import acting
from services.campaign.handlers import replies
from services.campaign.handlers.replies import Read
from shared.database import db
from shared.inputs.fields import Command, PageSize
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}", tags=["replies"])


class SettleReply(Command):
    """What the answer is: the guest wants no more advertising, or something that needs nothing here."""

    settled_as: Literal["stop", "nothing"]


class ReplyView(BaseModel):
    """What a guest answered, whose meaning is not sure."""

    id: UUID
    customer_id: UUID
    words: str
    received_at: datetime
    settled_as: Literal["stop", "nothing"] | None
    settled_by: UUID | None
    settled_at: datetime | None


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
    async with db.transaction(request.app.state.pool) as conn:
        settled = await replies.settle(
            conn, cafe_id, reply_id, body.settled_as, caller.user_id, keys=request.app.state.settings.keys
        )
    request.app.state.waker.wake()
    return _view(settled)


def _view(read: Read) -> ReplyView:
    reply = read.reply
    return ReplyView(
        id=reply.id, customer_id=reply.customer_id, words=read.words, received_at=reply.received_at,
        settled_as=reply.settled_as, settled_by=reply.settled_by, settled_at=reply.settled_at,
    )  # fmt: skip
