"""Rehearsals that tests ask for."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.loyalty.handlers.rehearsal_work import Found, Wanted, rehearse_here
from services.loyalty.models.programs import ProgramRules
from services.loyalty.models.rehearsals import GuestOutcome, RehearsalMode
from services.loyalty.rules import programs as program_rules
from services.loyalty.rules.rehearsal_sums import unpacked
from shared.database import db
from tests.loyalty import schemes
from tests.loyalty.examples import (
    CAFE,
)

DAY = timedelta(days=1)
DEFAULT = program_rules.default_rules("jalali")


def wanted(
    rules: ProgramRules, moment: datetime, mode: RehearsalMode = "always", since: datetime | None = None
) -> Wanted:
    draft = program_rules.program(1, moment, rules, schemes.codes_of(rules))
    return Wanted(CAFE, draft, rules.toman_per_point, mode, since, moment)


async def found(pool: db.Pool, asked: Wanted) -> Found:
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        return await rehearse_here(conn, asked)


def outcomes(made: Found) -> dict[UUID, GuestOutcome]:
    return {each.customer_id: each for part in made.guests for each in unpacked(part)}


def rules_of(**changes: Any) -> ProgramRules:
    return ProgramRules.model_validate({"tier_period": "jalali_year"} | changes)
