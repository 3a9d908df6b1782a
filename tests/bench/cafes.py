"""Cafes: what the services' jobs and the figures of a cafe take among few cafes and among a hundred times as many."""

import contextlib
import importlib
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any, Final
from uuid import UUID

from deploy.crm.migrate import migrate
from services.visit.store import statistics
from shared.clock import new_id, now
from shared.database import db
from shared.events.identity import AccessGranted, CafeChanged
from shared.jobs.periodic import Job
from shared.messaging import parked
from shared.messaging.inbox import PRUNING
from shared.messaging.worker import HOUSEKEEPING_SECONDS
from shared.security import access
from shared.services import WITH_DATABASE
from shared.settings import Settings
from tests.bench.figure import Bench, Figure, Part
from tests.bench.history import History, Size, admin_of, drop_databases, fill_all
from tests.chaos.house import House, reactions_of

PART_NAME: Final = "cafes"
MOST: Final = 1.2
EVENTS_AT_ONCE: Final = 1000
GUESTS_OF_A_CAFE: Final = 2
VISITS_OF_A_GUEST: Final = 2
READERS: Final = 50

# What is due in the same number in every size, before each run with work; $1 says how many.
WORK: Final[Mapping[str, str]] = {
    "visit.count_days": """
        INSERT INTO days_to_count (cafe_id, stat_date, due_at)
        SELECT cafe_id, (now() AT TIME ZONE 'Asia/Tehran')::date - 1, now() FROM cafes LIMIT $1""",
    "loyalty.expire_points": """
        UPDATE point_lots SET expires_at = now() - interval '1 day' WHERE (cafe_id, customer_id, lot_id) IN (
            SELECT cafe_id, customer_id, lot_id FROM point_lots WHERE remaining > 0 AND expires_at IS NULL LIMIT $1)""",
    "loyalty.release_reservations": """
        WITH chosen AS (SELECT cafe_id, customer_id FROM customer_loyalty LIMIT $1), spent AS (
            UPDATE customer_loyalty AS a SET points_earned = points_earned + 1, points_redeemed = points_redeemed + 1
            FROM chosen AS c WHERE a.cafe_id = c.cafe_id AND a.customer_id = c.customer_id)
        INSERT INTO redemptions (cafe_id, id, customer_id, kind, points, state, till_key_id, created_at, reserved_until)
        SELECT cafe_id, gen_random_uuid(), customer_id, 'discount', 1, 'completed', 'till', now(), now() FROM chosen""",
    "loyalty.end_tiers": """
        UPDATE customer_loyalty SET tier_expires_date = current_date - 3 WHERE (cafe_id, customer_id) IN (
            SELECT cafe_id, customer_id FROM customer_loyalty LIMIT $1)""",
    "loyalty.tell_in_time": """
        INSERT INTO notice_turns (cafe_id, due_at)
        SELECT cafe_id, now() - interval '1 day' FROM cafes LIMIT $1 / 20 + 1 ON CONFLICT DO NOTHING""",
    "loyalty.tell_rewards": """
        INSERT INTO reached_rewards (cafe_id, customer_id, reward_id, reward_version, cost_points, balance)
        SELECT cafe_id, customer_id, cafe_id, 1, 1, 2 FROM customer_loyalty LIMIT $1""",
    "loyalty.recount_accounts": """
        INSERT INTO recounts (cafe_id, due_at) SELECT cafe_id, now() - interval '1 day' FROM cafes LIMIT $1 / 20 + 1""",
    "customer.reevaluate_guests": """
        UPDATE customer_activity SET next_check_at = now() - interval '1 minute' WHERE (cafe_id, customer_id) IN (
            SELECT cafe_id, customer_id FROM customer_activity LIMIT $1)""",
    "customer.recalculate_segments": """
        INSERT INTO segment_recalculations (cafe_id, requested_at)
        SELECT cafe_id, now() FROM cafes LIMIT $1 / 20 + 1""",
    # Too old to be sent: decided about, and no provider is asked.
    "campaign.send_due": """
        UPDATE journey_runs SET state = 'waiting', due_at = now()
        WHERE (cafe_id, journey_id, trigger_id, customer_id) IN (
            SELECT cafe_id, journey_id, trigger_id, customer_id FROM journey_runs
            WHERE state = 'queued' AND occurred_at < now() - interval '30 days' LIMIT $1)""",
    "feedback.trim_senders": """
        INSERT INTO customer_feedback (id, cafe_id, feedback_source, overall_rating, created_at, updated_at, ip_address)
        SELECT gen_random_uuid(), cafe_id, 'manual', 5, now() - interval '10 years', now(), '127.0.0.1'
        FROM cafes LIMIT $1""",
    "feedback.prune_links": """
        INSERT INTO feedback_links (cafe_id, visit_id, id, customer_id, token_sha256, correlation_id, created_at,
                                    expires_at)
        SELECT cafe_id, new, new, new, sha256(uuid_send(new)), new, now() - interval '10 years',
               now() - interval '10 years'
        FROM (SELECT cafe_id, gen_random_uuid() AS new FROM cafes LIMIT $1) AS c""",
}
# Three bills today and yesterday in each cafe, which the templates of a year don't give.
THESE_DAYS: Final = """
INSERT INTO customer_visits (id, cafe_id, visit_date, device_id, receipt_number, total_amount, currency_unit)
SELECT gen_random_uuid(), c.cafe_id, now() - n % 2 * interval '1 day' - n * interval '1 second', 'till', n::text, 90000,
       'IRT'
FROM cafes c CROSS JOIN generate_series(1, 6) AS n
"""
# The templates give all guests one sealed number, which opens for nobody.
WITHOUT_NUMBERS: Final = "UPDATE contacts SET phone_sealed = NULL, phone_hash = NULL, name_sealed = NULL"
# What the job would make of them, a week back; and the notes of today, one for each cafe.
FIGURES: Final = """
INSERT INTO daily_stats
SELECT c.cafe_id, (now() AT TIME ZONE c.time_zone)::date - back, NULL, 3, 3, 270000, 90000, NULL, now()
FROM cafes c CROSS JOIN generate_series(1, 7) AS back
"""
NOTES: Final = """
INSERT INTO days_to_count (cafe_id, stat_date, due_at)
SELECT cafe_id, d.today, (d.today + 1)::timestamp AT TIME ZONE time_zone
FROM cafes CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE time_zone)::date AS today) d
"""


