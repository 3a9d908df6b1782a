"""What happens by the passing of time. Each run does one step in one transaction and says how much it did."""

from datetime import datetime, timedelta

from msgspec.structs import replace

from services.loyalty.handlers import guests as common
from services.loyalty.handlers.guests import DESCRIPTIONS
from services.loyalty.handlers.settling import NO_SPENDING, settle, tally
from services.loyalty.handlers.visits import load_lots
from services.loyalty.models.accounts import Account, Draft, Guest, Lot, Outcome, Plan
from services.loyalty.rules import ledger as ledger_rules
from services.loyalty.store import accounts, ledger, programs, visits
from shared.clock import now
from shared.db import Connection, Pool, transaction

GUESTS_AT_ONCE = 1000
# Counting anew reads a guest's whole history.
RECOUNTS_AT_ONCE = 200
_EASTERNMOST = timedelta(hours=14)


async def expire_points(pool: Pool) -> int:
    """Takes the points whose time is over."""
    async with transaction(pool) as conn:
        return await expire_points_once(conn, now())


async def end_tiers(pool: Pool) -> int:
    """Lowers the tiers whose last day is over."""
    async with transaction(pool) as conn:
        return await end_tiers_once(conn, now())


async def recount(pool: Pool) -> int:
    """Counts the next guests of a cafe whose rules or calendar changed."""
    async with transaction(pool) as conn:
        return await recount_once(conn, now())


async def expire_points_once(conn: Connection, moment: datetime) -> int:
    """At most `GUESTS_AT_ONCE` guests; how many of them lost points."""
    guests = await ledger.list_with_lapsed_lots(conn, moment, GUESTS_AT_ONCE)
    if not guests:
        return 0
    locked = await accounts.lock_existing(conn, guests)
    plans = await common.plans_of(conn, {cafe_id for cafe_id, _ in locked})
    held = await ledger.load_lots(conn, guests, [])
    outcomes = [
        _expired(plans[guest[0]], account, list(held[guest].values()), moment) for guest, account in locked.items()
    ]
    await common.save(conn, outcomes)
    return sum(len(outcome.entries) for outcome in outcomes)


async def end_tiers_once(conn: Connection, moment: datetime) -> int:
    """At most `GUESTS_AT_ONCE` guests; how many of them changed."""
    guests = await accounts.list_with_tier_over(conn, moment, (moment + _EASTERNMOST).date(), GUESTS_AT_ONCE)
    if not guests:
        return 0
    locked = await accounts.lock_existing(conn, guests)
    plans = await common.plans_of(conn, {cafe_id for cafe_id, _ in locked})
    outcomes = []
    for account in locked.values():
        after = common.ranked(plans[account.cafe_id], account, account.standing, moment)
        events = common.tier_change(account, after, moment, {})
        outcomes.append(Outcome(before=account, after=after, events=events))
    await common.save(conn, outcomes)
    return sum(outcome.after != outcome.before for outcome in outcomes)


async def recount_once(conn: Connection, moment: datetime) -> int:
    """The next `RECOUNTS_AT_ONCE` guests of one cafe; 0 when nothing is due."""
    due = await programs.due_recount(conn, moment)
    if due is None:
        return 0
    guests = await accounts.list_next_of_cafe(conn, due.cafe_id, due.through, RECOUNTS_AT_ONCE)
    if guests:
        await _recount(conn, guests, moment)
    await programs.go_on_recount(conn, due, guests[-1][1] if guests else None)
    return 1


async def _recount(conn: Connection, guests: list[Guest], moment: datetime) -> None:
    locked = await accounts.lock_existing(conn, guests)
    plans = await common.plans_of(conn, {cafe_id for cafe_id, _ in guests})
    histories = await visits.load_histories(conn, guests)
    tallies = [tally(plans[guest[0]], account, histories[guest], {}) for guest, account in locked.items()]
    held = await load_lots(conn, tallies, {})
    outcomes = [settle(each, held.get(each.account.guest, {}), NO_SPENDING, {}, moment) for each in tallies]
    await common.save(conn, outcomes)


def _expired(plan: Plan, account: Account, held: list[Lot], moment: datetime) -> Outcome:
    lapsed = [lot for lot in held if lot.remaining > 0 and lot.expires_at and lot.expires_at <= moment]
    drafts = [
        Draft(type="expired", change=-lot.remaining, occurred_at=lot.expires_at, description=DESCRIPTIONS["expired"])
        for lot in lapsed
        if lot.expires_at
    ]
    posted, entries = ledger_rules.post(account, drafts)
    after = common.ranked(plan, posted, account.standing, moment)
    return Outcome(
        before=account,
        after=after,
        entries=entries,
        lots=[replace(lot, remaining=0) for lot in lapsed],
        events=[
            *(common.points_change(after, entry, None, {}) for entry in entries),
            *common.tier_change(account, after, moment, {}),
        ],
    )
