"""Every periodic job of every service does its work for one cafe while it fails in another.

A new job takes part by a `Case` here, or says in `NOT_BY_CAFE` why it touches no cafe's rows.
"""

import importlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.customer.handlers import segments
from services.customer.handlers.registration import on_contact_learned
from services.feedback.handlers import reactions as feedback_reactions
from services.loyalty.handlers.cafes import on_cafe_changed
from services.loyalty.handlers.redemptions import redeem
from services.loyalty.handlers.visits import on_visit_recorded
from services.loyalty.models.accounts import Redemption
from services.loyalty.models.programs import ProgramRules
from services.loyalty.models.rehearsals import Rehearsal
from services.loyalty.models.terms import ReferralTerm
from services.loyalty.rules.programs import default_rules
from services.loyalty.store import rehearsals
from services.loyalty.store.programs import publish
from shared.clock import new_id, now
from shared.database.db import Pool, transaction
from shared.events.identity import CafeChanged
from shared.jobs.periodic import Job
from shared.services import WITH_INBOX
from tests import support
from tests.customer.given import KEYS, learned
from tests.shared.records import visit

JOBS: dict[str, tuple[str, Job]] = {
    job.name: (service, job)
    for service in WITH_INBOX
    for job in importlib.import_module(f"services.{service}.worker").JOBS
}
# What a job keeps for itself holds nothing of a cafe's that could fail.
BOOKKEEPING = ("recounts", "segment_recalculations", "club_changes", "reached_rewards")
CANARY = "09121112233"
POISON = """
CREATE FUNCTION public.poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (coalesce(NEW, OLD)).cafe_id = '{cafe_id}' THEN
        RAISE EXCEPTION 'a row with {canary}' USING ERRCODE = '22003', DETAIL = 'in words: {canary}';
    END IF;
    RETURN coalesce(NEW, OLD);
END $$
"""
TABLES_WITH_CAFES = """
SELECT c.relname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'cafe_id'
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND c.relname <> ALL($1::text[])
"""


@dataclass(frozen=True)
class Case:
    """`arrange` makes work that is due for one cafe; `is_left` asks whether it is still there."""

    arrange: Callable[[Pool, UUID], Awaitable[None]]
    is_left: str


async def _reply(pool: Pool, cafe_id: UUID) -> None:
    await pool.execute(
        "INSERT INTO unclear_replies (cafe_id, id, customer_id, words_sealed, received_at)"
        " VALUES ($1, $2, $3, 'sealed', now() - interval '91 days')",
        cafe_id, new_id(), new_id(),
    )  # fmt: skip


async def _leave_uncounted(pool: Pool, cafe_id: UUID) -> None:
    await pool.execute(
        """
        INSERT INTO campaigns (id, cafe_id, name, campaign_type, purpose, template_content, template_variables, status,
                               created_at, updated_at, created_by, recount_at)
        VALUES (gen_random_uuid(), $1, 'old', 'sms', 'service', 'words', '{}', 'completed', now(), now(), $1, now())
        """,
        cafe_id,
    )


def _cafe(cafe_id: UUID) -> CafeChanged:
    return CafeChanged(
        cafe_id=cafe_id, occurred_at=now(), version=1, name="کافه", time_zone="Asia/Tehran", calendar="jalali",
        currency_unit="IRT",
    )  # fmt: skip


async def _earn(pool: Pool, cafe_id: UUID) -> None:
    bill = visit(cafe_id=cafe_id, occurred_at=now() - timedelta(days=1), final_amount=Decimal(900_000))
    async with transaction(pool) as conn:
        await on_cafe_changed(conn, [_cafe(cafe_id)])
        await conn.execute("DELETE FROM recounts WHERE cafe_id = $1", cafe_id)
        await on_visit_recorded(conn, [bill])


async def _lapse(pool: Pool, cafe_id: UUID) -> None:
    await _earn(pool, cafe_id)
    await pool.execute("UPDATE point_lots SET expires_at = now() - interval '1 day' WHERE cafe_id = $1", cafe_id)


async def _wait(pool: Pool, cafe_id: UUID) -> None:
    await _earn(pool, cafe_id)
    await pool.execute("UPDATE point_lots SET activates_at = now() - interval '1 day' WHERE cafe_id = $1", cafe_id)


