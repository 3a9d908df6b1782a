"""What a service knows of cafes, access and tills: kept from identity's events, whatever order they arrive in."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import time
from typing import Any
from uuid import UUID

from shared.database.columns import columns
from shared.database.db import Connection
from shared.errors import CAFE_UNKNOWN, Rejected
from shared.events.base import Event
from shared.events.identity import (
    AccessGranted,
    AccessRevoked,
    ApiKeyCreated,
    ApiKeyRevoked,
    CafeChanged,
    Role,
    SessionsEnded,
)
from shared.inputs.amounts import INSIDE
from shared.persian.money import Unit
from shared.security.approval import Oversight, Policy
from shared.security.auth import session_ended

_RANK: dict[Role, int] = {"staff": 0, "manager": 1, "owner": 2}
_PERSIAN: dict[Role, str] = {"staff": "کارمند پیشخوان", "manager": "مدیر", "owner": "مالک"}


KEEP_CAFES = """
INSERT INTO cafes AS kept (cafe_id, version, name, time_zone, calendar, currency_unit, quiet_from,
                           quiet_until, is_active, approval_when, approval_points, approval_amount,
                           approval_staff_amount)
SELECT DISTINCT ON (cafe_id) *
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::time[], $8::time[],
            $9::boolean[], $10::text[], $11::bigint[], $12::bigint[], $13::bigint[]) AS t (cafe_id, version)
ORDER BY cafe_id, version DESC
ON CONFLICT (cafe_id) DO UPDATE
SET version = excluded.version, name = excluded.name, time_zone = excluded.time_zone,
    calendar = excluded.calendar, currency_unit = excluded.currency_unit, quiet_from = excluded.quiet_from,
    quiet_until = excluded.quiet_until, is_active = excluded.is_active, approval_when = excluded.approval_when,
    approval_points = excluded.approval_points, approval_amount = excluded.approval_amount,
    approval_staff_amount = excluded.approval_staff_amount
WHERE kept.version < excluded.version
"""
KEEP_API_KEYS = """
INSERT INTO till_keys (cafe_id, key_id, key_hash, signing_key_sealed, scopes, device_name, expires_at)
SELECT cafe_id, key_id, decode(key_hash, 'hex'), sealed, string_to_array(scopes, ' '), device, expires_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
    AS t (cafe_id, key_id, key_hash, sealed, scopes, device, expires_at)
ON CONFLICT (cafe_id, key_id) DO UPDATE
SET key_hash = excluded.key_hash, signing_key_sealed = excluded.signing_key_sealed,
    scopes = excluded.scopes, device_name = excluded.device_name, expires_at = excluded.expires_at
"""
REVOKE_API_KEYS = """
INSERT INTO till_keys AS kept (cafe_id, key_id, revoked_at)
SELECT cafe_id, key_id, min(revoked_at)
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS t (cafe_id, key_id, revoked_at)
GROUP BY cafe_id, key_id
ON CONFLICT (cafe_id, key_id) DO UPDATE
SET revoked_at = least(kept.revoked_at, excluded.revoked_at)
"""
FIND_ROLE = """
SELECT role, crm.session_holds(sessions_from, ended_sessions) AS session_holds
FROM user_cafe_access
WHERE cafe_id = $1 AND user_id = $2
"""
OVERSIGHT = """
SELECT c.approval_when, c.approval_points, c.approval_amount, c.approval_staff_amount,
       coalesce(c.time_zone, 'Asia/Tehran') AS time_zone, ARRAY(SELECT crm.approvers($1)) AS managers
