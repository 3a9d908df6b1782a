"""The cafe's own things: people, tills, branches, and the person's own sign-ins."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.console.api import wall
from services.console.api.forms import Typed
from services.console.api.rendering import go, look_of, page, qr_code, refused
from services.console.api.visiting import AnyVisitor, Here, upstream
from services.console.handlers import looks
from services.console.handlers.panels import panel
from services.console.models.session import Visitor
from services.console.rules import roles
from services.console.store import identity, visit
from services.console.store.upstream import RefusedCall

router = APIRouter(include_in_schema=False)

IN_CAFE = "/c/{cafe_id}/settings"


@router.get(IN_CAFE)
async def show(request: Request, here: Here) -> Response:
    """The cafe and its branches."""
    return await _cafe(request, here)


@router.post(IN_CAFE)
async def change(
    request: Request, here: Here, name: Typed, quiet_from: Typed, quiet_until: Typed, language: Typed
) -> Response:
    """Changes the cafe's name, its quiet hours and the language its people read first."""
    changed = {"name": name, "quiet_from": quiet_from, "quiet_until": quiet_until, "language": language}
    try:
        await identity.change_cafe(upstream(request), here.access, here.cafe.cafe_id, changed)
    except RefusedCall as error:
        return await _cafe(request, here, error, values=changed)
    return go(request, f"/c/{here.cafe.cafe_id}/settings")


@router.post(IN_CAFE + "/branches")
async def add_branch(request: Request, here: Here, code: Typed, name: Typed) -> Response:
    """A new branch."""
    try:
        await identity.create_branch(upstream(request), here.access, here.cafe.cafe_id, code, name)
    except RefusedCall as error:
        return await _cafe(request, here, error, values={"branch_code": code, "branch_name": name})
    return go(request, f"/c/{here.cafe.cafe_id}/settings")


@router.get(IN_CAFE + "/people")
async def show_people(request: Request, here: Here) -> Response:
    """Who has access, and who is invited."""
    return await _people(request, here)


@router.post(IN_CAFE + "/people")
async def invite(request: Request, here: Here, login: Typed, display_name: Typed, role: Typed) -> Response:
    """Invites a person. The code is shown once, here."""
    try:
        made = await identity.invite(
            upstream(request), here.access, here.cafe.cafe_id, login=login, display_name=display_name, role=role
        )
    except RefusedCall as error:
        values = {"login": login, "display_name": display_name, "role": role}
        return await _people(request, here, error, values=values)
    return await _people(request, here, once={"code": made.code, "link": made.link, "name": made.display_name})


@router.post(IN_CAFE + "/people/{user_id}/reset")
async def reset(request: Request, here: Here, user_id: UUID) -> Response:
    """A one-time code for a member who forgot the password."""
    try:
        made = await identity.offer_reset(upstream(request), here.access, here.cafe.cafe_id, user_id)
    except RefusedCall as error:
        return await _people(request, here, error)
    return await _people(request, here, once={"code": made.code, "link": made.link, "name": ""})


@router.post(IN_CAFE + "/people/{user_id}/remove")
async def remove(request: Request, here: Here, user_id: UUID) -> Response:
    """Takes a member's access away."""
    asked = identity.remove_member(upstream(request), here.access, here.cafe.cafe_id, user_id)
    return await _done(request, here, asked, _people, "/people")


@router.post(IN_CAFE + "/people/{user_id}/role")
async def change_role(request: Request, here: Here, user_id: UUID, role: Typed) -> Response:
    """Gives a member another role."""
    asked = identity.set_role(upstream(request), here.access, here.cafe.cafe_id, user_id, role)
    return await _done(request, here, asked, _people, "/people")


@router.post(IN_CAFE + "/invitations/{invitation_id}/revoke")
async def revoke_invitation(request: Request, here: Here, invitation_id: UUID) -> Response:
    """Takes an invitation back."""
    asked = identity.revoke_invitation(upstream(request), here.access, here.cafe.cafe_id, invitation_id)
    return await _done(request, here, asked, _people, "/people")


@router.get(IN_CAFE + "/tills")
async def show_tills(request: Request, here: Here) -> Response:
    """Keys of tills, and the devices that sent bills."""
    return await _tills(request, here)


