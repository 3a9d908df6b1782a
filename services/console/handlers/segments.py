"""Segments: what is told of them, and what a rule would do before it is saved."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from services.console.handlers.panels import panel, there
from services.console.models import segments as told
from services.console.models.segments import RuleAttribute, RuleGroup, RulePath
from services.console.models.session import Insider
from services.console.rules import roles, segment_tree
from services.console.store import segments
from services.console.store.upstream import Away, RefusedCall, Upstream

DAYS = 30
CARDS = 12
FACES = 24


@dataclass(frozen=True)
class RuleAttributes:
    """What conditions may ask about, by name."""

    by_name: Mapping[str, RuleAttribute] = field(default_factory=dict)

    @property
    def kinds(self) -> dict[str, str]:
        """How each is compared."""
        return {name: each.kind for name, each in self.by_name.items()}

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The words each may be."""
        return {name: each.choices for name, each in self.by_name.items()}


@dataclass(frozen=True)
class SegmentCard:
    """A segment in the list: `rule` None where no row can show it."""

    segment: told.SegmentFile
    rule: RuleGroup | None
    days: tuple[told.SegmentDay, ...]


@dataclass(frozen=True)
class SegmentCards:
    """One page of the list; `after` is how many have been shown."""

    cards: tuple[SegmentCard, ...]
    attributes: RuleAttributes
    after: int | None


@dataclass(frozen=True)
class SegmentPage:
    """One segment with all that is told of it."""

    segment: told.SegmentFile
    rule: RuleGroup | None
    attributes: RuleAttributes
    days: tuple[told.SegmentDay, ...] | Away
    members: told.MemberCards | Away
    journeys: tuple[told.SegmentJourney, ...] | Away


@dataclass(frozen=True)
class RuleCount:
    """What a rule would find; without `preview` there is something to mend, or somebody else is counting."""

    preview: told.RulePreview | None = None
    journeys: tuple[told.SegmentJourney, ...] = ()
    faults: Mapping[RulePath, str] = field(default_factory=dict)
    busy: bool = False
    refused: RefusedCall | None = None


async def show_list(up: Upstream, here: Insider, after: int) -> SegmentCards:
    """The segments from the `after`th on, with the line of their last days."""
    access, cafe_id = here.access, here.cafe.cafe_id
    every, lines, known = await asyncio.gather(
        segments.list_segments(up, access, cafe_id),
        panel(segments.list_lines(up, access, cafe_id, DAYS)),
        attributes(up, here),
    )
    none: tuple[told.SegmentLine, ...] = ()
    days = {line.segment_id: line.days for line in there(lines, none)}
    shown = every[after : after + CARDS]
    cards = tuple(SegmentCard(each, rule_of(each, known), days.get(each.id, ())) for each in shown)
    return SegmentCards(cards, known, after + CARDS if len(every) > after + CARDS else None)


async def show(up: Upstream, here: Insider, segment_id: UUID, after: UUID | None) -> SegmentPage:
    """One segment, with its members behind `after`: five calls beside each other."""
    access, cafe_id = here.access, here.cafe.cafe_id
    segment, known, days, members, journeys = await asyncio.gather(
        segments.find(up, access, cafe_id, segment_id),
        attributes(up, here),
        panel(segments.list_days(up, access, cafe_id, segment_id, DAYS)),
        panel(segments.list_members(up, access, cafe_id, segment_id, after, FACES)),
        _journeys(up, here),
    )
    used = journeys if isinstance(journeys, Away) else of_segment(journeys, segment)
    return SegmentPage(segment, rule_of(segment, known), known, days, members, used)


async def attributes(up: Upstream, here: Insider) -> RuleAttributes:
    """What conditions may ask about."""
    listed = await segments.list_attributes(up, here.access, here.cafe.cafe_id)
    return RuleAttributes({each.name: each for each in listed})


async def used_by(up: Upstream, here: Insider, segment: told.SegmentFile) -> tuple[told.SegmentJourney, ...]:
    """The messages that begin when somebody enters the segment."""
    none: tuple[told.SegmentJourney, ...] = ()
    return of_segment(there(await _journeys(up, here), none), segment)


async def count(
    up: Upstream, here: Insider, tree: RuleGroup, known: RuleAttributes, segment_id: UUID | None
) -> RuleCount:
    """What the rule would find now, beside who is in that segment."""
    faults = segment_tree.faults(tree, known.kinds, known.choices)
    if faults:
        return RuleCount(faults=faults)
    asked: dict[str, Any] = {"criteria": segment_tree.to_criteria(tree)}
    if segment_id is not None:
        asked["segment_id"] = segment_id
    try:
        found, journeys = await asyncio.gather(
            segments.preview(up, here.access, here.cafe.cafe_id, asked),
            _started_in(up, here, segment_id),
        )
    except RefusedCall as error:
        if error.status == 429:
            return RuleCount(busy=True)
        return RuleCount(faults=faults_of(error), refused=error)
    return RuleCount(found, journeys)


def faults_of(error: RefusedCall) -> dict[RulePath, str]:
    """What the API found wrong in which row, told in the person's language by the page: the field's name stands for
    the sentence."""
    found: dict[RulePath, str] = {}
    for each in error.faults:
        if each.field.partition(".")[0] == "criteria":
            found.setdefault(segment_tree.place_of(each.field), each.field)
    return found


def rule_of(segment: told.SegmentFile, known: RuleAttributes) -> RuleGroup | None:
    """The segment's rule as rows; None where no row can show it."""
    try:
        return segment_tree.from_criteria(segment.criteria, known.kinds)
    except (ValueError, TypeError, AttributeError):
        return None


def of_segment(journeys: Sequence[told.SegmentJourney], segment: told.SegmentFile) -> tuple[told.SegmentJourney, ...]:
    """Those that begin when somebody enters the segment."""
    return tuple(each for each in journeys if each.segment_key == segment.segment_key)


async def _started_in(up: Upstream, here: Insider, segment_id: UUID | None) -> tuple[told.SegmentJourney, ...]:
    if segment_id is None:
        return ()
    segment = await segments.find(up, here.access, here.cafe.cafe_id, segment_id)
    return tuple(each for each in await used_by(up, here, segment) if each.is_active)


async def _journeys(up: Upstream, here: Insider) -> tuple[told.SegmentJourney, ...] | Away:
    if not roles.may(here.cafe.role, "edit_segments"):
        return ()
    return await panel(segments.list_journeys(up, here.access, here.cafe.cafe_id))
