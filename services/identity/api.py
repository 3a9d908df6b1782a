"""Identity over HTTP: signing in, the published keys, and the management of cafes."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, FastAPI, Request, Response

from services.identity import store
from services.identity.handlers import cafes, people, policies, sessions, tills
from services.identity.models import (
    AddMember,
    ApiKeyInfo,
    Branch,
    Cafe,
    ChangeBranch,
    ChangeCafe,
    ChangePassword,
    CreateApiKey,
    CreateBranch,
    CreateCafe,
    Member,
    NewApiKey,
    OwnCafe,
    PolicyStep,
    Session,
    SetPolicy,
    SetRole,
    ShownPolicy,
    SignIn,
)
from shared import db, http, telemetry
from shared.access import require_role
from shared.approval import Decide, Waiting
from shared.auth import JWKS_PATH, PublicKeys
from shared.callers import StaffCaller
from shared.crypto import Keys
from shared.inputs import Matching, PageSize
from shared.serving import run
from shared.settings import Settings

KeyId = Annotated[str, Matching("[A-Za-z0-9]{12}", 12)]

public = APIRouter(tags=["sessions"])
managed = APIRouter(prefix="/cafes", tags=["cafes"])


@public.post("/sessions", status_code=201)
async def sign_in(request: Request, body: SignIn) -> Session:
    """Signs in with an e-mail address or a phone number. After five wrong passwords the login pauses."""
    pool, keys = request.app.state.pool, _keys(request)
    async with db.transaction(pool) as conn:
        attempt = await sessions.begin_sign_in(conn, keys, body.login)
    matches, fresh = await sessions.password_matches(body.password.get_secret_value(), attempt.password_hash)
    if not matches:
        telemetry.logger().warning("session.refused", user_id=str(attempt.user_id))
        raise sessions.wrong_password()
    async with db.transaction(pool) as conn:
        return await sessions.finish_sign_in(conn, keys, attempt, request.app.state.settings.identity_url, fresh)


@public.get(JWKS_PATH)
async def published_keys(request: Request, response: Response) -> Mapping[str, Any]:
    """The keys that tokens are signed with (RFC 7517)."""
    response.headers["Cache-Control"] = "max-age=300"
    async with db.transaction(request.app.state.pool) as conn:
        return await sessions.published_keys(conn, _keys(request))


@public.put("/me/password", status_code=204)
async def change_password(request: Request, caller: StaffCaller, body: ChangePassword) -> None:
    """Replaces the caller's own password; wrong guesses of the old one count as failed sign-ins do."""
    pool, keys = request.app.state.pool, _keys(request)
    async with db.transaction(pool) as conn:
        attempt = await sessions.begin_password_change(conn, keys, caller.user_id)
    matches, _ = await sessions.password_matches(body.old_password.get_secret_value(), attempt.password_hash)
    if not matches:
        telemetry.logger().warning("password_change.refused", user_id=str(caller.user_id))
        raise sessions.wrong_password()
    fresh = await sessions.hash_password(body.new_password.get_secret_value())
    async with db.transaction(pool) as conn:
        await sessions.finish_password_change(conn, attempt, fresh)


@managed.get("")
async def list_cafes(request: Request, caller: StaffCaller) -> list[OwnCafe]:
    """The caller's cafes and their role in each."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        return await store.list_own_cafes(conn, caller.user_id)


@managed.post("", status_code=201)
async def open_cafe(request: Request, caller: StaffCaller, body: CreateCafe) -> OwnCafe:
    """Opens one more cafe of an owner."""
    # As the service: row level security can't show a cafe to somebody who does not work there yet.
    async with db.transaction(request.app.state.pool) as conn:
        opened = await cafes.open_cafe(conn, body, caller.user_id)
    _wake(request)
    return opened


@managed.patch("/{cafe_id}")
async def change_cafe(request: Request, caller: StaffCaller, cafe_id: UUID, body: ChangeCafe) -> Cafe:
    """Changes the settings of a cafe (managers; the time zone, by which the day of every limit is, only owners)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        role = await require_role(conn, cafe_id, caller.user_id, "manager")
        changed = await cafes.change_cafe(conn, cafe_id, body, role)
    _wake(request)
    return changed


@managed.get("/{cafe_id}/approval-policy")
async def show_policy(request: Request, caller: StaffCaller, cafe_id: UUID) -> ShownPolicy:
    """When a second person must approve (managers)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        return await policies.show(conn, cafe_id, caller.user_id)


@managed.put("/{cafe_id}/approval-policy", responses={202: {"model": ShownPolicy}})
async def set_policy(
    request: Request, response: Response, caller: StaffCaller, cafe_id: UUID, body: SetPolicy
) -> ShownPolicy:
    """Changes when a second person must approve (owners). 202: it lets more pass, and waits for the other owner."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        shown = await policies.set_policy(conn, cafe_id, body, by=caller.user_id)
    _wake(request)
    response.status_code = 202 if shown.waiting else 200
    return shown