@dataclass(frozen=True)
class Sizes:
    """How many cafes there are in the small and in the large installation, how often everything is run, and how much is
    due in the runs with work."""

    small: int
    large: int
    runs: int
    due: int


FULL: Final = Sizes(500, 50_000, runs=9, due=150)
QUICK: Final = Sizes(100, 5_000, runs=5, due=50)


@dataclass(frozen=True)
class Installation:
    """All databases of one size. `owners` are the people who may read the figures of `cafes`, in order."""

    config: Settings
    pools: Mapping[str, db.Pool]
    cafes: Sequence[UUID]
    owners: Sequence[UUID]


async def measure(bench: Bench) -> list[Figure]:
    """Jobs and figures at both sizes."""
    config = Settings().model_copy(update={"postgres_url": bench.postgres.url, "database_prefix": "bench_cafes_"})
    return await compare(bench, config, QUICK if bench.quick else FULL)


async def compare(bench: Bench, config: Settings, sizes: Sizes) -> list[Figure]:
    """Runs every job of every service in both installations in turn, idle and with the same work due."""
    async with contextlib.AsyncExitStack() as stack:
        both = []
        for name, count in (("few", sizes.small), ("many", sizes.large)):
            own = config.model_copy(update={"database_prefix": f"{config.database_prefix}{name}_"})
            started = time.monotonic()
            both.append(await stack.enter_async_context(_installation(own, count)))
            bench.say(
                f"{count:,} cafes and {count * GUESTS_OF_A_CAFE:,} guests loaded in {time.monotonic() - started:.0f} s"
            )
        await bench.use_log_files_again()
        figures, idle, busy = [], [0.0, 0.0], [0.0, 0.0]
        for service in WITH_DATABASE:
            for job in [*jobs_of(service), PRUNING, Job("housekeeping", HOUSEKEEPING_SECONDS, _housekeep)]:
                seconds = await _in_turn(both, service, job, sizes)
                figures += _of_job(sizes, service, job, seconds)
                bench.say(
                    "; ".join(f"{each.name}: {each.value:.1f} ms ({each.note})" for each in figures[-len(seconds) :])
                )
                for which in (0, 1):
                    idle[which] += median(seconds["idle"][which])
                    busy[which] += median(seconds.get("with work", seconds["idle"])[which])
        for kind, (few, many) in (("idle", idle), ("with the same work", busy)):
            note = f"{sizes.large:,} cafes against {sizes.small:,}: {few * 1000:.0f} and {many * 1000:.0f} ms in sum"
            figures.append(Figure(PART_NAME, f"all jobs, {kind}", [many / few], "x", ("at most", MOST), note))
        return [*figures, *await _reading(sizes, both)]


