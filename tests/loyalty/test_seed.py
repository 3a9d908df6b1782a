"""The faults of the seed schema that concern loyalty, each settled as decided."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.loyalty.handlers.redemptions import redeem
from services.loyalty.models.accounts import Redemption
from shared.database.db import Pool, transaction
from tests.loyalty import books
from tests.loyalty.examples import CAFE, GUEST, NOON, recorded
from tests.support import Databases

ACCOUNT = "SELECT * FROM loyalty_accounts WHERE customer_id = $1"


async def spend(pool: Pool, points: int) -> None:
    wanted = Redemption(
        redemption_id=uuid4(), cafe_id=CAFE, customer_id=GUEST, points=points, kind="discount", state="completed",
        created_at=NOON, till_key_id="abcdefghijkl",
    )  # fmt: skip
    async with transaction(pool) as conn:
        await redeem(conn, wanted, uuid4())


async def test_enums_stand_before_their_tables_and_hold_the_seed_s_values(pool: Pool) -> None:
    tiers = await pool.fetchval("SELECT enum_range(NULL::loyalty_tier_enum)::text")
    kinds = await pool.fetchval("SELECT enum_range(NULL::loyalty_transaction_enum)::text")
    assert tiers == "{bronze,silver,gold,platinum}"
    assert kinds == (
        "{earned_purchase,earned_bonus,earned_referral,earned_birthday,redeemed_discount,redeemed_item,"
        "adjustment_add,adjustment_subtract,expired}"
    )


async def test_no_foreign_key_leaves_the_database(pool: Pool) -> None:
    foreign = await pool.fetch(
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'f'"
        " AND conrelid::regclass::text IN ('customer_loyalty', 'loyalty_transactions')"
    )
    assert foreign == []


async def test_spending_does_not_push_the_next_tier_away(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 400_000))
    before = await pool.fetchrow(ACCOUNT, GUEST)
    await spend(pool, 300)
    after = await pool.fetchrow(ACCOUNT, GUEST)
    assert before is not None
    assert after is not None
    assert (before["current_points"], after["current_points"]) == (400, 100)
    assert before["points_to_next_tier"] == after["points_to_next_tier"] == 100


async def test_balance_below_zero_is_refused_by_the_database_unless_owed(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 10_000))
    with pytest.raises(asyncpg.CheckViolationError, match="balance_only_negative_when_owed"):
        await pool.execute("UPDATE customer_loyalty SET points_redeemed = 99399 WHERE customer_id = $1", GUEST)


async def test_bill_of_twelve_million_toman_in_rial_fits(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 120_000_000, currency_unit="IRR"))
    account = await pool.fetchrow(ACCOUNT, GUEST)
    assert account is not None
    assert (account["lifetime_spent"], account["currency_unit"]) == (Decimal(12_000_000), "IRT")
    row = await pool.fetchrow("SELECT related_amount, currency_unit FROM loyalty_transactions")
    assert row is not None
    assert (row["related_amount"], row["currency_unit"]) == (Decimal(120_000_000), "IRR")


@pytest.mark.parametrize(
    "statement", ["UPDATE loyalty_transactions SET points_change = 1", "DELETE FROM loyalty_transactions"]
)
async def test_ledger_can_only_grow(pool: Pool, statement: str) -> None:
    await books.take_in(pool, recorded(1, 10_000))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(statement)


async def test_counters_of_a_month_and_year_are_over_by_themselves(pool: Pool, database: Databases) -> None:
    await books.take_in(pool, recorded(1, 10_000, NOON - timedelta(days=800)))
    account = await pool.fetchrow(ACCOUNT, GUEST)
    assert account is not None
    assert (account["total_visits"], account["lifetime_spent"]) == (1, Decimal(10_000))
    assert (account["visits_this_month"], account["current_month_spent"], account["current_year_spent"]) == (0, 0, 0)


async def test_every_change_of_points_says_when_whose_and_why(pool: Pool) -> None:
    await books.take_in(pool, recorded(1, 10_000))
    row = await pool.fetchrow("SELECT * FROM loyalty_transactions")
    assert row is not None
    assert isinstance(row["visit_id"], UUID)
    assert (row["points_change"], row["balance_after"], row["occurred_at"]) == (10, 10, NOON)
    assert row["description"]
