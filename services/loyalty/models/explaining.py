"""What the ledger says of one guest, to be compared with what the rules give."""

from datetime import datetime
from uuid import UUID

import msgspec

from shared.events.loyalty import LedgerType


class HandEntry(msgspec.Struct, frozen=True):
    """A row of the ledger that belongs to no bill and no redemption."""

    entry_id: UUID
    type: LedgerType
    change: int
    at: datetime


class Totals(msgspec.Struct, frozen=True):
    """What a guest's ledger adds up to: in all, and the rows that belong to no bill and no redemption."""

    balance: int = 0
    by_hand: int = 0