def jobs_of(service: str) -> Sequence[Job]:
    """The periodic jobs of the service's worker."""
    jobs: Sequence[Job] = importlib.import_module(f"services.{service}.worker").JOBS
    return jobs


async def _housekeep(pool: db.Pool) -> int:
    async with pool.acquire() as conn:
        await parked.count_waiting(conn)
    return 0


async def _in_turn(both: Sequence[Installation], service: str, job: Job, sizes: Sizes) -> dict[str, list[list[float]]]:
    """Seconds of each run in each installation: with nothing due, and with work where there is some to be had."""
    found: dict[str, list[list[float]]] = {}
    for kind in ("idle", "with work") if job.name in WORK else ("idle",):
        found[kind] = [[], []]
        # The first run finds cold pages and plans.
        for run in range(sizes.runs + 1):
            for which in (0, 1) if run % 2 else (1, 0):
                each = both[which]
                await _until_done(each.pools[service], job)
                if kind == "with work":
                    await _make_due(each, service, job, sizes.due)
                seconds = await _until_done(each.pools[service], job)
                if run:
                    found[kind][which].append(seconds)
    return found


async def _make_due(each: Installation, service: str, job: Job, due: int) -> None:
    made = await each.pools[service].execute(WORK[job.name], due)
    assert int(made.split()[-1]) > 0, f"nothing became due for {job.name}"


async def _until_done(pool: db.Pool, job: Job) -> float:
    started = time.perf_counter()
    while await job.run(pool):
        pass
    return time.perf_counter() - started


def _of_job(sizes: Sizes, service: str, job: Job, seconds: Mapping[str, Sequence[Sequence[float]]]) -> list[Figure]:
    name = job.name.removeprefix(f"{service}.")
    period = job.every_seconds
    figures = []
    for kind, (few, many) in seconds.items():
        note = f"{median(few) * 1000:.1f} ms among {sizes.small:,}; due every {period:g} s"
        milliseconds = [each * 1000 for each in many]
        goal = ("at most", period * 1000)
        figures.append(Figure(PART_NAME, f"{service}, {name}, {kind}", milliseconds, "ms", goal, note))  # type: ignore[arg-type]
    return figures


async def _reading(sizes: Sizes, both: Sequence[Installation]) -> list[Figure]:
    """One cafe's days, today's among them, and its month, as its owner reads them."""
    seconds: list[list[list[float]]] = [[[], []], [[], []]]
    # Once for plans and pages, then timed.
    for timed in (False, True):
        dice = random.Random(3)
        for reader in range(READERS):
            for which in (0, 1) if reader % 2 else (1, 0):
                each = both[which]
                place = dice.randrange(len(each.cafes))
                taken = await _read_figures(each, each.cafes[place], each.owners[place])
                for kind in (0, 1) if timed else ():
                    seconds[kind][which].append(taken[kind])
    figures = []
    for kind, name in enumerate(("days", "month")):
        few, many = seconds[kind]
        note = f"{median(few) * 1000:.1f} ms among {sizes.small:,}"
        figures.append(
            Figure(PART_NAME, f"reading one cafe's {name}", [each * 1000 for each in many], "ms", None, note)
        )
        ratio = [median(many) / median(few)]
        figures.append(Figure(PART_NAME, f"reading one cafe's {name}, growth", ratio, "x", ("at most", MOST)))
    return figures


