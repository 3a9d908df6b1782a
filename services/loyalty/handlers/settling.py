"""One guest: from what a visit, a correction or a recount changes to everything that is to be written. No database."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from services.loyalty.handlers import guests as common
from services.loyalty.handlers import spending
from services.loyalty.handlers.guests import DESCRIPTIONS
from services.loyalty.models.accounts import (
    Account,
    Counted,
    Draft,
    Entry,
    Fact,
    Lot,
    Outcome,
    Plan,
    Redemption,
    Standing,
    Visit,
    VisitState,
    Wish,
)
from services.loyalty.rules import ledger, lots, redeeming, tiers
from shared.events.base import Event, caused_by
from shared.events.loyalty import LedgerType, PointsEarned
from shared.events.visit import VisitCorrected, VisitEvent, VisitRecorded, VisitVoided

Lots = Mapping[UUID, Lot]
Causes = Mapping[UUID, Event]
News = dict[UUID, tuple[Visit, VisitEvent]]
_RANK: dict[VisitState, int] = {"recorded": 0, "corrected": 1, "voided": 2}


class Change(msgspec.Struct, frozen=True):
    """A visit whose row is to be written: as it was, None when it was not known, and as it is."""

    before: Counted | None
    after: Counted

    @property
    def points(self) -> int:
        """Difference from the points that the visit earned before."""
        return self.after.points - (self.before.points if self.before else 0)


class Tally(msgspec.Struct, frozen=True):
    """The result of counting a guest. After counting anew it also has all visits in their order, and what voided ones
    would have earned."""

    account: Account
    plan: Plan
    standing: Standing
    changes: Sequence[Change]
    bills: Sequence[Counted] = ()
    lost: Mapping[UUID, int] = {}


class Turn(msgspec.Struct, frozen=True):
    """A change of a redemption: as it was (None when there was none), and as the bills say now, not drawn from lots
    yet."""

    before: Redemption | None
    after: Redemption

    @property
    def gives_back(self) -> bool:
        """Whether what was spent comes back, all of it: of another amount the rest is spent again."""
        return _spent(self.before) > 0 and _spent(self.before) != _spent(self.after)

    @property
    def takes(self) -> bool:
        """Whether points are to be drawn from lots."""
        return _spent(self.after) > 0 and _spent(self.before) != _spent(self.after)


Spending = Sequence[Turn]
NO_SPENDING: Spending = ()


def lots_needed(counted: Tally, turns: Spending) -> set[UUID] | None:
    """Which lots to load beside those that hold something; None when none at all, as for a purchase and no debt."""
    lots = {change.after.visit.visit_id for change in counted.changes if change.before}
    lots |= {lot_id for turn in turns if turn.before for lot_id, _ in turn.before.drawn}
    return lots if lots or turns or counted.account.balance < 0 else None


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
    """Whether the guest is to be counted anew from all visits, because the news do not simply go on from the account,
    or ask for points.

    `known` are those of the visits that we have heard of before.
    """
    return bool(known) or any(
        visit.points_to_redeem or not tiers.goes_on(account.standing, visit) for visit, _ in news.values()
    )


def tally(plan: Plan, account: Account, history: Mapping[UUID, Counted] | None, news: Mapping[UUID, Visit]) -> Tally:
    """Counts `news` on from the account's standing, or everything from the start when the whole `history` is given."""
    start = account.standing if history is None else tiers.NOBODY
    before = history or {}
    visits = sorted(({key: counted.visit for key, counted in before.items()} | dict(news)).values(), key=tiers.order_of)
    standing, earnings = tiers.fold(plan, start, [visit for visit in visits if visit.state != "voided"])
    changes = [
        Change(before.get(visit.visit_id), after)
        for visit in visits
        if before.get(visit.visit_id) != (after := Counted(visit, earnings.get(visit.visit_id)))
    ]
    if history is None:
        return Tally(account, plan, standing, changes)
    bills = [Counted(visit, earnings.get(visit.visit_id)) for visit in visits]
    return Tally(account, plan, standing, changes, bills, tiers.lost(plan, visits, earnings))


def turns_of(counted: Tally, known: Mapping[UUID, Redemption], facts: Sequence[Fact], moment: datetime) -> list[Turn]:
    """The redemptions that the guest's bills change. `known` are the guest's, and those that the bills name."""
    account = counted.account
    wishes = redeeming.wishes_of(counted.bills, counted.lost, known, facts, account.customer_id)
    turns = [Turn(known.get(wish.redemption_id), _wanted(account, wish, known, moment)) for wish in wishes]
    asked = {wish.redemption_id for wish in wishes}
    places = {each.visit.visit_id: place for place, each in enumerate(counted.bills)}
    gone = [each for each in known.values() if each.redemption_id not in asked and each.visit_id in places]
    turns += [
        Turn(each, replace(each, state="reversed", refusal=None, reversed_at=moment, undone_by_bill=True))
        for each in sorted(gone, key=lambda each: (places[each.visit_id or each.redemption_id], each.created_at))
        if each.state != "reversed" and each.customer_id == account.customer_id
    ]
    return [turn for turn in turns if turn.before != turn.after]


