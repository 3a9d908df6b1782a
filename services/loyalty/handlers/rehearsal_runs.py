"""The job that has rehearsals done, and the process in which each of them is done.

`python -m services.loyalty.handlers.rehearsal_runs CAFE REHEARSAL ATTEMPT` does one, and ends with the process that
started it. It reads one snapshot and writes nothing but the report: killed in the middle it leaves a rehearsal that
begins again.
"""

import asyncio
import contextlib
import os
import sys
import threading
from typing import Final
from uuid import UUID

from services.loyalty.handlers.rehearsal_work import Found, Wanted, rehearse
from services.loyalty.models.programs import ProgramRules
from services.loyalty.models.rehearsals import DueRehearsal, Rehearsal
from services.loyalty.rules import programs as program_rules
from services.loyalty.store import rehearsals
from shared.clock import now
from shared.crashpoints import crashpoint
from shared.database import db
from shared.database.db import Pool
from shared.jobs.by_cafe import ByCafe
from shared.process import telemetry
from shared.process.discreet import bare
from shared.process.memory import rarely_collect
from shared.process.priority import give_way
from shared.settings import settings

MOST_ATTEMPTS: Final = 3
# After so long somebody looks at it before it is tried again.
MOST_SECONDS: Final = 900
LEAST_PRIORITY: Final = 19

_rehearsing = ByCafe("loyalty", "loyalty.rehearse_rules")


class RehearsalBroke(Exception):
    """Its process has ended without a report."""


async def run(pool: Pool) -> int:
    """Has the rehearsal done that waits longest; 0 when none does."""
    async with db.transaction(pool) as conn:
        waiting = await rehearsals.due(conn, _rehearsing.aside())
    for due in waiting:
        async with _rehearsing.alone(due.cafe_id):
            await _do(pool, due)
    return len(waiting)


async def _do(pool: Pool, due: DueRehearsal) -> None:
    async with db.transaction(pool) as conn:
        if due.attempts >= MOST_ATTEMPTS:
            await rehearsals.fail(conn, due.cafe_id, due.rehearsal_id, "interrupted", now())
            return
        attempt = await rehearsals.begin(conn, due.cafe_id, due.rehearsal_id)
    # It has this process's settings, and ends when the other end of its input is gone.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, str(due.cafe_id), str(due.rehearsal_id), str(attempt),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(MOST_SECONDS):
            code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if code:
        raise RehearsalBroke


def main(words: list[str]) -> int:
    """Does one attempt; the exit code."""
    config = settings()
    telemetry.configure_logging("loyalty-rehearsal", config.log_level)
    give_way(LEAST_PRIORITY)
    rarely_collect()
    due = DueRehearsal(UUID(words[0]), UUID(words[1]), int(words[2]))
    dsn = config.dsn("loyalty")
    try:
        wanted = asyncio.run(_wanted(dsn, due))
        if wanted is not None:
            found = rehearse(dsn, wanted, os.cpu_count() or 1, forked=_end_with_parent)
            crashpoint("rehearsal.before_report")
            asyncio.run(_write(dsn, due, found))
    except Exception as error:
        telemetry.logger().error(
            "rehearsal.broke", cafe_id=str(due.cafe_id),
            error=type(error).__name__, exc_info=bare(error),
        )  # fmt: skip
        return 1
    return 0


def _end_with_parent() -> None:
    """Ends this process as soon as the one that started it is gone."""

    def watch() -> None:
        # Not through a file object, whose lock the end of the interpreter would want.
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


async def _wanted(dsn: str, due: DueRehearsal) -> Wanted | None:
    conn = await db.connect(dsn, name="rehearsal")
    try:
        found = await rehearsals.find(conn, due.cafe_id, due.rehearsal_id)
    finally:
        await conn.close()
    return None if found is None else wanted_of(due.cafe_id, found)


def wanted_of(cafe_id: UUID, rehearsal: Rehearsal) -> Wanted:
    """What a rehearsal that was asked for is to try, as of now."""
    rules, moment = ProgramRules.model_validate(rehearsal.rules), now()
    draft = program_rules.program(1, rehearsal.valid_from or moment, rules, rehearsal.menu_codes)
    return Wanted(cafe_id, draft, rules.toman_per_point, rehearsal.mode, rehearsal.valid_from, moment)


async def _write(dsn: str, due: DueRehearsal, found: Found) -> None:
    conn = await db.connect(dsn, name="rehearsal")
    try:
        async with conn.transaction():
            if not await rehearsals.finish(conn, due, found.report, found.guests, now()):
                telemetry.logger().warning("rehearsal.given_up", cafe_id=str(due.cafe_id))
    finally:
        await conn.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