async def _read_figures(each: Installation, cafe_id: UUID, owner: UUID) -> tuple[float, float]:
    moment = now()
    days = moment.date() - timedelta(days=90), moment.date() + timedelta(days=1)
    async with db.staff_transaction(each.pools["visit"], owner) as conn:
        started = time.perf_counter()
        rows = await statistics.daily(conn, cafe_id, None, days, moment)
        read = time.perf_counter()
        assert len(rows) > 1, "a cafe without figures"
        await statistics.monthly(conn, cafe_id, None, moment.date())
        return read - started, time.perf_counter() - read


@contextlib.asynccontextmanager
async def _installation(config: Settings, count: int) -> AsyncIterator[Installation]:
    """So many cafes in all databases, with some guests, their visits of a year and what the services keep of them."""
    try:
        async with contextlib.AsyncExitStack() as stack:
            await migrate(config)
            pools = {}
            for service in WITH_DATABASE:
                pools[service] = await db.open_pool(config.dsn(service), max_size=8, name=f"bench of {service}")
                stack.push_async_callback(pools[service].close)
            cafes, owners = [new_id() for _ in range(count)], [new_id() for _ in range(count)]
            for service in WITH_DATABASE:
                await _make_known(pools[service], service, cafes, owners)
            house = House(config, pools, {}, random.Random(5))
            guests = count * GUESTS_OF_A_CAFE
            history = History(house, Size(guests, guests * VISITS_OF_A_GUEST), now(), cafes, [])
            await fill_all(history, lambda _: None)
            await _load(config, "visit", "DELETE FROM days_to_count", THESE_DAYS, FIGURES, NOTES)
            await _load(config, "campaign", WITHOUT_NUMBERS)
            for service in WITH_DATABASE:
                await _settle(config, pools[service], service)
            yield Installation(config, pools, cafes, owners)
    finally:
        await drop_databases(config)


async def _make_known(pool: db.Pool, service: str, cafes: Sequence[UUID], owners: Sequence[UUID]) -> None:
    reactions: Mapping[Any, Any] = reactions_of(service).events or access.REACTIONS
    moment = now()
    for start in range(0, len(cafes), EVENTS_AT_ONCE):
        part = range(start, min(start + EVENTS_AT_ONCE, len(cafes)))
        known = [
            CafeChanged(
                cafe_id=cafes[n], occurred_at=moment, version=1, name=f"کافهٔ {n}", time_zone="Asia/Tehran",
                calendar="jalali", currency_unit="IRT",
            )
            for n in part
        ]  # fmt: skip
        granted = [
            AccessGranted(cafe_id=cafes[n], occurred_at=moment, version=1, user_id=owners[n], role="owner")
            for n in part
        ]
        async with db.transaction(pool) as conn:
            await reactions[CafeChanged](conn, known)
            await reactions[AccessGranted](conn, granted)


async def _load(config: Settings, service: str, *statements: str) -> None:
    conn = await admin_of(config, service)
    try:
        for statement in statements:
            await conn.execute(statement)
    finally:
        await conn.close()


async def _settle(config: Settings, pool: db.Pool, service: str) -> None:
    """Lets the jobs do what the loading has made due, so that idle is idle."""
    asked = {"loyalty": "recounts", "customer": "segment_recalculations"}
    await _load(config, service, *(f"DELETE FROM {table}" for each, table in asked.items() if each == service))
    await _load(config, service, "VACUUM (ANALYZE)")
    for job in jobs_of(service):
        await _until_done(pool, job)
    await _load(config, service, "VACUUM (ANALYZE)")


PART = Part(PART_NAME, measure, in_quick=True)