def _wanted(account: Account, wish: Wish, known: Mapping[UUID, Redemption], moment: datetime) -> Redemption:
    before, visit = known.get(wish.redemption_id), wish.visit
    if before is None:
        before = Redemption(
            redemption_id=wish.redemption_id, cafe_id=account.cafe_id, customer_id=account.customer_id,
            kind="discount", points=0, state="refused", created_at=moment,
        )  # fmt: skip
    is_spent = wish.refusal is None
    return replace(
        before,
        points=wish.points,
        state="completed" if is_spent else "refused",
        refusal=wish.refusal,
        visit_id=visit.visit_id,
        order_reference=before.order_reference if wish.is_fact else visit.receipt_number,
        drawn=before.drawn if is_spent and before.state == "completed" else (),
        reversed_at=None,
        undone_by_bill=False,
        reserved_until=None,
    )


def settle(counted: Tally, held: Lots, turns: Spending, causes: Causes, moment: datetime) -> Outcome:
    """All rows and events to be written about a guest. `held` are the lots that may change, `causes` the events by
    visit id."""
    after_lots, drafts = _post_visits(counted, held, causes)
    for turn in turns:
        if turn.gives_back and turn.before:
            after_lots, _, draft = spending.give_back(after_lots, turn.before, moment)
            drafts.append(draft)
    redemptions: list[Redemption] = []
    for turn in turns:
        redemption = turn.after
        if turn.takes:
            after_lots, redemption, draft = spending.take(after_lots, redemption, moment)
            drafts.append(draft)
        redemptions.append(redemption)
    after_lots, forgiven = _forgive(counted, after_lots, drafts, moment)
    account, entries = ledger.post(counted.account, [*drafts, *forgiven], may_owe=True)
    account = common.ranked(counted.plan, account, counted.standing, moment)
    return Outcome(
        before=counted.account,
        after=account,
        only_purchases=not (held or redemptions)
        and all(change.before is None and not change.after.visit.points_to_redeem for change in counted.changes),
        entries=entries,
        lots=common.changed_lots(held, after_lots),
        counted=[change.after for change in counted.changes],
        redemptions=redemptions,
        events=_events(counted, account, entries, turns, causes, moment),
    )


def _spent(redemption: Redemption | None) -> int:
    return redemption.points if redemption and redemption.state == "completed" else 0


def _visit(event: VisitEvent, state: VisitState, earlier: Visit | None) -> Visit:
    asked, redemption_id = (earlier.points_to_redeem, earlier.redemption_id) if earlier else (None, None)
    # Corrections from before said nothing about points.
    if isinstance(event, VisitRecorded) or (isinstance(event, VisitCorrected) and event.points_to_redeem is not None):
        asked, redemption_id = event.points_to_redeem, event.redemption_id
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
    )


def _is_newer(visit: Visit, other: Visit) -> bool:
    if visit.state == other.state == "corrected":
        assert visit.corrected_at is not None
        assert other.corrected_at is not None
        # Of two at one moment the visit service has chosen, and says the one that stands last.
        return visit.corrected_at >= other.corrected_at
    return _RANK[visit.state] > _RANK[other.state]


def _post_visits(counted: Tally, held: Lots, causes: Causes) -> tuple[Lots, list[Draft]]:
    after, drafts, debt_id = held, [], counted.account.customer_id
    for change in counted.changes:
        visit = change.after.visit
        expires_at = _expiry(counted.plan, visit)
        # Another moment, or other rules of that moment: the points lapse as if it had been so from the beginning.
        after = lots.date(after, visit.visit_id, visit.occurred_at, expires_at)
        if change.points > 0:
            gained = Lot(visit.visit_id, change.points, change.points, visit.occurred_at, expires_at)
            after = lots.add(after, gained, debt_id, visit.occurred_at)
        elif change.points < 0:
            after = lots.shrink(after, visit.visit_id, -change.points, debt_id, visit.occurred_at)
        if change.points:
            drafts.append(_draft(change, is_own=visit.visit_id in causes))
    return after, drafts


def _draft(change: Change, *, is_own: bool) -> Draft:
    visit, earning = change.after.visit, change.after.earning
    kind: LedgerType = "earned_purchase"
    description = DESCRIPTIONS["earned_purchase"]
    if change.before is not None:
        kind = "adjustment_add" if change.points > 0 else "adjustment_subtract"
        description = DESCRIPTIONS[("corrected" if earning else "voided") if is_own else "recounted"]
    return Draft(
        type=kind,
        change=change.points,
        occurred_at=visit.occurred_at,
        description=description,
        notes=f"v{earning.program_version} x{multiplier(earning.multiplier)}" if earning else None,
        visit_id=visit.visit_id,
        order_reference=visit.receipt_number,
        related_amount=visit.final_amount,
        currency_unit=visit.currency_unit,
    )


