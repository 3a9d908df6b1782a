"""Spending points and giving them back: the part that visits and requests share. Nothing here touches the database."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.handlers.guests import DESCRIPTIONS
from services.loyalty.models.accounts import Draft, Lot, Redemption
from services.loyalty.rules import lots as lot_rules
from shared.clock import new_id
from shared.events.loyalty import LedgerType

Lots = Mapping[UUID, Lot]


def take(lots: Lots, wanted: Redemption, moment: datetime) -> tuple[Lots, Redemption, Draft]:
    """The lots after the redemption, the redemption with what it drew on, and its row of the ledger.

    Where they hold less the guest owes the rest.
    """
    after, drawn = lot_rules.spend_or_owe(lots, wanted.points, wanted.customer_id, moment)
    kind: LedgerType = "redeemed_discount" if wanted.kind == "discount" else "redeemed_item"
    draft = Draft(
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


def give_back(lots: Lots, redemption: Redemption, moment: datetime) -> tuple[Lots, Redemption, Draft]:
    """The lots after a redemption was undone, the redemption, and the row that says so."""
    entry_id = new_id()
    owed = redemption.points - sum(points for _, points in redemption.drawn)
    drawn = (*redemption.drawn, (entry_id, owed)) if owed else redemption.drawn
    draft = Draft(
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