@managed.get("/{cafe_id}/approval-policy/changes")
async def list_policy_steps(
    request: Request, caller: StaffCaller, cafe_id: UUID, limit: PageSize = 50
) -> list[PolicyStep]:
    """Who changed the policy when, from what to what (owners), newest first."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        return await policies.list_steps(conn, cafe_id, caller.user_id, limit)


@managed.post("/{cafe_id}/approval-policy/changes/{change_id}/decision")
async def decide_policy(
    request: Request, caller: StaffCaller, cafe_id: UUID, change_id: UUID, body: Decide
) -> ShownPolicy:
    """Approves or declines a change that waits (an owner other than its author)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        shown = await policies.decide(conn, cafe_id, change_id, approve=body.approve, by=caller.user_id)
    _wake(request)
    return shown


@managed.get("/{cafe_id}/approvals")
async def list_approvals(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[Waiting]:
    """What waits for a second person here: changes of the approval policy (managers see, owners decide)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        return await policies.list_waiting(conn, cafe_id, caller.user_id)


@managed.get("/{cafe_id}/branches")
async def list_branches(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[Branch]:
    """The branches of a cafe."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        await require_role(conn, cafe_id, caller.user_id)
        return await store.list_branches(conn, cafe_id)


@managed.post("/{cafe_id}/branches", status_code=201)
async def create_branch(request: Request, caller: StaffCaller, cafe_id: UUID, body: CreateBranch) -> Branch:
    """Opens a branch (managers)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        await require_role(conn, cafe_id, caller.user_id, "manager")
        branch = await cafes.create_branch(conn, cafe_id, body)
    _wake(request)
    return branch


@managed.patch("/{cafe_id}/branches/{branch_id}")
async def change_branch(
    request: Request, caller: StaffCaller, cafe_id: UUID, branch_id: UUID, body: ChangeBranch
) -> Branch:
    """Renames or closes a branch (managers)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        await require_role(conn, cafe_id, caller.user_id, "manager")
        branch = await cafes.change_branch(conn, cafe_id, branch_id, body)
    _wake(request)
    return branch


@managed.get("/{cafe_id}/members")
async def list_members(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[Member]:
    """The people of a cafe (managers)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        await people.enter(conn, cafe_id, caller.user_id, "manager")
        return await store.list_members(conn, cafe_id)


@managed.post("/{cafe_id}/members", status_code=201)
async def add_member(request: Request, caller: StaffCaller, cafe_id: UUID, body: AddMember) -> Member:
    """Gives a person access (managers; other managers and owners only by owners)."""
    hashed = await sessions.hash_password(body.password.get_secret_value())
    # As the service: accounts belong to no cafe, so no person may read or write them; the handler checks the role.
    async with db.transaction(request.app.state.pool) as conn:
        member = await people.add_member(conn, _keys(request), cafe_id, body, hashed, by=caller.user_id)
    _wake(request)
    return member


@managed.put("/{cafe_id}/members/{user_id}/role")
async def change_role(request: Request, caller: StaffCaller, cafe_id: UUID, user_id: UUID, body: SetRole) -> Member:
    """Changes a member's role (managers; other managers and owners only by owners)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        member = await people.change_role(conn, cafe_id, user_id, body.role, by=caller.user_id)
    _wake(request)
    return member


@managed.delete("/{cafe_id}/members/{user_id}", status_code=204)
async def remove_member(request: Request, caller: StaffCaller, cafe_id: UUID, user_id: UUID) -> None:
    """Takes a member's access away (as for roles; everybody may leave)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        await people.remove_member(conn, cafe_id, user_id, by=caller.user_id)
    _wake(request)


@managed.get("/{cafe_id}/api-keys")
async def list_api_keys(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[ApiKeyInfo]:
    """The keys of a cafe's tills (managers)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        await require_role(conn, cafe_id, caller.user_id, "manager")
        return await store.list_api_keys(conn, cafe_id)


@managed.post("/{cafe_id}/api-keys", status_code=201)
async def create_api_key(request: Request, caller: StaffCaller, cafe_id: UUID, body: CreateApiKey) -> NewApiKey:
    """Makes a key for a till (managers). The answer is the only place that ever shows it whole."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        await require_role(conn, cafe_id, caller.user_id, "manager")
        created = await tills.create_api_key(conn, _keys(request), cafe_id, body, by=caller.user_id)
    _wake(request)
    return created


@managed.delete("/{cafe_id}/api-keys/{key_id}")
async def revoke_api_key(request: Request, caller: StaffCaller, cafe_id: UUID, key_id: KeyId) -> ApiKeyInfo:
    """Revokes a till's key at once (managers)."""
    async with db.staff_transaction(request.app.state.pool, caller.user_id) as conn:
        await require_role(conn, cafe_id, caller.user_id, "manager")
        revoked = await tills.revoke_api_key(conn, cafe_id, key_id)
    _wake(request)
    return revoked


def make_app(config: Settings | None = None) -> FastAPI:
    """The service's HTTP application."""
    app = http.make_api("identity", public, managed, config=config)

    async def own_keys() -> Mapping[str, Any]:
        async with db.transaction(app.state.pool) as conn:
            return await sessions.published_keys(conn, app.state.settings.keys)

    # The issuer asks itself over the database and not over HTTP.
    app.state.staff_keys = PublicKeys(own_keys)
    return app


def _keys(request: Request) -> Keys:
    keys: Keys = request.app.state.settings.keys
    return keys


def _wake(request: Request) -> None:
    request.app.state.waker.wake()


if __name__ == "__main__":
    run(make_app(), "identity")
