"""One guest: from what was counted and what is spent to everything that is to be written and said."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.models.accounts import (
    Account,
    EntryDraft,
    LedgerEntry,
    Lot,
    Posting,
    Redemption,
)
from services.loyalty.models.cards import Voucher
from services.loyalty.rules import announcing, cards, counting, lapsing, ledger, lots, spending, tiers, waiting
from services.loyalty.rules.announcing import DESCRIPTIONS, multiplier
from services.loyalty.rules.counting import CountedChange, Tally
from services.loyalty.rules.lots import Lots
from services.loyalty.rules.spending import Spending, SpendingTurn
from shared.events.base import Event, caused_by
from shared.events.loyalty import LedgerType
from shared.events.visit import VisitEvent, VisitRecorded

Causes = Mapping[UUID, Event]
NO_VOUCHERS: Mapping[UUID, Voucher] = {}


def settle(
    counted: Tally,
    held: Lots,
    turns: Spending,
    causes: Causes,
    moment: datetime,
    vouchers: Mapping[UUID, Voucher] = NO_VOUCHERS,
) -> Posting:
    """All rows and events to be written about a guest. `held` are the lots that may change, `causes` the events by
    visit id, `vouchers` those that the counted bills may change."""
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
    account = counting.ranked(counted.plan, account, counted.standing, moment)
    earned = cards.vouchers_of(account, counted.completions)
    written = counting.changed_lots(held, after_lots)
    return Posting(
        before=counted.account,
        after=account,
        only_purchases=not (held or redemptions)
        and all(change.before is None and not change.after.visit.points_to_redeem for change in counted.changes)
        and not any(lot.available_at for lot in written),
        entries=entries,
        lots=written,
        counted=[change.after for change in counted.changes],
        redemptions=redemptions,
        vouchers=cards.changed_vouchers(vouchers, earned),
        events=[
            *_events(counted, account, entries, turns, causes, moment),
            *_completed(earned, vouchers, causes),
        ],
    )


def _post_visits(counted: Tally, held: Lots, causes: Causes) -> tuple[Lots, list[EntryDraft]]:
    after, drafts, debt_id = _by_the_calendar(counted, held), [], counted.account.customer_id
    for change in counted.changes:
        visit = change.after.visit
        program = tiers.in_force(counted.plan, visit.occurred_at)
        expires_at = lapsing.expiry(counted.plan, program, visit.occurred_at)
        available_at = waiting.available_at(program, visit, change.after.points)
        # The visit may have another moment or other rules now: its points then lapse as if it had been so from the
        # beginning.
        after = lots.date(after, visit.visit_id, visit.occurred_at, expires_at, available_at)
        if change.points > 0:
            gained = Lot(visit.visit_id, change.points, change.points, visit.occurred_at, expires_at, available_at)
            after = lots.add(after, gained, debt_id, visit.occurred_at)
        elif change.points < 0:
            after = lots.shrink(after, visit.visit_id, -change.points, debt_id, visit.occurred_at)
        if change.points:
            drafts.append(_draft(change, is_own=visit.visit_id in causes))
    return after, drafts


def _draft(change: CountedChange, *, is_own: bool) -> EntryDraft:
    visit, earning = change.after.visit, change.after.earning
    kind: LedgerType = "earned_purchase"
    description = DESCRIPTIONS["earned_purchase"]
    if change.before is not None:
        kind = "adjustment_add" if change.points > 0 else "adjustment_subtract"
        description = DESCRIPTIONS[("corrected" if earning else "voided") if is_own else "recounted"]
    return EntryDraft(
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


def _by_the_calendar(counted: Tally, held: Lots) -> Lots:
    """The lots of a guest who was counted anew, by the calendar that the cafe has now."""
    if not counted.bills or not lapsing.by_calendar(counted.plan):
        return held
    dates = {}
    for visit in (each.visit for each in counted.bills if each.earning):
        program = tiers.in_force(counted.plan, visit.occurred_at)
        dates[visit.visit_id] = visit.occurred_at, lapsing.expiry(counted.plan, program, visit.occurred_at)
    return lots.date_all(held, dates)


def _forgive(
    counted: Tally, held: Lots, drafts: Sequence[EntryDraft], moment: datetime
) -> tuple[Lots, list[EntryDraft]]:
    owing = -(counted.account.balance + sum(draft.change for draft in drafts))
    if owing <= 0 or tiers.in_force(counted.plan, moment).negative_balance != "forgive_after_refund":
        return held, []
    draft = EntryDraft(type="adjustment_add", change=owing, occurred_at=moment, description=DESCRIPTIONS["forgiven"])
    gained = Lot(draft.entry_id, owing, owing, moment)
    return lots.add(held, gained, counted.account.customer_id, moment), [draft]


def _events(
    counted: Tally,
    account: Account,
    entries: Sequence[LedgerEntry],
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
            events.append(announcing.points_earned(account, entry, changes[visit_id], about, is_new=is_new))
        else:
            events.append(announcing.points_change(account, entry, visit_at.get(visit_id) if visit_id else None, about))
    about = caused_by(first) if first else {}
    visit_at |= {each.visit.visit_id: each.visit.occurred_at for each in counted.bills}
    for turn in turns:
        for changed in _to_announce(turn, moment):
            at = visit_at.get(changed.visit_id) if changed.visit_id else None
            events.append(announcing.redemption_event(changed, at, moment, about))
    return events + announcing.tier_change(
        counted.account, account, moment, about, _moved_at(counted, account, causes, moment)
    )


def _completed(earned: Sequence[Voucher], known: Mapping[UUID, Voucher], causes: Causes) -> list[Event]:
    first = next(iter(causes.values()), None)
    events: list[Event] = []
    for each in earned:
        if each.voucher_id not in known:
            cause = causes.get(each.visit_id, first)
            events.append(announcing.card_completed(each, caused_by(cause) if cause else {}))
    return events


def _moved_at(counted: Tally, account: Account, causes: Causes, moment: datetime) -> datetime | None:
    """The moment of the oldest new visit, if new visits alone moved the tier. None if anything else had a part in it,
    such as rules that changed since the guest was last counted."""
    before = counted.account
    is_new = bool(causes) and all(type(cause) is VisitRecorded for cause in causes.values())
    if before.rank.tier == account.rank.tier or not is_new:
        return None
    if tiers.rank(counted.plan, before.standing, moment).tier != before.rank.tier:
        return None
    return min(cause.occurred_at for cause in causes.values())


def _to_announce(turn: SpendingTurn, moment: datetime) -> list[Redemption]:
    """The redemptions to announce after a change: the old one as given back, then the new one."""
    before, after = turn.before, turn.after
    changed: list[Redemption] = []
    moved = before is not None and before.visit_id is not None and before.visit_id != after.visit_id
    if before and before.state == "completed" and (turn.gives_back or moved):
        changed.append(replace(before, state="reversed", reversed_at=moment))
    if after.state == "completed" and (turn.takes or (before and before.visit_id != after.visit_id)):
        changed.append(after)
    if after.state == "refused" and (before is None or before.state != "refused" or before.points != after.points):
        changed.append(after)
    return changed
