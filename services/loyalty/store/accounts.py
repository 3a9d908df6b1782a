"""The guests' accounts. Whatever changes a guest locks the account first, and several in the order of `GuestKey`."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.loyalty.models.accounts import Account, GuestKey, Posting, Rank, Standing
from services.loyalty.models.cards import CardStates
from services.loyalty.models.earning import Counts
from shared.database.columns import columns
from shared.database.db import Connection

ACCOUNT_COLUMNS = """
    a.cafe_id, a.customer_id, a.points_earned, a.points_redeemed, a.points_expired, a.points_owed, a.account_version,
    a.tier_level::text, a.tier_start_date, a.tier_expires_date, a.next_tier_points, a.points_to_next_tier,
    a.counted_tier_since, a.tier_period_ends_on, a.tier_period_points, a.previous_period_points, a.program_version,
    a.year_ends_on, (a.current_year_spent * 100)::bigint, a.month_ends_on, (a.current_month_spent * 100)::bigint,
    a.visits_this_month, (a.lifetime_spent * 100)::bigint, a.total_visits, a.first_visit_date, a.last_visit_date,
    a.last_visit_at, a.counts, a.cards, a.kept_tier::text, a.kept_until
"""
LOCK = f"""
SELECT {ACCOUNT_COLUMNS}
FROM unnest($1::uuid[], $2::uuid[]) AS wanted (cafe_id, customer_id)
JOIN customer_loyalty AS a ON a.cafe_id = wanted.cafe_id AND a.customer_id = wanted.customer_id
ORDER BY a.cafe_id, a.customer_id
FOR UPDATE OF a
"""  # noqa: S608
READ = f"SELECT {ACCOUNT_COLUMNS} FROM customer_loyalty AS a WHERE a.cafe_id = $1 AND a.customer_id = $2"  # noqa: S608
# One row of what is written about an account; `tier_since` is None for a guest who never came.
NEW_STATE = """
    unnest(
        $1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::text[],
        $9::date[], $10::date[], $11::bigint[], $12::bigint[], $13::date[], $14::date[], $15::bigint[],
        $16::bigint[], $17::integer[], $18::date[], $19::bigint[], $20::date[], $21::bigint[], $22::integer[],
        $23::bigint[], $24::integer[], $25::date[], $26::date[], $27::timestamptz[], $28::jsonb[],
        $29::jsonb[], $30::text[], $31::date[]
    ) AS t (
        cafe_id, customer_id, earned, redeemed, expired, owed, version, tier, tier_since, tier_until, next_at, to_next,
        counted_since, period_ends, period_points, previous_points, program_version, year_ends, year_spent, month_ends,
        month_spent, month_visits, lifetime_spent, total_visits, first_day, last_day, last_visit_at,
        counts, cards, kept, kept_until
    )
"""
ADD = f"""
INSERT INTO customer_loyalty AS a (
    cafe_id, customer_id, points_earned, points_redeemed, points_expired, points_owed, account_version, tier_level,
    tier_start_date, tier_expires_date, next_tier_points, points_to_next_tier, counted_tier_since, tier_period_ends_on,
    tier_period_points, previous_period_points, program_version, year_ends_on, current_year_spent, month_ends_on,
    current_month_spent, visits_this_month, lifetime_spent, total_visits, first_visit_date, last_visit_date,
    last_visit_at, counts, cards, kept_tier, kept_until
)
SELECT cafe_id, customer_id, earned, redeemed, expired, owed, version, tier::loyalty_tier_enum,
       coalesce(tier_since, current_date), tier_until, next_at, to_next, counted_since, period_ends, period_points,
       previous_points, program_version, year_ends, year_spent * 0.01, month_ends, month_spent * 0.01, month_visits,
       lifetime_spent * 0.01, total_visits, first_day, last_day, last_visit_at, counts, cards,
       kept::loyalty_tier_enum, kept_until
FROM {NEW_STATE}
ORDER BY cafe_id, customer_id
"""  # noqa: S608
SAVE = f"""
UPDATE customer_loyalty AS a
SET points_earned = t.earned, points_redeemed = t.redeemed, points_expired = t.expired, points_owed = t.owed,
    account_version = t.version, tier_level = t.tier::loyalty_tier_enum,
    tier_start_date = coalesce(t.tier_since, a.tier_start_date), tier_expires_date = t.tier_until,
    next_tier_points = t.next_at, points_to_next_tier = t.to_next, counted_tier_since = t.counted_since,
    tier_period_ends_on = t.period_ends, tier_period_points = t.period_points,
    previous_period_points = t.previous_points, program_version = t.program_version,
    year_ends_on = t.year_ends, current_year_spent = t.year_spent * 0.01,
    month_ends_on = t.month_ends, current_month_spent = t.month_spent * 0.01, visits_this_month = t.month_visits,
    lifetime_spent = t.lifetime_spent * 0.01, total_visits = t.total_visits,
    first_visit_date = t.first_day, last_visit_date = t.last_day, last_visit_at = t.last_visit_at, counts = t.counts,
    cards = t.cards, kept_tier = t.kept::loyalty_tier_enum, kept_until = t.kept_until, updated_at = now()