async def _reach(pool: Pool, cafe_id: UUID) -> None:
    await _earn(pool, cafe_id)
    await pool.execute(
        """INSERT INTO reached_rewards (cafe_id, customer_id, reward_id, reward_version, cost_points, balance)
           SELECT $1, customer_id, $1, 1, 1, 2 FROM customer_loyalty WHERE cafe_id = $1""",
        cafe_id,
    )


async def _warn(pool: Pool, cafe_id: UUID) -> None:
    await _earn(pool, cafe_id)
    await pool.execute(
        """INSERT INTO programs (cafe_id, version, valid_from, rules, earning)
           SELECT cafe_id, 2, now() - interval '1 hour', rules, '{"warn": {"points_days": [14]}}' FROM programs
           WHERE cafe_id = $1""",
        cafe_id,
    )
    await pool.execute("UPDATE point_lots SET expires_at = now() + interval '5 days' WHERE cafe_id = $1", cafe_id)
    await pool.execute("INSERT INTO notice_turns VALUES ($1, now() - interval '1 hour')", cafe_id)


async def _refer(pool: Pool, cafe_id: UUID) -> None:
    await pool.execute(
        "INSERT INTO referrals (cafe_id, referee_id, referrer_id, claimed_at, ends_at, program_version, check_at)"
        " VALUES ($1, $2, $1, now() - interval '9 days', now() - interval '8 days', 1, now() - interval '1 day')",
        cafe_id, new_id(),
    )  # fmt: skip
    rules = ProgramRules(tier_period="jalali_year", referral=ReferralTerm(referrer=1, referee=1)).model_dump(
        mode="json"
    )
    async with transaction(pool) as conn:
        await publish(conn, cafe_id, 1, now() - timedelta(days=99), rules, cafe_id)


async def _give_to_many(pool: Pool, cafe_id: UUID) -> None:
    await pool.execute(
        "WITH run AS (INSERT INTO grant_runs (cafe_id, run_id, kind, guests, total_points, state, created_by,"
        " created_at, turn_at) VALUES ($1, $1, 'opening', 1, 1, 'approved', $1, now(), now()))"
        " INSERT INTO grant_run_guests VALUES ($1, $1, $1, 1)",
        cafe_id,
    )


async def _end_tier(pool: Pool, cafe_id: UUID) -> None:
    await _earn(pool, cafe_id)
    await pool.execute("UPDATE customer_loyalty SET tier_expires_date = current_date - 3 WHERE cafe_id = $1", cafe_id)


async def _ask_recount(pool: Pool, cafe_id: UUID) -> None:
    await _earn(pool, cafe_id)
    await pool.execute("UPDATE visit_earnings SET points = points + 1 WHERE cafe_id = $1", cafe_id)
    await pool.execute("INSERT INTO recounts (cafe_id, due_at) VALUES ($1, now() - interval '1 day')", cafe_id)


async def _ask_rehearsal(pool: Pool, cafe_id: UUID) -> None:
    await _earn(pool, cafe_id)
    rules = default_rules("jalali").model_dump(mode="json")
    wanted = Rehearsal(
        rehearsal_id=new_id(), rules=rules, menu_codes=None, mode="always", valid_from=None, asked_by=new_id(),
        asked_at=now(),
    )  # fmt: skip
    async with transaction(pool) as conn:
        assert await rehearsals.ask(conn, cafe_id, wanted, 1)


async def _register(pool: Pool, cafe_id: UUID) -> None:
    async with transaction(pool) as conn:
        await segments.on_cafe_changed(conn, [_cafe(cafe_id)])
        await on_contact_learned(conn, [learned(cafe_id=cafe_id)], keys=KEYS)


async def _come_due(pool: Pool, cafe_id: UUID) -> None:
    await _register(pool, cafe_id)
    await pool.execute(
        "UPDATE customer_activity SET next_check_at = now() - interval '1 day' WHERE cafe_id = $1", cafe_id
    )


async def _make_stale(pool: Pool, cafe_id: UUID) -> None:
    await _register(pool, cafe_id)
    async with transaction(pool) as conn:
        await conn.execute("DELETE FROM segment_members WHERE cafe_id = $1", cafe_id)
        await conn.execute("UPDATE customer_activity SET segment_mask = NULL WHERE cafe_id = $1", cafe_id)


async def _look(pool: Pool, cafe_id: UUID) -> None:
    await pool.execute(
        "INSERT INTO guest_views SELECT $1, $2, $1, $1, 'opened', moment, moment"
        " FROM (SELECT now() - interval '401 days' AS moment) AS long_ago",
        cafe_id, new_id(),
    )  # fmt: skip