FROM (SELECT $1::uuid AS cafe_id) AS asked LEFT JOIN cafes AS c USING (cafe_id)
"""
UNIT = "SELECT currency_unit FROM cafes WHERE cafe_id = $1"
# Any fixed number keeps these locks apart from others that are taken by a hash.
TAKE_TURN = "SELECT pg_advisory_xact_lock(744811, hashtext($1::uuid::text || $2::uuid::text))"
TRY_ALONE = "SELECT pg_try_advisory_xact_lock(744812, hashtext($1::uuid::text))"
# Of sessions that ended one by one only the last are kept: the tokens of earlier ones have expired.
LAST_ENDED = """
ARRAY(
    SELECT id FROM unnest(excluded.ended_sessions || kept.ended_sessions) WITH ORDINALITY AS ended (id, place)
    GROUP BY id ORDER BY min(place) LIMIT 32
)
"""
KEEP_ACCESS = f"""
INSERT INTO user_cafe_access AS kept (cafe_id, user_id, version, role, changed_at, sessions_from, ended_sessions)
SELECT DISTINCT ON (cafe_id, user_id)
    cafe_id, user_id, version, role, changed_at, sessions_from, string_to_array(ended, ' ')::uuid[]
FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::timestamptz[], $6::int[], $7::text[])
    AS t (cafe_id, user_id, version, role, changed_at, sessions_from, ended)
ORDER BY cafe_id, user_id, version DESC
ON CONFLICT (cafe_id, user_id) DO UPDATE
SET version = excluded.version, role = excluded.role, changed_at = excluded.changed_at,
    sessions_from = greatest(kept.sessions_from, excluded.sessions_from), ended_sessions = {LAST_ENDED}
WHERE kept.version < excluded.version
"""  # noqa: S608
# The end of a session may be heard of before the access: then the row has no role, and any version is newer.
END_SESSIONS = f"""
INSERT INTO user_cafe_access AS kept (cafe_id, user_id, version, role, changed_at, sessions_from, ended_sessions)
SELECT cafe_id, user_id, 0, NULL, max(ended_at), max(sessions_from),
    coalesce(array_agg(session_id) FILTER (WHERE session_id IS NOT NULL), '{{}}')
FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::int[], $5::uuid[])
    AS t (cafe_id, user_id, ended_at, sessions_from, session_id)
GROUP BY cafe_id, user_id
ON CONFLICT (cafe_id, user_id) DO UPDATE
SET sessions_from = greatest(kept.sessions_from, excluded.sessions_from), ended_sessions = {LAST_ENDED}
"""  # noqa: S608


async def on_cafe_changed(conn: Connection, events: Sequence[CafeChanged]) -> None:
    """Keep the newest version of each cafe."""
    await conn.execute(
        KEEP_CAFES,
        *columns(events, "cafe_id", "version", "name", "time_zone", "calendar", "currency_unit"),
        [time.fromisoformat(event.quiet_from) for event in events],
        [time.fromisoformat(event.quiet_until) for event in events],
        *columns(events, "is_active", "approval_when", "approval_points", "approval_amount", "approval_staff_amount"),
    )


async def on_access_granted(conn: Connection, events: Sequence[AccessGranted]) -> None:
    """Give people their role, unless a later change is already known."""
    await _keep_access(conn, events, [event.role for event in events])


async def on_access_revoked(conn: Connection, events: Sequence[AccessRevoked]) -> None:
    """Take people's role away, unless a later change is already known."""
    await _keep_access(conn, events, [None for _ in events])


async def on_sessions_ended(conn: Connection, events: Sequence[SessionsEnded]) -> None:
    """Refuse these tokens from now on."""
    await conn.execute(
        END_SESSIONS,
        *columns(events, "cafe_id", "user_id", "occurred_at", "sessions_from", "session_id"),
    )


async def on_api_key_created(conn: Connection, events: Sequence[ApiKeyCreated]) -> None:
    """Learn tills' credentials. A revocation that came first stays."""
    await conn.execute(
        KEEP_API_KEYS,
        *columns(events, "cafe_id", "key_id", "key_hash", "signing_key_sealed"),
        [" ".join(event.scopes) for event in events],
        *columns(events, "device_name", "expires_at"),
    )


