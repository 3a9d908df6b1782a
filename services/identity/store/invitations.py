"""Invitations into a cafe, and one-time codes for a new password."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.identity.models.accounts import InvitationRow
from shared.database.db import Connection

COLUMNS = """cafe_id, invitation_id, login_hash, login_sealed, role, display_name, invited_by, invited_at, expires_at,
    revoked_at, accepted_at"""
INSERT = f"""
INSERT INTO invitations ({COLUMNS}, code_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, NULL, $10)
"""  # noqa: S608
COUNT = """
SELECT count(*) FILTER (WHERE revoked_at IS NULL AND accepted_at IS NULL AND expires_at > $2) AS open,
       count(*) FILTER (WHERE invited_at > $3) AS lately
FROM invitations
WHERE cafe_id = $1
"""
LIST = f"SELECT {COLUMNS} FROM invitations WHERE cafe_id = $1 ORDER BY invited_at DESC, invitation_id"  # noqa: S608
LOCK = f"SELECT {COLUMNS} FROM invitations WHERE cafe_id = $1 AND invitation_id = $2 FOR UPDATE"  # noqa: S608
FIND_BY_CODE = f"SELECT {COLUMNS} FROM invitations WHERE code_hash = $1"  # noqa: S608
RENEW = """
UPDATE invitations SET code_hash = $3, invited_by = $4, invited_at = $5, expires_at = $6
WHERE cafe_id = $1 AND invitation_id = $2
"""
REVOKE = "UPDATE invitations SET revoked_at = $3 WHERE cafe_id = $1 AND invitation_id = $2"
ACCEPT = "UPDATE invitations SET accepted_at = $3, accepted_by = $4 WHERE cafe_id = $1 AND invitation_id = $2"
FORGET = """
DELETE FROM invitations
WHERE (cafe_id, invitation_id) IN (SELECT cafe_id, invitation_id FROM invitations WHERE expires_at < $1 LIMIT $2)
RETURNING 1
"""
SAVE_RESET = """
INSERT INTO password_resets (user_id, code_hash, made_by, made_at, expires_at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (user_id) DO UPDATE
SET code_hash = excluded.code_hash, made_by = excluded.made_by, made_at = excluded.made_at,
    expires_at = excluded.expires_at
"""
FIND_RESET = "SELECT user_id, made_by FROM password_resets WHERE code_hash = $1 AND expires_at > $2"
DROP_RESET = "DELETE FROM password_resets WHERE user_id = $1"
FORGET_RESETS = """
DELETE FROM password_resets
WHERE user_id IN (SELECT user_id FROM password_resets WHERE expires_at < $1 LIMIT $2)
RETURNING 1
"""


@dataclass(frozen=True)
class Reset:
    """A code for a new password that has not expired: whose, and who made it (None: an operator)."""

    user_id: UUID
    made_by: UUID | None = field(default=None)


async def insert(conn: Connection, invitation: InvitationRow, code_hash: bytes) -> None:
    """Keep an open invitation."""
    it = invitation
    person = (it.login_hash, it.login_sealed, it.role, it.display_name)
    period = (it.invited_by, it.invited_at, it.expires_at)
    await conn.execute(INSERT, it.cafe_id, it.invitation_id, *person, *period, code_hash)


async def count(conn: Connection, cafe_id: UUID, moment: datetime, since: datetime) -> tuple[int, int]:
    """How many of the cafe's invitations are open at `moment`, and how many were made after `since`."""
    row = await conn.fetchrow(COUNT, cafe_id, moment, since)
    assert row is not None
    return row["open"], row["lately"]


async def list_all(conn: Connection, cafe_id: UUID) -> list[InvitationRow]:
    """The cafe's invitations, the newest first."""
    return [InvitationRow(**row) for row in await conn.fetch(LIST, cafe_id)]


async def lock(conn: Connection, cafe_id: UUID, invitation_id: UUID) -> InvitationRow | None:
    """The invitation, held until the end of the transaction."""
    row = await conn.fetchrow(LOCK, cafe_id, invitation_id)
    return InvitationRow(**row) if row else None


async def find_by_code(conn: Connection, code_hash: bytes) -> InvitationRow | None:
    """The invitation with that code."""
    row = await conn.fetchrow(FIND_BY_CODE, code_hash)
    return InvitationRow(**row) if row else None


async def renew(conn: Connection, invitation: InvitationRow, code_hash: bytes) -> None:
    """Another code and another end for an invitation, in the name of who renews it."""
    it = invitation
    await conn.execute(RENEW, it.cafe_id, it.invitation_id, code_hash, it.invited_by, it.invited_at, it.expires_at)


async def revoke(conn: Connection, invitation: InvitationRow, moment: datetime) -> None:
    """Nobody can accept it any more."""
    await conn.execute(REVOKE, invitation.cafe_id, invitation.invitation_id, moment)


async def accept(conn: Connection, invitation: InvitationRow, user_id: UUID, moment: datetime) -> None:
    """It has been accepted, and never can be again."""
    await conn.execute(ACCEPT, invitation.cafe_id, invitation.invitation_id, moment, user_id)


async def forget(conn: Connection, before: datetime, limit: int = 1000) -> int:
    """How many invitations that expired before that moment were deleted; at most `limit`."""
    return len(await conn.fetch(FORGET, before, limit))


async def save_reset(
    conn: Connection, user_id: UUID, code_hash: bytes, made_by: UUID | None, made_at: datetime, expires_at: datetime
) -> None:
    """Keep a code for a new password; an earlier one of that person no longer holds."""
    await conn.execute(SAVE_RESET, user_id, code_hash, made_by, made_at, expires_at)


async def find_reset(conn: Connection, code_hash: bytes, moment: datetime) -> Reset | None:
    """Whose new password the code is for; None for a code that does not hold at `moment`."""
    row = await conn.fetchrow(FIND_RESET, code_hash, moment)
    return Reset(**row) if row else None


async def drop_reset(conn: Connection, user_id: UUID) -> None:
    """No code for a new password of that person holds any more."""
    await conn.execute(DROP_RESET, user_id)


async def forget_resets(conn: Connection, before: datetime, limit: int = 1000) -> int:
    """How many codes that expired before that moment were deleted; at most `limit`."""
    return len(await conn.fetch(FORGET_RESETS, before, limit))
