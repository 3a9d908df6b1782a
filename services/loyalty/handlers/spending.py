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
INSUFFICIENT = "insufficient_points"
VISIT_VOIDED = "visit_voided"


def take(lots: Lots, wanted: Redemption) -> tuple[Lots, Redemption, Draft]:
    """The lots after the redemption, the redemption with what it drew on, and its row of the ledger.

    Raises ValueError when the lots hold less.
    """
    after, drawn = lot_rules.spend(lots, wanted.points)
    kind: LedgerType = "redeemed_discount" if wanted.kind == "discount" else "redeemed_item"
    draft = Draft(
        type=kind,
        change=-wanted.points,
        occurred_at=wanted.created_at,
        description=DESCRIPTIONS[kind],
        visit_id=wanted.visit_id,
        redemption_id=wanted.redemption_id,
        order_reference=wanted.order_reference,
        created_by=wanted.created_by,
    )
    return after, replace(wanted, drawn=drawn), draft


def give_back(lots: Lots, redemption: Redemption, moment: datetime) -> tuple[Lots, Redemption, Draft]:
    """The lots after a redemption was undone, the redemption, and the row that says so."""
    draft = Draft(
        entry_id=new_id(),
        type="adjustment_add",
        change=redemption.points,
        occurred_at=moment,
        description=DESCRIPTIONS["given_back"],
        visit_id=redemption.visit_id,
        redemption_id=redemption.redemption_id,
        order_reference=redemption.order_reference,
    )
    after = lot_rules.refill(lots, redemption.drawn, draft.entry_id, redemption.customer_id, moment)
    return after, replace(redemption, state="reversed", reversed_at=moment), draft