async def on_api_key_revoked(conn: Connection, events: Sequence[ApiKeyRevoked]) -> None:
    """Refuse these credentials from now on."""
    await conn.execute(
        REVOKE_API_KEYS,
        *columns(events, "cafe_id", "key_id", "occurred_at"),
    )


async def require_role(conn: Connection, cafe_id: UUID, user_id: UUID, least: Role = "staff") -> Role:
    """The person's role in the cafe, which is `least` or higher (staff < manager < owner).

    Raises:
        Rejected: status 404 when the person has no access (whether the cafe exists is none of their business),
            401 when the token of this transaction has been ended, 403 when the role is too low.
    """
    row = await conn.fetchrow(FIND_ROLE, cafe_id, user_id)
    role: Role | None = row["role"] if row else None
    if row is None or role is None:
        raise Rejected(CAFE_UNKNOWN, "There is no such cafe.", "چنین کافه‌ای پیدا نشد.", status=404)
    if not row["session_holds"]:
        raise session_ended()
    if _RANK[role] < _RANK[least]:
        raise Rejected(
            "role_too_low",
            f"This needs the role {least} in the cafe.",
            f"این کار در کافه نقش «{_PERSIAN[least]}» می‌خواهد.",
            status=403,
        )
    return role


def sees_amounts(role: Role) -> bool:
    """Whether a person of that role sees what guests spent and what the cafe took in."""
    return role != "staff"


async def oversight(conn: Connection, cafe_id: UUID) -> Oversight:
    """The cafe's approval policy and who may approve there, for a person of the cafe (in their own transaction)."""
    row = await conn.fetchrow(OVERSIGHT, cafe_id)
    assert row is not None
    policy = Policy()
    if row["approval_when"] is not None:
        limits = (row["approval_points"], row["approval_amount"], row["approval_staff_amount"])
        policy = Policy(row["approval_when"], *limits)
    return Oversight(policy, frozenset(row["managers"]), row["time_zone"])


async def unit_of(conn: Connection, cafe_id: UUID) -> Unit:
    """The unit of money in which the cafe reads and writes amounts; Toman until the cafe is known here."""
    return await conn.fetchval(UNIT, cafe_id) or INSIDE


async def take_turn(conn: Connection, cafe_id: UUID, user_id: UUID) -> None:
    """Lock what one person does in a cafe until the transaction ends, so that each action counts the earlier ones in
    the day's sum. Call it before any row is locked."""
    await conn.execute(TAKE_TURN, cafe_id, user_id)


async def ask_alone(conn: Connection, cafe_id: UUID) -> None:
    """Until the transaction ends, keeps others of the cafe from asking this service for what reads all its guests.

    Raises:
        Rejected: status 429 while somebody does.
    """
    if not await conn.fetchval(TRY_ALONE, cafe_id):
        raise Rejected(
            "one_at_a_time",
            "A preview of this cafe is being computed; ask again in a moment.",
            "پیش‌نمایشی برای این کافه در حال محاسبه است؛ کمی بعد دوباره بخواهید.",
            status=429,
        )


async def _keep_access(
    conn: Connection, events: Sequence[AccessGranted | AccessRevoked], roles: Sequence[Role | None]
) -> None:
    await conn.execute(
        KEEP_ACCESS,
        *columns(events, "cafe_id", "user_id", "version"),
        roles,
        [event.occurred_at for event in events],
        [event.sessions_from if isinstance(event, AccessGranted) else 0 for event in events],
        [" ".join(map(str, event.ended_sessions)) if isinstance(event, AccessGranted) else "" for event in events],
    )


# Every worker lists these beside its own reactions.
REACTIONS: Mapping[type[Event], Callable[[Connection, Sequence[Any]], Awaitable[None]]] = {
    CafeChanged: on_cafe_changed,
    AccessGranted: on_access_granted,
    AccessRevoked: on_access_revoked,
    SessionsEnded: on_sessions_ended,
    ApiKeyCreated: on_api_key_created,
    ApiKeyRevoked: on_api_key_revoked,
}
