"""Spending points and giving them back: what bills ask for, and the part that they share with requests."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from services.loyalty.models.accounts import Account, EntryDraft, Fact, Redemption, Wish
from services.loyalty.rules import lots as lot_rules
from services.loyalty.rules import redeeming, waiting
from services.loyalty.rules.announcing import DESCRIPTIONS
from services.loyalty.rules.counting import Tally
from services.loyalty.rules.lapsing import by_calendar
from services.loyalty.rules.lots import Lots
from shared.clock import new_id
from shared.events.loyalty import LedgerType


class SpendingTurn(msgspec.Struct, frozen=True):
    """A change of a redemption: as it was (None when there was none), and as the bills say now, before anything is
    drawn from lots."""

    before: Redemption | None
    after: Redemption

    @property
    def gives_back(self) -> bool:
        """Whether all points that were spent come back. When the amount changes, the new amount is spent again."""
        return _spent(self.before) > 0 and _spent(self.before) != _spent(self.after)

    @property
    def takes(self) -> bool:
        """Whether points are to be drawn from lots."""
        return _spent(self.after) > 0 and _spent(self.before) != _spent(self.after)


Spending = Sequence[SpendingTurn]
NO_SPENDING: Spending = ()


def lots_needed(counted: Tally, turns: Spending) -> set[UUID] | None:
    """Ids of lots to load beside those that hold something. None when no lots are needed: for a purchase without a
    debt."""
    lots = {change.after.visit.visit_id for change in counted.changes if change.before}
    if counted.bills and by_calendar(counted.plan):
        lots |= {each.visit.visit_id for each in counted.bills if each.points}
    lots |= {lot_id for turn in turns if turn.before for lot_id, _ in turn.before.drawn}
    return lots if lots or turns or counted.account.balance < 0 else None


def turns_of(
    counted: Tally, known: Mapping[UUID, Redemption], facts: Sequence[Fact], moment: datetime
) -> list[SpendingTurn]:
    """The redemptions that the guest's bills change. `known`: the guest's redemptions, and those that the bills
    name."""
    account = counted.account
    waits = waiting.moments(counted.plan, counted.bills, counted.lost)
    wishes = redeeming.wishes_of(counted.bills, counted.lost, known, facts, account.customer_id, waits)
    turns = [SpendingTurn(known.get(wish.redemption_id), _wanted(account, wish, known, moment)) for wish in wishes]
    asked = {wish.redemption_id for wish in wishes}
    indexes = {each.visit.visit_id: index for index, each in enumerate(counted.bills)}
    gone = [each for each in known.values() if each.redemption_id not in asked and each.visit_id in indexes]
    turns += [
        SpendingTurn(each, replace(each, state="reversed", refusal=None, reversed_at=moment, undone_by_bill=True))
        for each in sorted(gone, key=lambda each: (indexes[each.visit_id or each.redemption_id], each.created_at))
        if each.state != "reversed" and each.customer_id == account.customer_id
    ]
    return [turn for turn in turns if turn.before != turn.after]


def take(lots: Lots, wanted: Redemption, moment: datetime) -> tuple[Lots, Redemption, EntryDraft]:
    """The lots after the redemption, the redemption with what it drew on, and its row of the ledger.

    Where they hold less the guest owes the rest.
    """
    after, drawn = lot_rules.spend_or_owe(lots, wanted.points, wanted.customer_id, moment)
    kind: LedgerType = "redeemed_discount" if wanted.kind == "discount" else "redeemed_item"
    draft = EntryDraft(
        type=kind,
        change=-wanted.points,
        occurred_at=moment,
        description=DESCRIPTIONS[kind],
        visit_id=wanted.visit_id,
        redemption_id=wanted.redemption_id,
        order_reference=wanted.order_reference,
        created_by=wanted.created_by,
    )
    return after, replace(wanted, drawn=drawn), draft


def give_back(lots: Lots, redemption: Redemption, moment: datetime) -> tuple[Lots, Redemption, EntryDraft]:
    """The lots after a redemption was undone, the redemption, and the row that says so."""
    entry_id = new_id()
    owed = redemption.points - sum(points for _, points in redemption.drawn)
    drawn = (*redemption.drawn, (entry_id, owed)) if owed else redemption.drawn
    draft = EntryDraft(
        entry_id=entry_id,
        type="adjustment_add",
        change=redemption.points,
        occurred_at=moment,
        description=DESCRIPTIONS["given_back"],
        visit_id=redemption.visit_id,
        redemption_id=redemption.redemption_id,
        order_reference=redemption.order_reference,
    )
    after = lot_rules.refill(lots, drawn, draft.entry_id, redemption.customer_id, moment)
    return after, replace(redemption, state="reversed", reversed_at=moment, reserved_until=None), draft


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


def _spent(redemption: Redemption | None) -> int:
    return redemption.points if redemption and redemption.state == "completed" else 0
