"""The figures of a cafe's club, as they are kept."""

from typing import Literal

import msgspec

from shared.events.base import Tier

# How something stands, and what came and went over some days.
ClubState = Literal["outstanding", "owed", "members", "lapsing", "lapsing_guests"]
ClubFlow = Literal["earned", "redeemed", "lapsed", "given", "taken", "joined", "risen", "fallen", "ending"]


class ClubFigure(msgspec.Struct, frozen=True):
    """One figure; of one tier where there is one."""

    what: ClubState | ClubFlow
    tier: Tier | None
    amount: int


class TierFigures(msgspec.Struct, frozen=True):
    """Who stands in a tier, and how many rose or fell into it."""

    tier: Tier
    guests: int
    up: int
    down: int
