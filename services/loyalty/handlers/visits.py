"""Visits into points.

Most visits of a batch come after all that is known of their guests: they are folded on from the account's standing.
A guest with a late, corrected or voided visit is counted anew from all visits, and what differs from the books is
posted as new rows. Both ways go through `settling`, so the end state is the same whatever arrived when.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from services.loyalty.handlers.guests import plans_of, save
from services.loyalty.handlers.stays import histories_of, place
from services.loyalty.models.accounts import Account, Counted, GuestKey, Lot, Plan, Redemption, VisitState
from services.loyalty.models.cards import Voucher
from services.loyalty.rules import cards
from services.loyalty.rules.counting import News, Tally, is_late, news_of, tally
from services.loyalty.rules.settling import NO_VOUCHERS, settle
from services.loyalty.rules.spending import NO_SPENDING, Spending, SpendingTurn, lots_needed, turns_of
from services.loyalty.store import accounts, ledger, redemptions, visits, vouchers
from services.loyalty.store import referrals as referral_store
from shared.clock import now
from shared.database.db import Connection
from shared.events.visit import VisitCorrected, VisitEvent, VisitRecorded, VisitVoided

CountedVisits = Mapping[GuestKey, Mapping[UUID, Counted]]


async def on_visit_recorded(conn: Connection, events: Sequence[VisitRecorded]) -> None:
    """Points for visits; points that a visit spends are redeemed, unless that already happened."""
    await _take_in(conn, events, "recorded")


async def on_visit_corrected(conn: Connection, events: Sequence[VisitCorrected]) -> None:
    """Points as if the visits had been so from the beginning."""
    await _take_in(conn, events, "corrected")
    await referral_store.look_again(conn, [(event.cafe_id, event.visit_id) for event in events], now())


async def on_visit_voided(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Points as if the visits had never been; what they redeemed goes back."""
    await _take_in(conn, events, "voided")
    await referral_store.look_again(conn, [(event.cafe_id, event.visit_id) for event in events], now())


async def _take_in(conn: Connection, events: Sequence[VisitEvent], state: VisitState) -> None:
    by_guest: dict[GuestKey, list[VisitEvent]] = {}
    for event in events:
        if event.customer_id is not None:
            by_guest.setdefault((event.cafe_id, event.customer_id), []).append(event)
    if not by_guest:
        return
    guests = list(by_guest)
    plans = await plans_of(conn, {cafe_id for cafe_id, _ in guests})
    locked = await accounts.lock(conn, guests)
    known = await visits.find(conn, [(*guest, event.visit_id) for guest in guests for event in by_guest[guest]])
    news = {guest: news_of(by_guest[guest], state, known.get(guest, {})) for guest in guests}
    news = await place(conn, plans, news)
    tallies = await _count(conn, plans, locked, known, news)
    moment = now()
    turns = await find_turns(conn, tallies.values(), moment)
    held = await load_lots(conn, tallies.values(), turns)
    known_vouchers = await load_vouchers(conn, tallies.values())
    outcomes = [
        settle(
            counted,
            held.get(guest, {}),
            turns.get(guest, NO_SPENDING),
            {visit_id: cause for visit_id, (_, cause) in news[guest].items()},
            moment,
            known_vouchers.get(guest, NO_VOUCHERS),
        )
        for guest, counted in tallies.items()
    ]
    await save(conn, outcomes)


async def _count(
    conn: Connection,
    plans: Mapping[UUID, Plan],
    locked: Mapping[GuestKey, Account],
    known: CountedVisits,
    news: Mapping[GuestKey, News],
) -> dict[GuestKey, Tally]:
    late = [guest for guest, account in locked.items() if is_late(account, known.get(guest, {}), news[guest])]
    histories = await histories_of(conn, plans, late) if late else {}
    return {
        guest: tally(
            plans[guest[0]], account, histories.get(guest), {key: visit for key, (visit, _) in news[guest].items()}
        )
        for guest, account in locked.items()
    }


async def load_lots(
    conn: Connection, tallies: Iterable[Tally], turns: Mapping[GuestKey, Spending]
) -> dict[GuestKey, dict[UUID, Lot]]:
    """The lots of the guests for whom they matter: not of those who only bought something."""
    needed = {
        counted.account.guest: lots
        for counted in tallies
        if (lots := lots_needed(counted, turns.get(counted.account.guest, NO_SPENDING))) is not None
    }
    also = [lot_id for lots in needed.values() for lot_id in lots]
    given_back = {guest for guest, own in turns.items() if any(turn.gives_back for turn in own)}
    return await ledger.load_lots(conn, list(needed), also, given_back) if needed else {}


async def load_vouchers(conn: Connection, tallies: Iterable[Tally]) -> dict[GuestKey, dict[UUID, Voucher]]:
    """The vouchers that may change: those of the cards that were completed, and all of guests who were counted anew."""
    anew, completed = list[GuestKey](), list[vouchers.VoucherKey]()
    for counted in tallies:
        cafe_id, customer_id = guest = counted.account.guest
        if counted.bills and cards.has_cards(counted.plan):
            anew.append(guest)
        else:
            completed += [
                (cafe_id, cards.voucher_id(cafe_id, customer_id, each.card.key, each.number))
                for each in counted.completions
            ]
    found: dict[GuestKey, dict[UUID, Voucher]] = {}
    for each in [*await vouchers.list_of_guests(conn, anew), *await vouchers.find(conn, completed)]:
        found.setdefault((each.cafe_id, each.customer_id), {})[each.voucher_id] = each
    return found


async def find_turns(
    conn: Connection, tallies: Iterable[Tally], moment: datetime
) -> dict[GuestKey, list[SpendingTurn]]:
    """The redemptions that change, of guests who were counted anew from all their bills."""
    anew = {counted.account.guest: counted for counted in tallies if counted.bills}
    if not anew:
        return {}
    known: dict[GuestKey, dict[UUID, Redemption]] = {guest: {} for guest in anew}
    for each in await redemptions.list_of_guests(conn, list(anew)):
        known[each.cafe_id, each.customer_id][each.redemption_id] = each
    asking = [guest for guest, counted in anew.items() if known[guest] or any(_named(counted))]
    if not asking:
        return {}
    named = {(guest[0], name): guest for guest in asking for name in _named(anew[guest]) if name not in known[guest]}
    others = await redemptions.find(conn, list(named)) if named else {}
    for guest in asking:
        known[guest] |= {name: others[guest[0], name] for name in _named(anew[guest]) if (guest[0], name) in others}
    facts = await ledger.load_facts(conn, asking)
    found = {guest: turns_of(anew[guest], known[guest], facts[guest], moment) for guest in asking}
    return {guest: turns for guest, turns in found.items() if turns}


def _named(counted: Tally) -> list[UUID]:
    return [each.visit.redemption_id or each.visit.visit_id for each in counted.bills if each.visit.points_to_redeem]
