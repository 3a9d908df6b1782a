"""Guests who bring guests."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.loyalty.models.accounts import GuestKey
from services.loyalty.models.referrals import Referral, ReferralClaim
from shared.database.columns import columns
from shared.database.db import Connection

TAKE_TURN = "SELECT pg_advisory_xact_lock(744813, hashtext($1::uuid::text))"
CODE_OF = "SELECT code FROM referral_codes WHERE cafe_id = $1 AND customer_id = $2"
ADD_CODE = """
INSERT INTO referral_codes (cafe_id, code, customer_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING code
"""
WHOSE = "SELECT customer_id FROM referral_codes WHERE cafe_id = $1 AND code = $2"
FORGET_CODES = """
DELETE FROM referral_codes AS c USING unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, customer_id)
WHERE c.cafe_id = t.cafe_id AND c.customer_id = t.customer_id
"""
COLUMNS = """r.cafe_id, r.referee_id, r.referrer_id, r.claimed_at, r.ends_at, r.program_version, r.created_by,
       r.till_key_id, r.state, r.reason, r.visit_id, r.round, r.check_at"""
FIND = f"SELECT {COLUMNS} FROM referrals AS r WHERE r.cafe_id = $1 AND r.referee_id = $2"  # noqa: S608
LIST = f"""
SELECT {COLUMNS} FROM referrals AS r WHERE r.cafe_id = $1 AND r.referrer_id = $2 ORDER BY r.claimed_at DESC LIMIT $3
"""  # noqa: S608
# Upwards from the referrer: who has brought whom before.
CLAIM = """
SELECT EXISTS (SELECT FROM referrals WHERE cafe_id = $1 AND referee_id = $2) AS was_referred,
       EXISTS (SELECT FROM visit_earnings WHERE cafe_id = $1 AND customer_id = $2) AS has_bills,
       $2 IN (
           WITH RECURSIVE up AS (
               SELECT referrer_id FROM referrals WHERE cafe_id = $1 AND referee_id = $3
               UNION
               SELECT r.referrer_id FROM referrals AS r JOIN up ON r.cafe_id = $1 AND r.referee_id = up.referrer_id
           )
           SELECT referrer_id FROM up
       ) AS is_circle,
       coalesce((SELECT total_visits FROM customer_loyalty WHERE cafe_id = $1 AND customer_id = $3), 0) AS visits,
       (SELECT count(*) FROM referrals
        WHERE cafe_id = $1 AND referrer_id = $3 AND claimed_at >= $4 AND claimed_at < $5
            AND state IN ('waiting', 'completed')) AS of_month,
       EXISTS (
           SELECT FROM visit_earnings
           WHERE cafe_id = $1 AND customer_id = $3 AND device_id = $6 AND state <> 'voided'
               AND occurred_at BETWEEN $7::timestamptz - $8::interval AND $7::timestamptz + $8::interval
       ) AS is_same_device
