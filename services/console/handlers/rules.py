"""The editor of a club's rules: the versions, and what their blanks may be filled with."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from services.console.handlers.panels import panel, there
from services.console.models.club import RulesVersion
from services.console.models.people import BranchOfCafe
from services.console.models.segments import SegmentFile
from services.console.models.session import Insider
from services.console.store import club, identity, reports, segments
from services.console.store.upstream import Away, Upstream

# Dishes that are offered while one types: what was sold since then, as many as a list can hold.
MENU_DAYS, MENU_WORDS = 60, 150


@dataclass(frozen=True)
class RuleChoices:
    """The versions of the rules, the oldest first, the names of the cafe's branches, of its dishes and of its
    segments by their keys. What could not be asked is empty: one can type a dish all the same."""

    versions: tuple[RulesVersion, ...]
    branches: Mapping[UUID, str]
    dishes: tuple[str, ...]
    segments: Mapping[str, str]


async def choices(up: Upstream, here: Insider, today: date) -> RuleChoices:
    """What the editor needs: four calls beside each other."""
    access, cafe_id = here.access, here.cafe.cafe_id
    versions, branches, dishes, found = await asyncio.gather(
        club.versions(up, access, cafe_id),
        panel(identity.list_branches(up, access, cafe_id)),
        panel(reports.dishes(up, access, cafe_id, today - timedelta(days=MENU_DAYS), today, None)),
        panel(segments.list_segments(up, access, cafe_id)),
    )
    nowhere: tuple[BranchOfCafe, ...] = ()
    sold = () if isinstance(dishes, Away) else dishes.items
    names = {each.branch_id: each.name for each in there(branches, nowhere)}
    none: tuple[SegmentFile, ...] = ()
    keys = {each.segment_key: each.name for each in there(found, none)}
    return RuleChoices(versions, names, tuple(each.name for each in sold[:MENU_WORDS]), keys)
