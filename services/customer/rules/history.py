"""A segment day by day, of the days on which anything happened."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

from services.customer.models.values import MovesOfDay


def day_by_day(
    segment_id: UUID, moves: Sequence[MovesOfDay], *, since: date, today: date, members: int
) -> list[MovesOfDay]:
    """Every day from `since` to `today`, the oldest first; `members` are in it now.

    Counted backwards: on a day without moves as many were in it as before the first move after it.
    """
    known = {move.day: move for move in moves}
    days, day = list[MovesOfDay](), today
    while day >= since:
        move = known.get(day) or MovesOfDay(segment_id, day, 0, 0, members)
        days.append(move)
        members = max(move.members - move.entered + move.gone, 0)
        day -= timedelta(days=1)
    return days[::-1]