FROM {NEW_STATE}
WHERE a.cafe_id = t.cafe_id AND a.customer_id = t.customer_id
"""  # noqa: S608
SHOW = """
SELECT id, customer_id, points_earned, points_redeemed, points_expired, current_points, points_owed,
       tier_level::text AS tier, tier_start_date, tier_expires_date, lifetime_spent, current_year_spent,
       current_month_spent, currency_unit, total_visits, visits_this_month, last_visit_date, first_visit_date,
       points_to_next_tier, updated_at
FROM loyalty_accounts WHERE cafe_id = $1 AND customer_id = $2
"""
TIERS_OVER = """
SELECT a.cafe_id, a.customer_id
FROM customer_loyalty AS a
LEFT JOIN cafes AS c ON c.cafe_id = a.cafe_id
WHERE a.tier_expires_date < $2 AND a.cafe_id <> ALL($3::uuid[])
    AND a.tier_expires_date < ($1 AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date
ORDER BY a.tier_expires_date, a.cafe_id, a.customer_id
LIMIT $4
"""
NEXT_OF_CAFE = """
SELECT cafe_id, customer_id FROM customer_loyalty
WHERE cafe_id = $1 AND ($2::uuid IS NULL OR customer_id > $2) ORDER BY customer_id LIMIT $3
"""


async def read(conn: Connection, cafe_id: UUID, customer_id: UUID) -> Account | None:
    """The account as it is, locked for nobody."""
    row = await conn.fetchrow(READ, cafe_id, customer_id)
    return _account(row) if row else None


async def lock(conn: Connection, guests: Sequence[GuestKey]) -> dict[GuestKey, Account]:
    """The accounts of `guests`, locked until the transaction ends. Who has none gets a new one, which `save` adds."""
    found = await lock_existing(conn, guests)
    return {guest: found.get(guest) or Account(*guest, 0, 0, 0, 0, 0, is_new=True) for guest in guests}


async def lock_existing(conn: Connection, guests: Sequence[GuestKey]) -> dict[GuestKey, Account]:
    """The accounts of those of `guests` that have one, locked."""
    rows = await conn.fetch(LOCK, *columns(guests, 0, 1))
    accounts = [_account(row) for row in rows]
    return {account.guest: account for account in accounts}


async def save(conn: Connection, outcomes: Sequence[Posting]) -> None:
    """Writes the accounts, which the caller has locked. Raises SerializationError when a new one was added by somebody
    else meanwhile, so the whole transaction is to be tried again."""
    changed = [outcome.after for outcome in outcomes if outcome.after != outcome.before]
    if old := [_row(account) for account in changed if not account.is_new]:
        await conn.execute(SAVE, *zip(*old, strict=True))
    if new := [_row(account) for account in changed if account.is_new]:
        try:
            await conn.execute(ADD, *zip(*new, strict=True))
        except asyncpg.UniqueViolationError as error:
            raise asyncpg.SerializationError("an account was opened meanwhile") from error


async def show(conn: Connection, cafe_id: UUID, customer_id: UUID) -> dict[str, Any] | None:
    """The account as it stands today."""
    row = await conn.fetchrow(SHOW, cafe_id, customer_id)
    return dict(row) if row else None


async def list_with_tier_over(
    conn: Connection, moment: datetime, latest: date, aside: Sequence[UUID], limit: int
) -> list[GuestKey]:
    """Guests whose tier has come to its last day in their cafe's time zone, but for those of the cafes `aside`.

    `latest` is a day that is over nowhere.
    """
    rows = await conn.fetch(TIERS_OVER, moment, latest, aside, limit)
    return sorted((row["cafe_id"], row["customer_id"]) for row in rows)


async def list_next_of_cafe(conn: Connection, cafe_id: UUID, after: UUID | None, limit: int) -> list[GuestKey]:
    """Guests of a cafe in the order of their ids, from the one after `after` on."""
    rows = await conn.fetch(NEXT_OF_CAFE, cafe_id, after, limit)
    return [(row["cafe_id"], row["customer_id"]) for row in rows]


def _account(row: asyncpg.Record) -> Account:
    cafe_id, customer_id, earned, redeemed, expired, owed, version, *rest, counts, cards, kept, kept_until = row
    counted = None if counts is None else msgspec.convert(counts, Counts)
    stamped = () if cards is None else msgspec.convert(cards, CardStates)
    standing = Standing(*[*rest[5:], counted, stamped, kept, kept_until])
    return Account(cafe_id, customer_id, earned, redeemed, expired, owed, version, Rank(*rest[:5]), standing)


def _row(account: Account) -> tuple[Any, ...]:
    rank, standing = account.rank, account.standing
    return (
        account.cafe_id, account.customer_id, account.earned, account.redeemed, account.expired, account.owed,
        account.version, rank.tier, rank.since, rank.until, rank.next_at, rank.to_next,
        standing.tier_since, standing.period_ends, standing.period_points, standing.previous_points,
        standing.program_version, standing.year_ends, standing.year_spent, standing.month_ends, standing.month_spent,
        standing.month_visits, standing.lifetime_spent, standing.total_visits, standing.first_day, standing.last_day,
        standing.last_visit_at, standing.counts, standing.cards or None, standing.kept, standing.kept_until,
    )  # fmt: skip
