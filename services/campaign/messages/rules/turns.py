"""Whose turn it is: every cafe with something due, those that waited longest first, each with a bounded share."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from services.campaign.messages.models.values import Place, Turn

# So many cafes in one round; with fewer of them each one's share is larger, up to a whole call.
CAFES_AT_ONCE: Final = 200
ROUND: Final = 200
LARGEST_SHARE: Final = 200


def candidates(places: Sequence[Place], left_out: Collection[UUID], served: Mapping[UUID, int]) -> list[UUID]:
    """The cafes of a round: those served longest ago first, and of these the one with the oldest work."""
    found = dict.fromkeys(place.cafe_id for place in places if place.cafe_id not in left_out)
    return sorted(found, key=lambda cafe_id: served.get(cafe_id, 0))[:CAFES_AT_ONCE]


def share_out(cafe_ids: Sequence[UUID], probed: Collection[UUID] = ()) -> list[Turn]:
    """A share for each of the cafes: as large as the round allows, and one message for those that are `probed`."""
    share = min(LARGEST_SHARE, max(1, ROUND // len(cafe_ids))) if cafe_ids else 0
    return [Turn(cafe_id, 1 if cafe_id in probed else share) for cafe_id in cafe_ids]