async def _open(pool: Pool, cafe_id: UUID) -> None:
    async with transaction(pool) as conn:
        await segments.on_cafe_changed(conn, [_cafe(cafe_id)])


async def _send_feedback(pool: Pool, cafe_id: UUID) -> None:
    await pool.execute(
        """
        INSERT INTO customer_feedback (id, cafe_id, feedback_source, overall_rating, created_at, updated_at, ip_address)
        VALUES (gen_random_uuid(), $1, 'manual', 5, now() - interval '10 years', now(), '127.0.0.1')
        """,
        cafe_id,
    )


async def _link(pool: Pool, cafe_id: UUID) -> None:
    async with transaction(pool) as conn:
        await feedback_reactions.on_visit_recorded(conn, [visit(cafe_id=cafe_id)], keys=KEYS)
        await conn.execute("UPDATE feedback_links SET expires_at = now() - interval '10 years'")


async def _reserve(pool: Pool, cafe_id: UUID) -> None:
    await _lapse(pool, cafe_id)
    await pool.execute("UPDATE point_lots SET expires_at = NULL WHERE cafe_id = $1", cafe_id)
    guest = await pool.fetchval("SELECT customer_id FROM customer_loyalty WHERE cafe_id = $1", cafe_id)
    moment = now()
    reserved = Redemption(
        redemption_id=new_id(), cafe_id=cafe_id, customer_id=guest, kind="discount", points=1, state="completed",
        till_key_id="till-key", created_at=moment, reserved_until=moment - timedelta(minutes=1),
    )  # fmt: skip
    async with transaction(pool) as conn:
        await redeem(conn, reserved, new_id())


async def _note_day(pool: Pool, cafe_id: UUID) -> None:
    await pool.execute(
        """
        INSERT INTO customer_visits (id, cafe_id, visit_date, device_id, receipt_number, total_amount, currency_unit)
        SELECT gen_random_uuid(), $1, now() - interval '2 days', 'till-1', '1', 1000, 'IRT'
        """,
        cafe_id,
    )
    await pool.execute("INSERT INTO days_to_count (cafe_id, due_at) VALUES ($1, now())", cafe_id)


async def _visit_in_clear(pool: Pool, cafe_id: UUID) -> None:
    await pool.execute(
        """
        INSERT INTO customer_visits (id, cafe_id, customer_id, visit_date, visit_number, device_id, receipt_number,
                                     currency_unit, visit_notes)
        VALUES (gen_random_uuid(), $1, $1, now() - interval '1 day', 1, 'till-1', '1', 'IRT', 'words')
        """,
        cafe_id,
    )


async def _count_day(pool: Pool, cafe_id: UUID) -> None:
    await pool.execute("INSERT INTO segment_days VALUES ($1, current_date - 500, $1, 1, 0, 1)", cafe_id)


async def _erase_late(pool: Pool, cafe_id: UUID) -> None:
    await _visit_in_clear(pool, cafe_id)
    await pool.execute("INSERT INTO erased_guests VALUES ($1, $1, now() - interval '1 hour')", cafe_id)


