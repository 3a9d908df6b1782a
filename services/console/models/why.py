"""Explanations as the console reads them."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

ToldFact = bool | int | str | None


class ToldCondition(msgspec.Struct, frozen=True):
    """One question, and what it saw. Amounts are null for whom they are not shown."""

    rule: str
    held: bool
    depth: int
    values: dict[str, ToldFact]
    amounts: dict[str, Decimal] | None
    currency_unit: str


class ToldStep(msgspec.Struct, frozen=True):
    """One thing that happened, or did not, and why."""

    id: UUID
    at: datetime
    service: str
    what: str
    outcome: str
    rule: str | None
    as_of: str
    values: dict[str, ToldFact]
    amounts: dict[str, Decimal] | None
    currency_unit: str
    because: tuple[UUID, ...]
    conditions: tuple[ToldCondition, ...]
    not_because: tuple[str, ...]


class Explained(msgspec.Struct, frozen=True):
    """Steps, the newest first, and where older ones begin."""

    steps: tuple[ToldStep, ...]
    next_before: datetime | None
