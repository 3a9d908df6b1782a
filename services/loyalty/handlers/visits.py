"""Visits into points.

Most visits of a batch come after all that is known of their guests: they are folded on from the account's standing.
A guest with a late, corrected or voided visit is counted anew from all visits, and what differs from the books is
posted as new rows. Both ways go through `settling`, so the end state is the same whatever arrived when.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from services.loyalty.handlers import guests as common
from services.loyalty.handlers.settling import (
    NO_SPENDING,
    Ask,
    News,
    Spending,
    Tally,
    is_late,
    lots_needed,
    news_of,
    settle,
    tally,
)
from services.loyalty.models.accounts import Account, Counted, Guest, Lot, Plan, VisitState
from services.loyalty.store import accounts, ledger, redemptions, visits
from shared.clock import now
from shared.db import Connection
from shared.events.visit import VisitCorrected, VisitEvent, VisitRecorded, VisitVoided

Known = Mapping[Guest, Mapping[UUID, Counted]]


async def on_visits_recorded(conn: Connection, events: Sequence[VisitRecorded]) -> None:
    """Points for visits; points that a visit spends are redeemed, unless that already happened."""
    await _take_in(conn, events, "recorded")


async def on_visits_corrected(conn: Connection, events: Sequence[VisitCorrected]) -> None:
    """Points as if the visits had been so from the beginning."""
    await _take_in(conn, events, "corrected")


async def on_visits_voided(conn: Connection, events: Sequence[VisitVoided]) -> None:
    """Points as if the visits had never been; what they redeemed goes back."""
    await _take_in(conn, events, "voided")


async def _take_in(conn: Connection, events: Sequence[VisitEvent], state: VisitState) -> None:
    by_guest: dict[Guest, list[VisitEvent]] = {}
    for event in events:
        if event.customer_id is not None:
            by_guest.setdefault((event.cafe_id, event.customer_id), []).append(event)
    if not by_guest:
        return
    guests = list(by_guest)
    plans = await common.plans_of(conn, {cafe_id for cafe_id, _ in guests})
    locked = await accounts.lock(conn, guests)
    known = await visits.find(conn, [(*guest, event.visit_id) for guest in guests for event in by_guest[guest]])
    news = {guest: news_of(by_guest[guest], state, known.get(guest, {})) for guest in guests}
    tallies = await _count(conn, plans, locked, known, news)
    wishes: dict[Guest, Spending] = {}
    if state == "recorded":
        wishes = await _find_asked(conn, by_guest, known)
    elif state == "voided":
        wishes = await _find_returned(conn, news)
    held = await load_lots(conn, tallies.values(), wishes)
    moment = now()
    outcomes = [
        settle(
            counted,
            held.get(guest, {}),
            wishes.get(guest, NO_SPENDING),
            {visit_id: cause for visit_id, (_, cause) in news[guest].items()},
            moment,
        )
        for guest, counted in tallies.items()
    ]
    await common.save(conn, outcomes)


async def _count(
    conn: Connection,
    plans: Mapping[UUID, Plan],
    locked: Mapping[Guest, Account],
    known: Known,
    news: Mapping[Guest, News],
) -> dict[Guest, Tally]:
    late = [guest for guest, account in locked.items() if is_late(account, known.get(guest, {}), news[guest])]
    histories = await visits.load_histories(conn, late) if late else {}
    return {
        guest: tally(
            plans[guest[0]], account, histories.get(guest), {key: visit for key, (visit, _) in news[guest].items()}
        )
        for guest, account in locked.items()
    }


async def load_lots(
    conn: Connection, tallies: Iterable[Tally], wishes: Mapping[Guest, Spending]
) -> dict[Guest, dict[UUID, Lot]]:
    """The lots of the guests for whom they matter: not of those who only bought something."""
    needed = {
        counted.account.guest: lots
        for counted in tallies
        if (lots := lots_needed(counted, wishes.get(counted.account.guest, NO_SPENDING))) is not None
    }
    also = [lot_id for lots in needed.values() for lot_id in lots]
    return await ledger.load_lots(conn, list(needed), also) if needed else {}


async def _find_asked(
    conn: Connection, by_guest: Mapping[Guest, Sequence[VisitEvent]], known: Known
) -> dict[Guest, Spending]:
    asking = [
        (guest, (guest[0], event.redemption_id or event.visit_id), event)
        for guest, events in by_guest.items()
        for event in events
        if isinstance(event, VisitRecorded) and event.points_to_redeem > 0
    ]
    if not asking:
        return {}
    found = await redemptions.find(conn, list(dict.fromkeys(key for _, key, _ in asking)))
    claimed: set[tuple[UUID, UUID]] = set()
    wishes: dict[Guest, Spending] = {}
    for guest, key, event in asking:
        redemption = found.get(key)
        # Of two visits that name one redemption the first of its guest's has it, in one batch as in two.
        if key in claimed or (redemption is not None and redemption.customer_id != guest[1]):
            continue
        claimed.add(key)
        visit = known.get(guest, {}).get(event.visit_id)
        ask = Ask(event, key[1], redemption, is_voided=visit is not None and visit.visit.state == "voided")
        wishes[guest] = Spending(asked=(*wishes.get(guest, NO_SPENDING).asked, ask))
    return wishes


async def _find_returned(conn: Connection, news: Mapping[Guest, News]) -> dict[Guest, Spending]:
    wishes: dict[Guest, Spending] = {}
    for redemption in await redemptions.list_of_visits(
        conn, [(guest[0], key) for guest in news for key in news[guest]]
    ):
        guest = redemption.cafe_id, redemption.customer_id
        if guest in news:
            wishes[guest] = Spending(returned=(*wishes.get(guest, NO_SPENDING).returned, redemption))
    return wishes