def _expiry(plan: Plan, visit: Visit) -> datetime | None:
    days = tiers.in_force(plan, visit.occurred_at).points_expire_days
    return visit.occurred_at + timedelta(days=days) if days else None


def _forgive(counted: Tally, held: Lots, drafts: Sequence[Draft], moment: datetime) -> tuple[Lots, list[Draft]]:
    owing = -(counted.account.balance + sum(draft.change for draft in drafts))
    if owing <= 0 or tiers.in_force(counted.plan, moment).negative_balance != "forgive_after_refund":
        return held, []
    draft = Draft(type="adjustment_add", change=owing, occurred_at=moment, description=DESCRIPTIONS["forgiven"])
    gained = Lot(draft.entry_id, owing, owing, moment)
    return lots.add(held, gained, counted.account.customer_id, moment), [draft]


def _events(
    counted: Tally,
    account: Account,
    entries: Sequence[Entry],
    turns: Spending,
    causes: Causes,
    moment: datetime,
) -> list[Event]:
    first = next(iter(causes.values()), None)
    changes = {change.after.visit.visit_id: change for change in counted.changes}
    visit_at = {event.visit_id: event.occurred_at for event in causes.values() if isinstance(event, VisitEvent)}
    events: list[Event] = []
    for entry in entries:
        visit_id = entry.draft.visit_id
        cause = causes.get(visit_id, first) if visit_id else first
        about = caused_by(cause) if cause else {}
        if visit_id and entry.draft.redemption_id is None:
            is_new = changes[visit_id].before is None and type(causes.get(visit_id)) is VisitRecorded
            events.append(_points_earned(account, entry, changes[visit_id], about, is_new=is_new))
        else:
            events.append(common.points_change(account, entry, visit_at.get(visit_id) if visit_id else None, about))
    about = caused_by(first) if first else {}
    visit_at |= {each.visit.visit_id: each.visit.occurred_at for each in counted.bills}
    for turn in turns:
        for told in _told(turn, moment):
            at = visit_at.get(told.visit_id) if told.visit_id else None
            events.append(common.redemption_event(told, at, moment, about))
    return events + common.tier_change(
        counted.account, account, moment, about, _moved_at(counted, account, causes, moment)
    )


def _moved_at(counted: Tally, account: Account, causes: Causes, moment: datetime) -> datetime | None:
    """When the oldest of the new visits happened that moved the tier; None when anything else had a part in it, as
    rules that changed since the guest was last counted."""
    before = counted.account
    is_new = bool(causes) and all(type(cause) is VisitRecorded for cause in causes.values())
    if before.rank.tier == account.rank.tier or not is_new:
        return None
    if tiers.rank(counted.plan, before.standing, moment).tier != before.rank.tier:
        return None
    return min(cause.occurred_at for cause in causes.values())


def _told(turn: Turn, moment: datetime) -> list[Redemption]:
    """The redemptions to announce after a change: the old one as given back, then the new one."""
    before, after = turn.before, turn.after
    told: list[Redemption] = []
    moved = before is not None and before.visit_id is not None and before.visit_id != after.visit_id
    if before and before.state == "completed" and (turn.gives_back or moved):
        told.append(replace(before, state="reversed", reversed_at=moment))
    if after.state == "completed" and (turn.takes or (before and before.visit_id != after.visit_id)):
        told.append(after)
    if after.state == "refused" and (before is None or before.state != "refused" or before.points != after.points):
        told.append(after)
    return told


def _points_earned(
    account: Account, entry: Entry, change: Change, about: Mapping[str, Any], *, is_new: bool
) -> PointsEarned:
    visit, earning = change.after.visit, change.after.earning
    by = earning or (change.before.earning if change.before else None)
    assert by is not None
    return PointsEarned(
        cafe_id=account.cafe_id,
        customer_id=account.customer_id,
        occurred_at=visit.occurred_at,
        visit_id=visit.visit_id,
        visit_at=visit.occurred_at,
        points=change.after.points,
        points_change=change.points,
        balance_after=entry.balance_after,
        account_version=entry.account_version,
        program_version=by.program_version,
        multiplier=multiplier(by.multiplier),
        is_new=is_new,
        **about,
    )


@lru_cache(maxsize=64)
def multiplier(hundredths: int) -> str:
    """1, 1.2, 1.5: for people."""
    return f"{(Decimal(hundredths) / 100).normalize():f}"
