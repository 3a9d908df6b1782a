"""What people and tills see of a guest's account."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec.structs import asdict

from services.loyalty.handlers import referrals
from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.http import (
    EntryRule,
    LedgerPage,
    ShownAccount,
    ShownLedgerEntry,
    ShownProgram,
    TillAccount,
)
from services.loyalty.rules import tiers
from services.loyalty.rules.ledger import noted_rule
from services.loyalty.rules.programs import priced
from services.loyalty.store import accounts, grants, ledger, programs
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound
from shared.events.base import Tier
from shared.persian.money import Unit
from shared.security.access import unit_of


async def show(conn: Connection, cafe_id: UUID, customer_id: UUID) -> ShownAccount:
    """The account as it stands today.

    Raises NotFound when the cafe has no such guest.
    """
    row = await accounts.show(conn, cafe_id, customer_id)
    if row is None:
        raise NotFound("customer", "چنین مهمانی")
    next_tier = await _next_tier(conn, cafe_id, row["tier"])
    available = await available_points(conn, cafe_id, customer_id, row["current_points"])
    row = {**row, "next_tier": next_tier, "available_points": available}
    return ShownAccount.of(row, await unit_of(conn, cafe_id))


async def available_points(conn: Connection, cafe_id: UUID, customer_id: UUID, balance: int) -> int:
    """What of the guest's balance can be spent now."""
    return max(0, balance - await grants.waiting(conn, cafe_id, customer_id, now()))


async def look_up(conn: Connection, cafe_id: UUID, customer_id: UUID) -> TillAccount:
    """What a till shows. An unknown guest looks like one who never came: nobody learns whose numbers we know."""
    row = await accounts.show(conn, cafe_id, customer_id)
    if row is not None:
        tier, balance, to_next = row["tier"], row["current_points"], row["points_to_next_tier"]
    else:
        rank = tiers.rank((await plans_of(conn, [cafe_id]))[cafe_id], tiers.NOBODY, now())
        tier, balance, to_next = rank.tier, 0, rank.to_next
    return TillAccount(
        current_points=balance,
        available_points=await available_points(conn, cafe_id, customer_id, balance),
        tier=tier,
        next_tier=await _next_tier(conn, cafe_id, tier),
        points_to_next_tier=to_next,
        referral_code=await referrals.code_of(conn, cafe_id, customer_id),
    )


async def page(conn: Connection, cafe_id: UUID, customer_id: UUID, before: int | None, limit: int) -> LedgerPage:
    """A page of the guest's ledger, the newest rows first."""
    rows, unit = await ledger.page(conn, cafe_id, customer_id, before, limit + 1), await unit_of(conn, cafe_id)
    versions = {program.version: program for program in await programs.list_programs(conn, cafe_id)}
    entries = [ShownLedgerEntry.of({**row, "rule": _rule(row, versions, unit)}, unit) for row in rows[:limit]]
    return LedgerPage(entries=entries, next_before=entries[-1].account_version if len(rows) > limit else None)


async def list_programs(conn: Connection, cafe_id: UUID) -> list[ShownProgram]:
    """All versions of the cafe's rules, the oldest first."""
    found, unit = await programs.list_programs(conn, cafe_id), await unit_of(conn, cafe_id)
    return [ShownProgram.of({**asdict(each), **priced(each.rules)}, unit) for each in found]


def _rule(row: Mapping[str, Any], versions: Mapping[int, programs.StoredProgram], unit: Unit) -> EntryRule | None:
    noted = noted_rule(row["notes"])
    if noted is None or noted.program_version not in versions:
        return None
    return EntryRule.of({**noted._asdict(), **priced(versions[noted.program_version].rules)}, unit)


async def _next_tier(conn: Connection, cafe_id: UUID, tier: Tier) -> Tier | None:
    program = tiers.in_force((await plans_of(conn, [cafe_id]))[cafe_id], now())
    ladder = [step.tier for step in program.steps]
    return next(iter(ladder[ladder.index(tier) + 1 :]), None) if tier in ladder else None