"""
INSERT = """
INSERT INTO referrals (cafe_id, referee_id, referrer_id, claimed_at, ends_at, program_version, created_by, till_key_id,
                       check_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
DUE = """
SELECT cafe_id, referee_id, referrer_id FROM referrals WHERE check_at <= $1 AND cafe_id <> ALL($2::uuid[])
ORDER BY check_at LIMIT $3
"""
LOCK = f"""
SELECT {COLUMNS}
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, referee_id) JOIN referrals AS r USING (cafe_id, referee_id)
ORDER BY r.cafe_id, r.referee_id FOR UPDATE OF r
"""  # noqa: S608
NEAR = """
SELECT DISTINCT t.cafe_id, t.referee_id
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[])
    AS t (cafe_id, referee_id, referrer_id, device_id, at)
JOIN visit_earnings AS v ON v.cafe_id = t.cafe_id AND v.customer_id = t.referrer_id AND v.device_id = t.device_id
WHERE v.state <> 'voided' AND v.occurred_at BETWEEN t.at - $6::interval AND t.at + $6::interval
"""
SAVE = """
UPDATE referrals AS r
SET state = t.state, reason = t.reason, visit_id = t.visit_id, round = t.round, check_at = t.check_at
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::integer[], $7::timestamptz[])
    AS t (cafe_id, referee_id, state, reason, visit_id, round, check_at)
WHERE r.cafe_id = t.cafe_id AND r.referee_id = t.referee_id
"""
LOOK_AGAIN = """
UPDATE referrals AS r SET check_at = $3
FROM unnest($1::uuid[], $2::uuid[]) AS t (cafe_id, visit_id)
WHERE r.cafe_id = t.cafe_id AND r.visit_id = t.visit_id
"""

NearBill = tuple[UUID, UUID, UUID, str, datetime]
"""(cafe_id, referee_id, referrer_id, device_id, moment)"""


async def take_turn(conn: Connection, cafe_id: UUID) -> None:
    """Until the transaction ends, one claim of a cafe at a time: each sees those before it."""
    await conn.execute(TAKE_TURN, cafe_id)


async def code_of(conn: Connection, cafe_id: UUID, customer_id: UUID) -> str | None:
    """The guest's code, if it was made."""
    code: str | None = await conn.fetchval(CODE_OF, cafe_id, customer_id)
    return code


async def add_code(conn: Connection, cafe_id: UUID, code: str, customer_id: UUID) -> bool:
    """Keeps a code; False when somebody has it, or the guest has one."""
    return await conn.fetchval(ADD_CODE, cafe_id, code, customer_id) is not None


async def whose(conn: Connection, cafe_id: UUID, code: str) -> UUID | None:
    """The guest with that code."""
    customer_id: UUID | None = await conn.fetchval(WHOSE, cafe_id, code)
    return customer_id


async def forget_codes(conn: Connection, guests: Sequence[GuestKey]) -> None:
    """Takes the codes of erased guests away."""
    await conn.execute(FORGET_CODES, *columns(guests, 0, 1))


async def find(conn: Connection, cafe_id: UUID, referee_id: UUID) -> Referral | None:
    """By whom the guest was brought, if by anybody."""
    row = await conn.fetchrow(FIND, cafe_id, referee_id)
    return Referral(**row) if row else None


async def list_newest(conn: Connection, cafe_id: UUID, referrer_id: UUID, limit: int) -> list[Referral]:
    """Whom the guest has brought, the newest first."""
    return [Referral(**row) for row in await conn.fetch(LIST, cafe_id, referrer_id, limit)]


async def look_at(
    conn: Connection,
    cafe_id: UUID,
    referee_id: UUID,
    referrer_id: UUID,
    month: tuple[datetime, datetime],
    device_id: str | None,
    moment: datetime,
    near: timedelta,
) -> ReferralClaim:
    """What is known of both when the claim comes."""
    row = await conn.fetchrow(CLAIM, cafe_id, referee_id, referrer_id, *month, device_id, moment, near)
    assert row is not None
    return ReferralClaim(referee_id=referee_id, referrer_id=referrer_id, **row)


async def insert(conn: Connection, referral: Referral) -> None:
    """Keeps a claim."""
    await conn.execute(
        INSERT, referral.cafe_id, referral.referee_id, referral.referrer_id, referral.claimed_at, referral.ends_at,
        referral.program_version, referral.created_by, referral.till_key_id, referral.check_at,
    )  # fmt: skip


async def list_due(
    conn: Connection, moment: datetime, aside: Sequence[UUID], limit: int
) -> list[tuple[UUID, UUID, UUID]]:
    """Those (cafe, referee, referrer) that are to be looked at, but for the cafes `aside`."""
    return [tuple(row) for row in await conn.fetch(DUE, moment, aside, limit)]


async def lock(conn: Connection, keys: Sequence[tuple[UUID, UUID, UUID]]) -> list[Referral]:
    """The referrals as they are, locked. Whoever asks has locked the accounts."""
    return [Referral(**row) for row in await conn.fetch(LOCK, *columns(keys, 0, 1))]


async def near(conn: Connection, bills: Sequence[NearBill], within: timedelta) -> set[tuple[UUID, UUID]]:
    """Those (cafe, referee) on whose bill's till the referrer has paid about the same time."""
    rows: list[Any] = await conn.fetch(NEAR, *columns(bills, 0, 1, 2, 3, 4), within) if bills else []
    return {(row["cafe_id"], row["referee_id"]) for row in rows}


async def save(conn: Connection, changed: Sequence[Referral]) -> None:
    """Writes what became of them."""
    if changed:
        fields = ("cafe_id", "referee_id", "state", "reason", "visit_id", "round", "check_at")
        await conn.execute(SAVE, *columns(changed, *fields))


async def look_again(conn: Connection, bills: Sequence[tuple[UUID, UUID]], moment: datetime) -> None:
    """Has the referrals looked at that these bills (cafe, visit) decided."""
    await conn.execute(LOOK_AGAIN, *columns(bills, 0, 1), moment)
