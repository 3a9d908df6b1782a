"""Guests who have come to what a reward costs."""

from uuid import UUID

import msgspec


class Reached(msgspec.Struct, frozen=True):
    """A guest who has come to what a reward costs."""

    cafe_id: UUID
    id: int
    customer_id: UUID
    reward_id: UUID
    reward_version: int
    cost_points: int
    balance: int
