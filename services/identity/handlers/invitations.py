"""How people come into a cafe: somebody invites, the person accepts. Nobody chooses another's password.

Whether a login has an account makes no difference to who invites. The code alone opens nothing that exists: who has an
account proves its password too, and chooses a new one, because only they know both.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import SecretStr

from services.identity.handlers import attempts, passwords, people
from services.identity.handlers.attempts import login_hash
from services.identity.handlers.cafes import hold_cafe
from services.identity.handlers.sessions import end_all_sessions, wrong_password
from services.identity.models.accounts import Attempt, InvitationRow, LoginAccount, SignInDevice
from services.identity.models.http import Accepted, AcceptInvitation, Invitation, InvitationText, Invite, NewInvitation
from services.identity.models.logins import masked_login
from services.identity.rules import access as rules
from services.identity.store import accounts
from services.identity.store import invitations as store
from services.identity.store.cafes import find_cafe
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.security.crypto import Keys, seal, sha256, unseal


async def invite(
    conn: Connection, keys: Keys, cafe_id: UUID, command: Invite, *, by: UUID | None, console: str | None = None
) -> NewInvitation:
    """Ask a person to work in the cafe; the answer is the only place that shows the code. `by` None is an operator.

    Raises:
        Rejected: status 403 or 404 when `by` may not give that role, 409 when too many invitations are open.
    """
    if by is not None and not rules.may_change_access(await people.enter(conn, cafe_id, by, "manager"), command.role):
        raise people.role_too_low()
    await hold_cafe(conn, cafe_id)
    moment = now()
    await _check_room(conn, cafe_id, moment)
    digest = login_hash(keys, command.login)
    invitation = InvitationRow(
        cafe_id=cafe_id,
        invitation_id=(invitation_id := new_id()),
        login_hash=digest,
        login_sealed=seal(keys, command.login, table="invitations", column="login_sealed", row=invitation_id),
        role=command.role,
        display_name=command.display_name,
        invited_by=by,
        invited_at=moment,
        expires_at=moment + rules.INVITATION_LIFETIME,
        revoked_at=None,
        accepted_at=None,
    )
    code = _new_code()
    await store.insert(conn, invitation, sha256(code))
    return _shown_once(keys, invitation, code, console)


async def list_invitations(conn: Connection, keys: Keys, cafe_id: UUID, *, by: UUID) -> list[Invitation]:
    """The cafe's invitations of the last weeks, the newest first.

    Raises:
        Rejected: status 403 or 404 when `by` is no manager there.
    """
    await people.enter(conn, cafe_id, by, "manager")
    return [_shown(keys, row) for row in await store.list_all(conn, cafe_id)]


async def renew(
    conn: Connection, keys: Keys, cafe_id: UUID, invitation_id: UUID, *, by: UUID, console: str | None
) -> NewInvitation:
    """A new code and a new end for an invitation that is open or has expired; the old code no longer holds.

    Raises:
        Rejected: status 403 or 404 as for inviting, 409 when it was accepted or revoked.
    """
    found = await _to_change(conn, cafe_id, invitation_id, by)
    moment = now()
    if found.expires_at <= moment:
        await _check_room(conn, cafe_id, moment)
    renewed = InvitationRow(
        **{**vars(found), "invited_by": by, "invited_at": moment, "expires_at": moment + rules.INVITATION_LIFETIME}
    )
    code = _new_code()
    await store.renew(conn, renewed, sha256(code))
    return _shown_once(keys, renewed, code, console)


async def revoke(conn: Connection, cafe_id: UUID, invitation_id: UUID, *, by: UUID) -> None:
    """Revokes the invitation: nobody can accept it any more.

    Raises:
        Rejected: status 403 or 404 as for inviting, 409 when it was accepted or revoked.
    """
    await store.revoke(conn, await _to_change(conn, cafe_id, invitation_id, by), now())


async def read(conn: Connection, keys: Keys, code: SecretStr) -> InvitationText:
    """What the invitation says to who holds its code.

    Raises:
        Rejected: status 404 for a code that does not hold (any more).
    """
    invitation = await _open(conn, code)
    cafe = await find_cafe(conn, invitation.cafe_id)
    assert cafe is not None
    return InvitationText(
        cafe_name=cafe.name,
        display_name=invitation.display_name,
        role=invitation.role,
        login=masked_login(_login(keys, invitation)),
        expires_at=invitation.expires_at,
    )


async def begin_accepting(conn: Connection, keys: Keys, command: AcceptInvitation, device: SignInDevice) -> Attempt:
    """Whose password has to be right, if the login has an account. Counted like a sign-in.

    Raises:
        Rejected: status 404 for a code that does not hold, 429 while the login has to wait, 422 for a password that an
            account can't begin with.
    """
    invitation = await _open(conn, command.code)
    account = await accounts.find_login(conn, [invitation.login_hash])
    attempt = await attempts.begin_for(conn, keys, account, device)
    # The same for everybody: an answer about the password must not tell whether there is an account.
    cafe = await find_cafe(conn, invitation.cafe_id)
    known = [_login(keys, invitation), invitation.display_name, cafe.name if cafe else ""]
    chosen, name = (command.new_password, "new_password") if command.new_password else (command.password, "password")
    passwords.check_new_password(name, chosen, known)
    return attempt


async def accept(
    conn: Connection, keys: Keys, command: AcceptInvitation, attempt: Attempt, *, proven: bool, chosen_hash: str
) -> Accepted:
    """Gives access to the person who accepts. `proven` when the password was that of the account; `chosen_hash` is of
    the new one.

    An account that opens no cafe protects nothing: a person who was invited and can't prove its password begins a new
    account, and the login moves there. So nobody can reserve a login by which somebody else is invited.

    Raises:
        Rejected: status 401 for a wrong password, 404 for a code that no longer holds, 409 when a new password is
            needed or the person works there already.
    """
    invitation = await _open(conn, command.code)
    await hold_cafe(conn, invitation.cafe_id)
    await accounts.lock_login(conn, invitation.login_hash)
    # Once more, behind the locks: a second acceptance finds the first.
    invitation = await _open(conn, command.code)
    account = await accounts.find_login(conn, [invitation.login_hash])
    user_id = account.user_id
    if user_id and proven and account.password_hash == attempt.account.password_hash:
        await _join(conn, invitation, account, command, chosen_hash)
    elif user_id is None or not await accounts.find_roles(conn, user_id):
        user_id = await _begin_account(conn, keys, invitation, account, chosen_hash)
    else:
        raise wrong_password()
    await people.admit(
        conn,
        invitation.cafe_id,
        user_id,
        invitation.role,
        display_name=invitation.display_name,
        by=invitation.invited_by,
    )
    await store.accept(conn, invitation, user_id, now())
    await store.drop_reset(conn, user_id)
    await accounts.clear_attempts(conn, attempt.counters)
    return Accepted(cafe_id=invitation.cafe_id, user_id=user_id, role=invitation.role)


async def make_account(conn: Connection, keys: Keys, login: str, password_hash: str) -> UUID | None:
    """A new account for a login; None when it has one already."""
    digest = login_hash(keys, login)
    await accounts.lock_login(conn, digest)
    if (await accounts.find_login(conn, [digest])).user_id:
        return None
    user_id = new_id()
    await accounts.insert_user(conn, user_id, password_hash)
    await _point(conn, keys, digest, login, user_id)
    return user_id


async def _join(
    conn: Connection, invitation: InvitationRow, account: LoginAccount, command: AcceptInvitation, chosen_hash: str
) -> None:
    assert account.user_id is not None
    await accounts.lock_user(conn, account.user_id)
    roles = await accounts.find_roles(conn, account.user_id)
    if invitation.cafe_id in roles:
        raise Rejected(
            "member_already",
            "You work in this cafe already; ask for another role instead.",
            "شما هم‌اکنون در این کافه کار می‌کنید؛ به‌جای آن نقش دیگری بخواهید.",
            status=409,
        )
    if command.new_password:
        await accounts.save_password(conn, account.user_id, chosen_hash)
        await end_all_sessions(conn, account.user_id)
    elif not await _owns_all(conn, invitation.invited_by, roles):
        raise _needs_new_password()


async def _owns_all(conn: Connection, user_id: UUID | None, cafes: Iterable[UUID]) -> bool:
    """Whether all of these cafes, and there are some, belong to that person."""
    own = await accounts.find_roles(conn, user_id) if user_id else {}
    return {own.get(cafe) for cafe in cafes} == {"owner"}


async def _begin_account(
    conn: Connection, keys: Keys, invitation: InvitationRow, former: LoginAccount, password_hash: str
) -> UUID:
    if former.user_id:
        await end_all_sessions(conn, former.user_id)
    user_id = new_id()
    await accounts.insert_user(conn, user_id, password_hash)
    await _point(conn, keys, invitation.login_hash, _login(keys, invitation), user_id)
    return user_id


async def _point(conn: Connection, keys: Keys, digest: bytes, login: str, user_id: UUID) -> None:
    sealed = seal(keys, login, table="user_logins", column="login_sealed", row=digest.hex())
    await accounts.point_login(conn, digest, user_id, "email" if "@" in login else "phone", sealed)


async def _open(conn: Connection, code: SecretStr) -> InvitationRow:
    """The invitation with that code, which is open and whose author may still invite."""
    found = await store.find_by_code(conn, sha256(code.get_secret_value()))
    if found and _state(found, now()) == "open" and await _still_allowed(conn, found):
        return found
    raise Rejected(
        "invitation_over",
        "This invitation does not hold (any more); ask for a new one.",
        "این دعوت معتبر نیست یا پایان یافته است؛ دعوت تازه‌ای بخواهید.",
        status=404,
    )


async def _still_allowed(conn: Connection, invitation: InvitationRow) -> bool:
    if invitation.invited_by is None:
        return True
    role = (await accounts.find_roles(conn, invitation.invited_by)).get(invitation.cafe_id)
    return role in ("owner", "manager") and rules.may_change_access(role, invitation.role)


async def _to_change(conn: Connection, cafe_id: UUID, invitation_id: UUID, by: UUID) -> InvitationRow:
    actor = await people.enter(conn, cafe_id, by, "manager")
    await hold_cafe(conn, cafe_id)
    found = await store.lock(conn, cafe_id, invitation_id)
    if found is None:
        raise NotFound("invitation", "دعوت")
    if not rules.may_change_access(actor, found.role):
        raise people.role_too_low()
    if found.accepted_at or found.revoked_at:
        raise Rejected(
            "invitation_answered",
            "This invitation was accepted or revoked.",
            "این دعوت پذیرفته یا باطل شده است.",
            status=409,
        )
    return found


async def _check_room(conn: Connection, cafe_id: UUID, moment: datetime) -> None:
    open_now, today = await store.count(conn, cafe_id, moment, moment - timedelta(days=1))
    if open_now >= rules.OPEN_INVITATIONS or today >= rules.INVITATIONS_A_DAY:
        raise Rejected(
            "too_many_invitations",
            f"At most {rules.OPEN_INVITATIONS} invitations are open and {rules.INVITATIONS_A_DAY} made a day;"
            " revoke some or wait.",
            "دعوت‌های باز یا دعوت‌های امروز بیش از اندازه است؛ برخی را باطل کنید یا صبر کنید.",
            status=409,
        )


def _state(row: InvitationRow, moment: datetime) -> str:
    if row.accepted_at:
        return "accepted"
    if row.revoked_at:
        return "revoked"
    return "open" if row.expires_at > moment else "expired"


def _shown(keys: Keys, row: InvitationRow) -> Invitation:
    return Invitation.model_validate(
        {**vars(row), "login": masked_login(_login(keys, row)), "state": _state(row, now())}, extra="ignore"
    )


def _shown_once(keys: Keys, row: InvitationRow, code: str, console: str | None) -> NewInvitation:
    return NewInvitation(**_shown(keys, row).model_dump(), code=code, link=link(console, "invitation", code))


def link(console: str | None, page: str, code: str) -> str | None:
    """Where the person goes with the code. It stands behind the #, which browsers send to no server."""
    return f"{console.rstrip('/')}/{page}#{code}" if console else None


def _login(keys: Keys, row: InvitationRow) -> str:
    return unseal(keys, row.login_sealed, table="invitations", column="login_sealed", row=row.invitation_id)


def _new_code() -> str:
    return secrets.token_urlsafe(24)


def _needs_new_password() -> Rejected:
    fix = Problem(
        "new_password",
        "required",
        "your account was made elsewhere, where others may know its password; choose one that only you know",
        "حساب شما جای دیگری ساخته شده و شاید دیگران گذرواژه‌اش را بدانند؛ گذرواژه‌ای برگزینید که تنها شما بدانید",
    )
    return Rejected(
        "new_password_needed",
        "Choose a new password to accept.",
        "برای پذیرفتن، گذرواژهٔ تازه‌ای برگزینید.",
        status=409,
        problems=[fix],
    )
