"""The people of a cafe, and how they come into it."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.identity.api.asking import Caller, Slowly, device_of, keys_of, settings_of
from services.identity.handlers import invitations, passwords, people, resets
from services.identity.models.http import (
    Accepted,
    AcceptInvitation,
    Invitation,
    InvitationText,
    Invite,
    Leader,
    Member,
    NewInvitation,
    NewReset,
    ReadInvitation,
    SetRole,
)
from services.identity.store import cafes as store
from shared.database import db
from shared.web.acting import acting_anywhere, acting_as_service
from shared.web.documents import problems

managed = APIRouter(prefix="/cafes/{cafe_id}", tags=["people"])
public = APIRouter(prefix="/invitations", tags=["people"])


@managed.get("/members")
async def list_members(request: Request, caller: Caller, cafe_id: UUID) -> list[Member]:
    """The people of a cafe (managers)."""
    async with acting_anywhere(request, caller) as conn:
        await people.enter(conn, cafe_id, caller.user_id, "manager")
        return await store.list_members(conn, cafe_id)


@managed.get("/leaders")
async def list_leaders(request: Request, caller: Caller, cafe_id: UUID) -> list[Leader]:
    """Who owns and who manages a cafe, by name: whom to ask for what one's own role does not allow."""
    async with acting_anywhere(request, caller) as conn:
        await people.enter(conn, cafe_id, caller.user_id, "staff")
        members = await store.list_members(conn, cafe_id)
    return [Leader(display_name=each.display_name, role=each.role) for each in members if each.role != "staff"]


@managed.put("/members/{user_id}/role")
async def change_role(request: Request, caller: Caller, cafe_id: UUID, user_id: UUID, body: SetRole) -> Member:
    """Changes a member's role (managers; other managers and owners only by owners)."""
    async with acting_anywhere(request, caller) as conn:
        return await people.change_role(conn, cafe_id, user_id, body.role, by=caller.user_id)


@managed.delete("/members/{user_id}", status_code=204)
async def remove_member(request: Request, caller: Caller, cafe_id: UUID, user_id: UUID) -> None:
    """Takes a member's access away (as for roles; everybody may leave)."""
    async with acting_anywhere(request, caller) as conn:
        await people.remove_member(conn, cafe_id, user_id, by=caller.user_id)


@managed.post("/members/{user_id}/password-reset", status_code=201)
async def offer_reset(request: Request, caller: Caller, cafe_id: UUID, user_id: UUID) -> NewReset:
    """Makes a one-time code by which a member chooses a new password (who ranks above them in all their cafes). The
    answer is the only place that shows it; hand it to nobody else."""
    console = settings_of(request).console_url
    async with acting_anywhere(request, caller) as conn:
        return await resets.offer_reset(conn, cafe_id, user_id, by=caller.user_id, console=console)


@managed.get("/invitations")
async def list_invitations(request: Request, caller: Caller, cafe_id: UUID) -> list[Invitation]:
    """The cafe's invitations, the newest first (managers)."""
    async with acting_anywhere(request, caller) as conn:
        return await invitations.list_invitations(conn, keys_of(request), cafe_id, by=caller.user_id)


@managed.post("/invitations", status_code=201)
async def invite(request: Request, caller: Caller, cafe_id: UUID, body: Invite) -> NewInvitation:
    """Invites a person (managers; other managers and owners only by owners). Hand the code to the person: the answer is
    the only place that shows it, and access begins when they accept."""
    keys, console = keys_of(request), settings_of(request).console_url
    async with acting_anywhere(request, caller) as conn:
        return await invitations.invite(conn, keys, cafe_id, body, by=caller.user_id, console=console)


@managed.post("/invitations/{invitation_id}/renewal", status_code=201)
async def renew_invitation(request: Request, caller: Caller, cafe_id: UUID, invitation_id: UUID) -> NewInvitation:
    """Gives an invitation a new code and a new end; the old code no longer holds."""
    keys, console = keys_of(request), settings_of(request).console_url
    async with acting_anywhere(request, caller) as conn:
        return await invitations.renew(conn, keys, cafe_id, invitation_id, by=caller.user_id, console=console)


@managed.delete("/invitations/{invitation_id}", status_code=204)
async def revoke_invitation(request: Request, caller: Caller, cafe_id: UUID, invitation_id: UUID) -> None:
    """Takes an invitation back."""
    async with acting_anywhere(request, caller) as conn:
        await invitations.revoke(conn, cafe_id, invitation_id, by=caller.user_id)


@public.post("/read", dependencies=[Slowly], responses=problems(404, 429))
async def read_invitation(request: Request, body: ReadInvitation) -> InvitationText:
    """What an invitation says to the person who has its code."""
    async with db.transaction(request.app.state.pool) as conn:
        return await invitations.read(conn, keys_of(request), body.code)


@public.post("/accept", status_code=201, dependencies=[Slowly], responses=problems(401, 404, 429))
async def accept_invitation(request: Request, body: AcceptInvitation) -> Accepted:
    """Accepts an invitation: with the password of the account, or with the one that a new account begins with. Then
    `POST /sessions` signs in."""
    pool, keys = request.app.state.pool, keys_of(request)
    async with db.transaction(pool) as conn:
        attempt = await invitations.begin_accepting(conn, keys, body, device_of(request))
    proven, _ = await passwords.password_matches(body.password, attempt.account.password_hash, known=False)
    chosen = await passwords.hash_password(body.new_password or body.password, known=False)
    async with acting_as_service(request) as conn:
        return await invitations.accept(conn, keys, body, attempt, proven=proven, chosen_hash=chosen)
