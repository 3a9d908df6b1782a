"""Points for the guests of a segment: what was given before, and what a new one would be."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.console.handlers.panels import panel, there
from services.console.models.bonuses import BonusRun
from services.console.models.segments import SegmentFile
from services.console.models.session import Insider
from services.console.store import bonuses, segments
from services.console.store.upstream import Upstream

LATELY = 5
NO_RUNS: tuple[BonusRun, ...] = ()


@dataclass(frozen=True)
class BonusPage:
    """A segment, and the last bonuses that its guests were given."""

    segment: SegmentFile
    runs: tuple[BonusRun, ...]


async def show(up: Upstream, here: Insider, segment_id: UUID) -> BonusPage:
    """The segment and its bonuses. Raises `RefusedCall` 404 for a segment of nobody here."""
    access, cafe_id = here.access, here.cafe.cafe_id
    segment, runs = await asyncio.gather(
        segments.find(up, access, cafe_id, segment_id), panel(bonuses.list_runs(up, access, cafe_id))
    )
    own = [each for each in there(runs, NO_RUNS) if segment.segment_key in each.segment_keys]
    return BonusPage(segment, tuple(own[:LATELY]))


def asked(segment: SegmentFile, points: str | None) -> dict[str, Any]:
    """What is asked of a preview."""
    return {"segment_keys": [segment.segment_key], "points": points or ""}