CASES = {
    "visit.count_days": Case(_note_day, "SELECT FROM days_to_count WHERE cafe_id = $1"),
    "visit.seal_words": Case(
        _visit_in_clear, "SELECT FROM customer_visits WHERE visit_notes IS NOT NULL AND cafe_id = $1"
    ),
    "visit.forget_guests": Case(_erase_late, "SELECT FROM erased_guests WHERE checked_at IS NULL AND cafe_id = $1"),
    "loyalty.expire_points": Case(_lapse, "SELECT FROM point_lots WHERE remaining > 0 AND cafe_id = $1"),
    "loyalty.release_reservations": Case(
        _reserve, "SELECT FROM redemptions WHERE reserved_until IS NOT NULL AND cafe_id = $1"
    ),
    "loyalty.end_tiers": Case(
        _end_tier, "SELECT FROM customer_loyalty WHERE tier_expires_date < current_date AND cafe_id = $1"
    ),
    "loyalty.activate_points": Case(_wait, "SELECT FROM point_lots WHERE activates_at IS NOT NULL AND cafe_id = $1"),
    "loyalty.tell_in_time": Case(_warn, "SELECT FROM notice_turns WHERE due_at <= now() AND cafe_id = $1"),
    "loyalty.judge_referrals": Case(_refer, "SELECT FROM referrals WHERE check_at IS NOT NULL AND cafe_id = $1"),
    "loyalty.tell_rewards": Case(_reach, "SELECT FROM reached_rewards WHERE cafe_id = $1"),
    "loyalty.give_to_many": Case(_give_to_many, "SELECT FROM grant_runs WHERE state = 'approved' AND cafe_id = $1"),
    "loyalty.count_club": Case(_earn, "SELECT FROM club_changes WHERE cafe_id = $1"),
    "loyalty.rehearse_rules": Case(_ask_rehearsal, "SELECT FROM rehearsals WHERE state <> 'done' AND cafe_id = $1"),
    "loyalty.recount_accounts": Case(_ask_recount, "SELECT FROM recounts WHERE cafe_id = $1"),
    "customer.reevaluate_guests": Case(
        _come_due, "SELECT FROM customer_activity WHERE next_check_at <= now() AND cafe_id = $1"
    ),
    "customer.recalculate_segments": Case(_make_stale, "SELECT FROM segment_recalculations WHERE cafe_id = $1"),
    "customer.announce_segments": Case(_open, "SELECT FROM customer_segments WHERE NOT is_told AND cafe_id = $1"),
    "customer.prune_views": Case(_look, "SELECT FROM guest_views WHERE cafe_id = $1"),
    "customer.prune_segment_days": Case(_count_day, "SELECT FROM segment_days WHERE cafe_id = $1"),
    "customer.tell_birthdays": Case(_open, "SELECT FROM birthday_turns WHERE due_at <= now() AND cafe_id = $1"),
    "customer.list_guests": Case(_register, "SELECT FROM guests_to_list WHERE cafe_id = $1"),
    "feedback.trim_senders": Case(
        _send_feedback, "SELECT FROM customer_feedback WHERE ip_address IS NOT NULL AND cafe_id = $1"
    ),
    "campaign.count_results": Case(
        _leave_uncounted, "SELECT FROM campaigns WHERE recount_at IS NOT NULL AND cafe_id = $1"
    ),
    "campaign.forget_replies": Case(_reply, "SELECT FROM unclear_replies WHERE cafe_id = $1"),
    "feedback.prune_links": Case(_link, "SELECT FROM feedback_links WHERE cafe_id = $1"),
}
NOT_BY_CAFE = {
    "identity.tidy_sessions": "deletes attempts to sign in and keys of the installation",
    "visit.make_partitions": "makes tables, by months",
}
# Their tests poison what only these services have.
SHOWN_ELSEWHERE = {
    "campaign.start_campaigns": "tests/campaign/test_poison.py",
    "campaign.send_due": "tests/campaign/test_poison.py",
    "campaign.settle_unknown": "tests/campaign/test_poison.py",
    "campaign.poll_receipts": "tests/campaign/test_poison.py",
}


def test_every_job_takes_part() -> None:
    assert JOBS.keys() == CASES.keys() | NOT_BY_CAFE.keys() | SHOWN_ELSEWHERE.keys()


@pytest.mark.parametrize("name", CASES)
async def test_job_works_for_one_cafe_while_it_fails_in_another(
    database: support.Databases, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    service, job = JOBS[name]
    pool, case, bad, good = await database(service), CASES[name], uuid4(), uuid4()
    for cafe_id in (bad, good):
        await case.arrange(pool, cafe_id)
        assert await pool.fetch(case.is_left, cafe_id)
    await _poison(await database.owner_dsn(service), bad)
    with capture_logs() as lines, caplog.at_level(logging.DEBUG):
        for _ in range(20):
            if not await job.run(pool):
                break
        else:
            pytest.fail("the job never came to an end")
    assert not await pool.fetch(case.is_left, good)
    assert await pool.fetch(case.is_left, bad)
    assert [line["cafe_id"] for line in lines if line["event"] == "job.cafe_put_aside"] == [str(bad)]
    assert CANARY not in repr(lines) + caplog.text


async def _poison(owner_dsn: str, cafe_id: UUID) -> None:
    """From now on nothing of that cafe can be written."""
    owner = await asyncpg.connect(owner_dsn)
    try:
        await owner.execute(POISON.format(cafe_id=cafe_id, canary=CANARY))
        for row in await owner.fetch(TABLES_WITH_CAFES, BOOKKEEPING):
            await owner.execute(
                f"CREATE TRIGGER poison BEFORE INSERT OR UPDATE OR DELETE ON {row['relname']}"
                " FOR EACH ROW EXECUTE FUNCTION public.poison()"
            )
    finally:
        await owner.close()
