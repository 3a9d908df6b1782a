"""Counting one guest: what a visit, a correction or a recount changes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from services.loyalty.models.accounts import Account, Counted, Lot, Plan, Standing, Visit, VisitState
from services.loyalty.models.cards import Completion
from services.loyalty.rules import cards, tiers
from services.loyalty.rules.bill_facts import pack
from shared.events.visit import VisitCorrected, VisitEvent, VisitRecorded, VisitVoided

News = dict[UUID, tuple[Visit, VisitEvent]]
_RANK: dict[VisitState, int] = {"recorded": 0, "corrected": 1, "voided": 2}


class CountedChange(msgspec.Struct, frozen=True):
    """A visit whose row is to be written: as it was, None when it was not known, and as it is."""

    before: Counted | None
    after: Counted

    @property
    def points(self) -> int:
        """Difference from the points that the visit earned before."""
        return self.after.points - (self.before.points if self.before else 0)


class Tally(msgspec.Struct, frozen=True):
    """The result of counting a guest, with the cards that were completed. After counting anew it has all of them, all
    visits in their order, and what voided ones would have earned."""

    account: Account
    plan: Plan
    standing: Standing
    changes: Sequence[CountedChange]
    bills: Sequence[Counted] = ()
    lost: Mapping[UUID, int] = {}
    completions: Sequence[Completion] = ()


def news_of(events: Sequence[VisitEvent], state: VisitState, known: Mapping[UUID, Counted]) -> News:
    """The events that say something newer about their visit than what is known of it."""
    news: News = {}
    for event in events:
        earlier = news[event.visit_id][0] if event.visit_id in news else None
        if earlier is None and event.visit_id in known:
            earlier = known[event.visit_id].visit
        visit = _visit(event, state, earlier)
        if earlier is None or _is_newer(visit, earlier):
            news[event.visit_id] = visit, event
    return news


def is_late(account: Account, known: Mapping[UUID, Counted], news: News) -> bool:
    """Whether the guest must be counted anew from all visits: the news ask for points, or do not simply continue from
    the account.

    `known`: those of the visits that we have heard of before.
    """
    return bool(known) or any(
        visit.points_to_redeem or visit.redemption_id or not tiers.goes_on(account.standing, visit)
        for visit, _ in news.values()
    )


def tally(plan: Plan, account: Account, history: Mapping[UUID, Counted] | None, news: Mapping[UUID, Visit]) -> Tally:
    """Counts `news` on from the account's standing, or everything from the start when the whole `history` is given."""
    start = account.standing if history is None else tiers.NOBODY
    before = history or {}
    visits = sorted(({key: counted.visit for key, counted in before.items()} | dict(news)).values(), key=tiers.order_of)
    valid = [visit for visit in visits if visit.state != "voided"]
    standing, earnings = tiers.fold(plan, start, valid)
    states, completions = cards.fold(plan, start.cards, valid)
    if states != standing.cards:
        standing = replace(standing, cards=states)
    bills = [Counted(visit, earnings.get(visit.visit_id)) for visit in visits]
    changes = [CountedChange(known, after) for after in bills if (known := before.get(after.visit.visit_id)) != after]
    if history is None:
        return Tally(account, plan, standing, changes, completions=completions)
    # Few guests have a voided bill, and looking for it takes as long as a tenth of the fold.
    lost = tiers.lost(plan, visits, earnings) if len(valid) < len(visits) else {}
    return Tally(account, plan, standing, changes, bills, lost, completions)


def ranked(plan: Plan, account: Account, standing: Standing, moment: datetime) -> Account:
    """The account with `standing`, and the tier that it means at `moment`; a new tier makes a new version."""
    rank = tiers.rank(plan, standing, moment)
    return replace(account, standing=standing, rank=rank, version=account.version + (rank.tier != account.rank.tier))


def changed_lots(before: Mapping[UUID, Lot], after: Mapping[UUID, Lot]) -> list[Lot]:
    """The lots that are to be written."""
    return [lot for lot_id, lot in after.items() if before.get(lot_id) != lot]


def _visit(event: VisitEvent, state: VisitState, earlier: Visit | None) -> Visit:
    asked, redemption_id = (earlier.points_to_redeem, earlier.redemption_id) if earlier else (None, None)
    # Corrections from before there was this field say nothing about points.
    if isinstance(event, VisitRecorded) or (isinstance(event, VisitCorrected) and event.points_to_redeem is not None):
        asked, redemption_id = event.points_to_redeem, event.redemption_id
    # A void does not say what was on the bill.
    facts = earlier.facts if earlier else None
    if isinstance(event, (VisitRecorded, VisitCorrected)):
        facts = pack(event)
    return Visit(
        visit_id=event.visit_id,
        state=state,
        occurred_at=event.occurred_at,
        device_id=event.device_id,
        receipt_number=event.receipt_number,
        final_amount=event.final_amount,
        currency_unit=event.currency_unit,
        corrected_at=event.corrected_at if isinstance(event, VisitCorrected) else None,
        points_to_redeem=asked,
        redemption_id=redemption_id,
        voided_at=event.voided_at if isinstance(event, VisitVoided) else None,
        facts=facts,
    )


def _is_newer(visit: Visit, other: Visit) -> bool:
    if visit.state == other.state == "corrected":
        assert visit.corrected_at is not None
        assert other.corrected_at is not None
        # Between two corrections of one moment the visit service has chosen: the one that it publishes last stands.
        return visit.corrected_at >= other.corrected_at
    return _RANK[visit.state] > _RANK[other.state]
