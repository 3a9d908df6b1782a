"""What every use case does around its own decision: plans and accounts in, outcomes out."""

from collections.abc import Collection, Sequence
from uuid import UUID

from services.loyalty.models.accounts import Plan, Posting
from services.loyalty.rules import programs as program_rules
from services.loyalty.rules.announcing import DESCRIPTIONS
from services.loyalty.store import accounts, ledger, programs, redemptions, visits, vouchers
from shared.database.db import Connection
from shared.messaging import outbox


async def plans_of(conn: Connection, cafe_ids: Collection[UUID]) -> dict[UUID, Plan]:
    """The plan of each cafe, also of one whose own event is still on its way."""
    stored = await programs.load_plans(conn, cafe_ids)
    return {
        cafe_id: program_rules.plan(
            plan.time_zone,
            plan.calendar,
            [(each.version, each.valid_from, each.rules, each.menu_codes) for each in plan.programs],
        )
        for cafe_id, plan in stored.items()
    }


async def save(conn: Connection, outcomes: Sequence[Posting]) -> None:
    """Writes everything about guests whose accounts the caller has locked; a statement a table for any number."""
    await redemptions.save(conn, outcomes)
    await accounts.save(conn, outcomes)
    await ledger.add_purchases(conn, outcomes, DESCRIPTIONS["earned_purchase"])
    await ledger.append(conn, outcomes)
    await ledger.save_lots(conn, outcomes)
    await visits.save(conn, outcomes)
    await vouchers.save(conn, outcomes)
    await outbox.emit(conn, [event for outcome in outcomes for event in outcome.events])
