"""What staff, tills and guests say and hear of stamp cards and vouchers over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.loyalty.models.cards import VoucherState
from shared.inputs.fields import Command, Text

VoucherReference = Annotated[str, Text(100, line=True)]


class ShownCard(BaseModel):
    """A card of the program in force, as it stands: `stamps` of `need`, `missing` to the next voucher. `owed`: so many
    completed cards were taken back after their voucher was used; the next ones pay for them."""

    model_config = ConfigDict(from_attributes=True)

    key: str
    name: str
    reward: str
    stamps: int
    need: int
    completed: int
    owed: int
    missing: int


class OpenVoucher(BaseModel):
    """A voucher that can be used now, but for one that stands for what the guest owes."""

    model_config = ConfigDict(from_attributes=True)

    voucher_id: UUID
    card_key: str
    card_name: str
    number: int
    reward: str
    earned_at: datetime
    expires_at: datetime | None


class ShownVoucher(OpenVoucher):
    """A voucher in any state. Withdrawn: bills do not complete its card any more."""

    customer_id: UUID
    state: VoucherState
    is_expired: bool
    used_at: datetime | None
    used_by: UUID | None
    order_reference: str | None


class OwnCards(BaseModel):
    """A guest's cards, and the vouchers that can be used, the oldest first, a hundred at most."""

    cards: list[ShownCard] = []
    vouchers: list[OpenVoucher] = []


class StaffCards(OwnCards):
    """The same with the newest vouchers of every state."""

    newest: list[ShownVoucher]


class QuotedCard(BaseModel):
    """What a bill would do to a card: `gives` stamps, `completes` cards, and what the card is then. A completed card
    that the guest owes gives no voucher."""

    model_config = ConfigDict(from_attributes=True)

    gives: int
    completes: int
    after: ShownCard


class UseVoucher(Command):
    """`request_id` is made up by the asker: asking again with it changes nothing and is answered the same."""

    request_id: UUID
    order_reference: VoucherReference | None = None


class TakeBackUse(Command):
    """The `request_id` under which this till used the voucher."""

    request_id: UUID
