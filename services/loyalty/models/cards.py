"""Stamp cards and what they give, as counting uses them. Money is in thousandths of a Toman."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from services.loyalty.models.earning import Menu, RuleCheck

StampPer = Literal["quantity", "visit"]
VoucherState = Literal["open", "used", "withdrawn"]

# What one bill stamps on one card at most, whatever the till says was bought.
MOST_STAMPS: Final = 100


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """A card of a program: full with `need` stamps. A bill of at least `minimum` stamps it once, or `per` thing that
    was bought, `most` times at most; without a `match` everything counts."""

    key: str
    name: str
    need: int
    reward: str
    match: Menu | None = None
    per: StampPer = "quantity"
    most: int = MOST_STAMPS
    minimum: int = 0
    lives_days: int | None = None


class CardState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How far a guest is with a card: stamps on the present one, and how many were completed."""

    key: str
    stamps: int = 0
    completed: int = 0


CardStates = tuple[CardState, ...]
"""All cards that a guest ever got a stamp on, sorted by their keys."""


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A card that a bill completed, the how-manieth of its kind, and by which program."""

    card: Card
    number: int
    visit_id: UUID
    at: datetime
    program_version: int


class Stamped(msgspec.Struct, frozen=True):
    """What a bill did to a card: `counted` stamps of which `given` count, and the card before and after it."""

    card: Card
    checks: Sequence[RuleCheck]
    counted: int
    given: int
    before: CardState
    after: CardState


class Voucher(msgspec.Struct, frozen=True, kw_only=True):
    """What a completed card gives. Used, it has its moment, who used it (a person or a till) and under which id they
    asked; `undone_request_id` was taken back last."""

    voucher_id: UUID
    cafe_id: UUID
    customer_id: UUID
    card_key: str
    number: int
    card_name: str
    reward: str
    visit_id: UUID
    earned_at: datetime
    program_version: int
    expires_at: datetime | None = None
    state: VoucherState = "open"
    used_at: datetime | None = None
    used_by: UUID | None = None
    till_key_id: str | None = None
    request_id: UUID | None = None
    undone_request_id: UUID | None = None
    order_reference: str | None = None


class VoucherUse(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody asks to use a voucher: a person or a till."""

    request_id: UUID
    used_by: UUID | None = None
    till_key_id: str | None = None
    order_reference: str | None = None


class CardShown(msgspec.Struct, frozen=True, kw_only=True):
    """A card as it stands for a guest: `missing` stamps to the next voucher that can be used, with those of the cards
    that are owed."""

    key: str
    name: str
    reward: str
    stamps: int
    need: int
    completed: int
    owed: int
    missing: int


class CardQuoted(msgspec.Struct, frozen=True):
    """What a bill that may come does to a card: stamps, cards that it completes, and the card after it."""

    gives: int
    completes: int
    after: CardShown