@router.post(IN_CAFE + "/tills")
async def make_key(request: Request, here: Here, device_name: Typed) -> Response:
    """A key for a till. It is shown once, here, in letters and as a QR code."""
    try:
        made = await identity.create_key(upstream(request), here.access, here.cafe.cafe_id, device_name)
    except RefusedCall as error:
        return await _tills(request, here, error, values={"device_name": device_name})
    return await _tills(request, here, key=made, qr=qr_code(made.api_key or ""))


@router.post(IN_CAFE + "/tills/{key_id}/revoke")
async def revoke_key(request: Request, here: Here, key_id: str) -> Response:
    """Ends a till's key."""
    asked = identity.revoke_key(upstream(request), here.access, here.cafe.cafe_id, key_id)
    return await _done(request, here, asked, _tills, "/tills")


@router.get(IN_CAFE + "/looks")
async def show_looks(request: Request, here: Here, before: UUID | None = None) -> Response:
    """Who looked at which guest (owners)."""
    shown = await looks.show(upstream(request), here, before)
    return page(request, "looks.html", here, nav="settings", shown=shown)


@router.get("/me")
async def show_me(request: Request, visitor: AnyVisitor) -> Response:
    """The person's own: look, password, where they are signed in."""
    return await _me(request, visitor)


@router.post("/me/password")
async def change_password(request: Request, visitor: AnyVisitor, old: Typed, new: Typed) -> Response:
    """A new password; all other devices are signed out, and this one signs in again."""
    try:
        await identity.change_password(upstream(request), visitor.access, old, new)
    except RefusedCall as error:
        return await _me(request, visitor, error)
    wall.keep(request, None)
    return page(
        request, "sign_in.html", here="/in", values={"login": visitor.caller.login, "next": "", "changed": True}
    )


@router.post("/me/sessions/{session_id}/end")
async def end_session(request: Request, visitor: AnyVisitor, session_id: UUID) -> Response:
    """Signs another device out."""
    await identity.end_session(upstream(request), visitor.access, session_id)
    return go(request, "/me")


async def _done(
    request: Request, here: Here, asked: Awaitable[None], shown: Callable[..., Awaitable[Response]], tab: str
) -> Response:
    """Back to the tab once it is done; the tab with the reason when it was refused."""
    try:
        await asked
    except RefusedCall as error:
        return await shown(request, here, error)
    return go(request, f"/c/{here.cafe.cafe_id}/settings{tab}")


async def _cafe(request: Request, here: Here, error: RefusedCall | None = None, **data: Any) -> Response:
    branches = await identity.list_branches(upstream(request), here.access, here.cafe.cafe_id)
    return _answer(request, here, "cafe.html", error, {"branches": branches} | data)


async def _people(request: Request, here: Here, error: RefusedCall | None = None, **data: Any) -> Response:
    up, cafe_id = upstream(request), here.cafe.cafe_id
    members, invitations = await asyncio.gather(
        identity.list_members(up, here.access, cafe_id), identity.list_invitations(up, here.access, cafe_id)
    )
    givable = roles.below(here.cafe.role)
    shown = {"members": members, "invitations": invitations, "once": None, "givable": givable}
    return _answer(request, here, "people.html", error, shown | data)


async def _tills(request: Request, here: Here, error: RefusedCall | None = None, **data: Any) -> Response:
    up, cafe_id = upstream(request), here.cafe.cafe_id
    keys, devices = await asyncio.gather(
        identity.list_keys(up, here.access, cafe_id), panel(visit.devices(up, here.access, cafe_id))
    )
    shown = {"keys": keys, "devices": devices, "key": None, "qr": None}
    return _answer(request, here, "tills.html", error, shown | data)


async def _me(request: Request, visitor: AnyVisitor, error: RefusedCall | None = None) -> Response:
    sessions = await identity.list_sessions(upstream(request), visitor.access)
    return _answer(request, visitor, "me.html", error, {"sessions": sessions})


def _answer(request: Request, who: Visitor, template: str, error: RefusedCall | None, data: dict[str, Any]) -> Response:
    """The page, with what was refused."""
    told = refused(error, look_of(request).language) if error else {}
    return page(request, template, who, status=error.status if error else 200, nav="settings", **data, **told)
