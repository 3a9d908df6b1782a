"""What the console asks of identity."""

from typing import Any
from uuid import UUID

from services.console.models import people
from services.console.models.session import Access
from services.console.store.upstream import Upstream

SERVICE = "identity"


async def sign_in(up: Upstream, access: Access, login: str, password: str, device_token: str | None) -> people.Tokens:
    """Tokens for a login and a password. Raises `RefusedCall` 401 for a wrong pair, 429 while the login pauses."""
    body = {"login": login, "password": password, "device_token": device_token}
    return await up.send(access, SERVICE, "POST", "/sessions", people.Tokens, body)


async def renew(up: Upstream, access: Access, refresh_token: str) -> people.Tokens:
    """The next tokens of a session. Raises `RefusedCall` 401 when it has ended."""
    return await up.send(access, SERVICE, "POST", "/sessions/renew", people.Tokens, {"refresh_token": refresh_token})


async def sign_out(up: Upstream, access: Access) -> None:
    """Ends this session."""
    await up.send(access, SERVICE, "DELETE", "/sessions/current", type(None))


async def who_am_i(up: Upstream, access: Access) -> people.SignedIn:
    """The person and their cafes."""
    return await up.get(access, SERVICE, "/me", people.SignedIn)


async def change_password(up: Upstream, access: Access, old: str, new: str) -> None:
    """A new password; all other sessions end."""
    body = {"old_password": old, "new_password": new}
    await up.send(access, SERVICE, "PUT", "/me/password", type(None), body)


async def list_sessions(up: Upstream, access: Access) -> tuple[people.OpenSession, ...]:
    """Where the person is signed in."""
    return await up.get(access, SERVICE, "/sessions", tuple[people.OpenSession, ...])


async def end_session(up: Upstream, access: Access, session_id: UUID) -> None:
    """Ends one of the person's sessions."""
    await up.send(access, SERVICE, "DELETE", f"/sessions/{session_id}", type(None))


async def read_invitation(up: Upstream, access: Access, code: str) -> people.InvitationFound:
    """What an invitation says."""
    return await up.send(access, SERVICE, "POST", "/invitations/read", people.InvitationFound, {"code": code})


async def accept_invitation(up: Upstream, access: Access, code: str, password: str) -> None:
    """Joins the cafe of an invitation."""
    await up.send(access, SERVICE, "POST", "/invitations/accept", dict[str, Any], {"code": code, "password": password})


async def use_reset(up: Upstream, access: Access, code: str, password: str) -> None:
    """Chooses a new password with a one-time code."""
    body = {"code": code, "new_password": password}
    await up.send(access, SERVICE, "POST", "/password-resets/use", type(None), body)


async def list_members(up: Upstream, access: Access, cafe_id: UUID) -> tuple[people.Colleague, ...]:
    """Who has access to the cafe."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/members", tuple[people.Colleague, ...])


async def set_role(up: Upstream, access: Access, cafe_id: UUID, user_id: UUID, role: str) -> None:
    """Gives a member another role."""
    path = f"/cafes/{cafe_id}/members/{user_id}/role"
    await up.send(access, SERVICE, "PUT", path, people.Colleague, {"role": role})


async def remove_member(up: Upstream, access: Access, cafe_id: UUID, user_id: UUID) -> None:
    """Takes a member's access away."""
    await up.send(access, SERVICE, "DELETE", f"/cafes/{cafe_id}/members/{user_id}", type(None))


async def offer_reset(up: Upstream, access: Access, cafe_id: UUID, user_id: UUID) -> people.ResetCode:
    """A one-time code for a member's new password."""
    path = f"/cafes/{cafe_id}/members/{user_id}/password-reset"
    return await up.send(access, SERVICE, "POST", path, people.ResetCode)


async def list_invitations(up: Upstream, access: Access, cafe_id: UUID) -> tuple[people.OpenInvitation, ...]:
    """The cafe's invitations."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/invitations", tuple[people.OpenInvitation, ...])


async def invite(
    up: Upstream, access: Access, cafe_id: UUID, *, login: str, display_name: str, role: str
) -> people.OpenInvitation:
    """Invites a person; only this answer holds the code."""
    body = {"login": login, "display_name": display_name, "role": role}
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/invitations", people.OpenInvitation, body)


async def revoke_invitation(up: Upstream, access: Access, cafe_id: UUID, invitation_id: UUID) -> None:
    """Takes an invitation back."""
    await up.send(access, SERVICE, "DELETE", f"/cafes/{cafe_id}/invitations/{invitation_id}", type(None))


async def list_keys(up: Upstream, access: Access, cafe_id: UUID) -> tuple[people.KeyOfTill, ...]:
    """The keys of the cafe's tills."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/api-keys", tuple[people.KeyOfTill, ...])


async def create_key(up: Upstream, access: Access, cafe_id: UUID, device_name: str) -> people.KeyOfTill:
    """A key for a till; only this answer holds it."""
    body = {"device_name": device_name}
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/api-keys", people.KeyOfTill, body)


async def revoke_key(up: Upstream, access: Access, cafe_id: UUID, key_id: str) -> None:
    """Ends a till's key."""
    await up.send(access, SERVICE, "DELETE", f"/cafes/{cafe_id}/api-keys/{key_id}", people.KeyOfTill)


async def list_branches(up: Upstream, access: Access, cafe_id: UUID) -> tuple[people.BranchOfCafe, ...]:
    """The cafe's branches."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/branches", tuple[people.BranchOfCafe, ...])


async def create_branch(up: Upstream, access: Access, cafe_id: UUID, code: str, name: str) -> people.BranchOfCafe:
    """A new branch."""
    body = {"code": code, "name": name}
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/branches", people.BranchOfCafe, body)


async def change_cafe(up: Upstream, access: Access, cafe_id: UUID, changed: dict[str, Any]) -> None:
    """Changes what is given of the cafe."""
    await up.send(access, SERVICE, "PATCH", f"/cafes/{cafe_id}", dict[str, Any], changed)


async def list_leaders(up: Upstream, access: Access, cafe_id: UUID) -> tuple[people.LeaderOfCafe, ...]:
    """Who owns and who manages the cafe."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/leaders", tuple[people.LeaderOfCafe, ...])
