"""Cafes, their branches, and the keys of their tills."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request

from services.identity.api.asking import Caller, keys_of
from services.identity.handlers import cafes, tills
from services.identity.models.http import (
    ApiKeyInfo,
    Branch,
    Cafe,
    ChangeBranch,
    ChangeCafe,
    CreateApiKey,
    CreateBranch,
    CreateCafe,
    NewApiKey,
    OwnCafe,
)
from services.identity.rules.policies import shown_cafe
from services.identity.store import cafes as store
from shared.inputs.fields import Matching
from shared.web.acting import acting, acting_anywhere, acting_as_service, acting_in_role

KeyId = Annotated[str, Matching("[A-Za-z0-9]{12}", 12)]

router = APIRouter(prefix="/cafes", tags=["cafes"])


@router.get("")
async def list_cafes(request: Request, caller: Caller) -> list[OwnCafe]:
    """The caller's cafes and their role in each."""
    async with acting_anywhere(request, caller) as conn:
        return [shown_cafe(cafe) for cafe in await store.list_own_cafes(conn, caller.user_id)]


@router.post("", status_code=201)
async def open_cafe(request: Request, caller: Caller, body: CreateCafe) -> OwnCafe:
    """Opens one more cafe of an owner."""
    # As the service: row level security can't show a cafe to somebody who does not work there yet.
    async with acting_as_service(request) as conn:
        opened = await cafes.open_cafe(conn, body, caller.user_id)
    return shown_cafe(opened)


@router.patch("/{cafe_id}")
async def change_cafe(request: Request, caller: Caller, cafe_id: UUID, body: ChangeCafe) -> Cafe:
    """Changes the settings of a cafe (managers; the time zone, by which the day of every limit is, only owners)."""
    async with acting_in_role(request, caller, cafe_id, "manager") as (conn, role):
        changed = await cafes.change_cafe(conn, cafe_id, body, role)
    return shown_cafe(changed)


@router.get("/{cafe_id}/branches")
async def list_branches(request: Request, caller: Caller, cafe_id: UUID) -> list[Branch]:
    """The branches of a cafe."""
    async with acting(request, caller, cafe_id) as conn:
        return await store.list_branches(conn, cafe_id)


@router.post("/{cafe_id}/branches", status_code=201)
async def create_branch(request: Request, caller: Caller, cafe_id: UUID, body: CreateBranch) -> Branch:
    """Opens a branch (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await cafes.create_branch(conn, cafe_id, body)


@router.patch("/{cafe_id}/branches/{branch_id}")
async def change_branch(request: Request, caller: Caller, cafe_id: UUID, branch_id: UUID, body: ChangeBranch) -> Branch:
    """Renames or closes a branch (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await cafes.change_branch(conn, cafe_id, branch_id, body)


@router.get("/{cafe_id}/api-keys")
async def list_api_keys(request: Request, caller: Caller, cafe_id: UUID) -> list[ApiKeyInfo]:
    """The keys of a cafe's tills (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await store.list_api_keys(conn, cafe_id)


@router.post("/{cafe_id}/api-keys", status_code=201)
async def create_api_key(request: Request, caller: Caller, cafe_id: UUID, body: CreateApiKey) -> NewApiKey:
    """Makes a key for a till (owners: bills signed with it are believed). The answer is the only place that ever shows
    it whole."""
    async with acting(request, caller, cafe_id, "owner") as conn:
        return await tills.create_api_key(conn, keys_of(request), cafe_id, body, by=caller.user_id)


@router.delete("/{cafe_id}/api-keys/{key_id}")
async def revoke_api_key(request: Request, caller: Caller, cafe_id: UUID, key_id: KeyId) -> ApiKeyInfo:
    """Revokes a till's key at once (managers)."""
    async with acting(request, caller, cafe_id, "manager") as conn:
        return await tills.revoke_api_key(conn, cafe_id, key_id)
