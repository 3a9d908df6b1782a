"""What managers ask and hear of points for many guests at once."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.loyalty.models.grant_runs import GrantRunKind, GrantRunState
from shared.inputs.amounts import Money, Priced
from shared.inputs.bounds import Points
from shared.inputs.fields import Command, Phone, Text

MOST_BALANCES = 5000

GrantReason = Annotated[str, Text(500, least=3)]
KeyOfSegment = Annotated[str, Text(50, line=True)]


class PreviewBonus(Command):
    """Guests who are in any of these segments now, and how many points each would get."""

    segment_keys: Annotated[tuple[KeyOfSegment, ...], Field(min_length=1, max_length=20)]
    points: Points


class GiveBonus(PreviewBonus):
    """`run_id` is made up by the asker: asking again with it changes nothing. No more than `budget_points` in all."""

    run_id: UUID
    reason: GrantReason
    budget_points: Points


class OpeningBalance(Command):
    """What a guest had before."""

    phone: Phone
    points: Points


class GiveOpenings(Command):
    """What guests had in the program before this one, each guest once; `run_id` as in a bonus."""

    run_id: UUID
    balances: Annotated[list[OpeningBalance], Field(min_length=1, max_length=MOST_BALANCES)]


class BonusPreview(Priced):
    """How many guests would get how much; `worth` of all in `currency_unit`, null while points have no price."""

    guests: int
    total_points: int
    worth: Money | None


class ShownGrantRun(BaseModel):
    """Points for many guests: `given` to so many of `guests` so far."""

    model_config = ConfigDict(from_attributes=True)

    run_id: UUID
    kind: GrantRunKind
    segment_keys: list[str]
    reason: str | None
    guests: int
    total_points: int
    budget_points: int | None
    state: GrantRunState
    given: int
    created_by: UUID
    created_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
