"""What happens by the passing of time. Each run does one step and says how much it did; a cafe that
fails is put aside."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.handlers.guests import plans_of, save
from services.loyalty.handlers.stays import histories_of
from services.loyalty.handlers.visits import find_turns, load_lots, load_vouchers
from services.loyalty.models.accounts import Account, EntryDraft, GuestKey, Lot, Plan, Posting, Redemption
from services.loyalty.rules import announcing, counting, spending
from services.loyalty.rules import ledger as ledger_rules
from services.loyalty.rules.announcing import DESCRIPTIONS
from services.loyalty.rules.counting import tally
from services.loyalty.rules.settling import NO_VOUCHERS, settle
from services.loyalty.rules.spending import NO_SPENDING
from services.loyalty.store import accounts, club, ledger, programs, redemptions
from shared.clock import now
from shared.database.db import Connection, Pool
from shared.jobs.by_cafe import ByCafe

GUESTS_AT_ONCE = 1000
# Counting anew reads a guest's whole history.
RECOUNTS_AT_ONCE = 200
_EASTERNMOST = timedelta(hours=14)

_expiring = ByCafe("loyalty", "loyalty.expire_points")
_releasing = ByCafe("loyalty", "loyalty.release_reservations")
_ending = ByCafe("loyalty", "loyalty.end_tiers")
_recounting = ByCafe("loyalty", "loyalty.recount_accounts")


async def expire_points(pool: Pool) -> int:
    """Takes the points whose time is over, of at most `GUESTS_AT_ONCE` guests; how many lots were taken."""
    moment = now()
    return await _expiring.run(
        pool,
        lambda conn, aside: ledger.list_with_lapsed_lots(conn, moment, aside, GUESTS_AT_ONCE),
        lambda conn, guests: _expire(conn, guests, moment),
    )


async def release(pool: Pool) -> int:
    """Gives back what was reserved and no bill has named in time, of at most `GUESTS_AT_ONCE` guests; how many."""
    moment = now()
    return await _releasing.run(
        pool,
        lambda conn, aside: redemptions.list_with_overdue(conn, moment, aside, GUESTS_AT_ONCE),
        lambda conn, guests: _release(conn, guests, moment),
    )


async def end_tiers(pool: Pool) -> int:
    """Lowers the tiers whose last day is over, of at most `GUESTS_AT_ONCE` guests; how many of them changed."""
    moment = now()
    latest = (moment + _EASTERNMOST).date()
    return await _ending.run(
        pool,
        lambda conn, aside: accounts.list_with_tier_over(conn, moment, latest, aside, GUESTS_AT_ONCE),
        lambda conn, guests: _end(conn, guests, moment),
    )


async def recount(pool: Pool) -> int:
    """Counts the next `RECOUNTS_AT_ONCE` guests of a cafe whose rules or calendar changed; 0 when nothing is due."""
    moment = now()
    return await _recounting.run(
        pool,
        lambda conn, aside: programs.due_recounts(conn, moment, aside),
        lambda conn, due: _recount_next(conn, due[0], moment),
        cafe_of=attrgetter("cafe_id"),
    )


async def _expire(conn: Connection, guests: Sequence[GuestKey], moment: datetime) -> int:
    locked = await accounts.lock_existing(conn, guests)
    plans = await plans_of(conn, {cafe_id for cafe_id, _ in locked})
    held = await ledger.load_lots(conn, guests, [])
    outcomes = [
        _expired(plans[guest[0]], account, list(held[guest].values()), moment) for guest, account in locked.items()
    ]
    await save(conn, outcomes)
    return sum(len(outcome.entries) for outcome in outcomes)


async def _release(conn: Connection, guests: Sequence[GuestKey], moment: datetime) -> int:
    locked = await accounts.lock_existing(conn, guests)
    plans = await plans_of(conn, {cafe_id for cafe_id, _ in locked})
    overdue: dict[GuestKey, list[Redemption]] = {guest: [] for guest in locked}
    known = await redemptions.list_of_guests(conn, list(locked))
    for each in sorted(known, key=lambda redemption: redemption.created_at):
        if each.state == "completed" and each.reserved_until and each.reserved_until <= moment:
            overdue[each.cafe_id, each.customer_id].append(each)
    drawn = [lot_id for own in overdue.values() for each in own for lot_id, _ in each.drawn]
    held = await ledger.load_lots(conn, list(locked), drawn, list(locked))
    outcomes = [
        _released(plans[guest[0]], account, held[guest], overdue[guest], moment) for guest, account in locked.items()
    ]
    await save(conn, outcomes)
    return sum(len(outcome.redemptions) for outcome in outcomes)


def _released(
    plan: Plan, account: Account, held: Mapping[UUID, Lot], overdue: Sequence[Redemption], moment: datetime
) -> Posting:
    lots, drafts, released = held, list[EntryDraft](), list[Redemption]()
    for each in overdue:
        lots, redemption, draft = spending.give_back(lots, each, moment)
        drafts.append(draft)
        released.append(redemption)
    posted, entries = ledger_rules.post(account, drafts)
    after = counting.ranked(plan, posted, account.standing, moment)
    return Posting(
        before=account,
        after=after,
        entries=entries,
        lots=counting.changed_lots(held, lots),
        redemptions=released,
        events=[
            *(announcing.points_change(after, entry, None, {}) for entry in entries),
            *(announcing.redemption_event(each, None, moment, {}) for each in released),
            *announcing.tier_change(account, after, moment, {}),
        ],
    )


async def _end(conn: Connection, guests: Sequence[GuestKey], moment: datetime) -> int:
    locked = await accounts.lock_existing(conn, guests)
    plans = await plans_of(conn, {cafe_id for cafe_id, _ in locked})
    outcomes = []
    for account in locked.values():
        after = counting.ranked(plans[account.cafe_id], account, account.standing, moment)
        events = announcing.tier_change(account, after, moment, {})
        outcomes.append(Posting(before=account, after=after, events=events))
    await save(conn, outcomes)
    return sum(outcome.after != outcome.before for outcome in outcomes)


async def _recount_next(conn: Connection, due: programs.Recount, moment: datetime) -> int:
    guests = await accounts.list_next_of_cafe(conn, due.cafe_id, due.through, RECOUNTS_AT_ONCE)
    if guests:
        await recount_guests(conn, guests, moment)
    else:
        await club.recount_ending(conn, due.cafe_id)
    await programs.go_on_recount(conn, due, guests[-1][1] if guests else None, moment)
    return 1


async def recount_guests(conn: Connection, guests: list[GuestKey], moment: datetime) -> None:
    """Counts these guests anew from all their bills, and posts what differs from the books."""
    locked = await accounts.lock_existing(conn, guests)
    plans = await plans_of(conn, {cafe_id for cafe_id, _ in guests})
    histories = await histories_of(conn, plans, guests)
    tallies = [tally(plans[guest[0]], account, histories[guest], {}) for guest, account in locked.items()]
    turns = await find_turns(conn, tallies, moment)
    held = await load_lots(conn, tallies, turns)
    known = await load_vouchers(conn, tallies)
    outcomes = [
        settle(
            each,
            held.get(each.account.guest, {}),
            turns.get(each.account.guest, NO_SPENDING),
            {},
            moment,
            known.get(each.account.guest, NO_VOUCHERS),
        )
        for each in tallies
    ]
    await save(conn, outcomes)


def _expired(plan: Plan, account: Account, held: list[Lot], moment: datetime) -> Posting:
    lapsed = [lot for lot in held if lot.remaining > 0 and lot.expires_at and lot.expires_at <= moment]
    drafts = [
        EntryDraft(
            type="expired", change=-lot.remaining, occurred_at=lot.expires_at, description=DESCRIPTIONS["expired"]
        )
        for lot in lapsed
        if lot.expires_at
    ]
    posted, entries = ledger_rules.post(account, drafts)
    after = counting.ranked(plan, posted, account.standing, moment)
    return Posting(
        before=account,
        after=after,
        entries=entries,
        lots=[replace(lot, remaining=0) for lot in lapsed],
        events=[
            *(announcing.points_change(after, entry, None, {}) for entry in entries),
            *announcing.tier_change(account, after, moment, {}),
        ],
    )
