"""Several cafes beside each other, and copying from one to others as the person who asks."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from services.console.handlers.panels import panel
from services.console.handlers.sessions import inside
from services.console.models import chain as told
from services.console.models import work
from services.console.models.chain import CopiedThing, CopyResult, CopyStep
from services.console.models.people import CafeOfPerson
from services.console.models.segments import SegmentFile
from services.console.models.session import Insider, Visitor
from services.console.rules import copying, roles
from services.console.rules.speech import Speech
from services.console.store import chain, club, feedback, segments, visit
from services.console.store.upstream import Away, RefusedCall, Upstream

T = TypeVar("T")
CAFES = 12
MOST_ITEMS = 20
MOST_CASES = 99


@dataclass(frozen=True)
class CafeGlance:
    """One cafe as it is now; what could not be asked is `Away`, what the role may not see None."""

    cafe: CafeOfPerson
    today: work.TodayFigures | Away
    month: told.MonthFigures | Away | None
    ratings: work.RatingFigures | Away
    overdue: int | Away

    def measure(self, by: str) -> Decimal | None:
        """The number that the list is sorted by; None where there is none."""
        today = None if isinstance(self.today, Away) else self.today
        if by == "visits":
            return None if today is None else Decimal(today.visits)
        if by == "revenue":
            # Ten Rial are a Toman: cafes may count in either.
            unit = 10 if self.cafe.currency_unit == "IRR" else 1
            return None if today is None or today.revenue is None else today.revenue / unit
        if by == "return":
            return None if self.month is None or isinstance(self.month, Away) else self.month.retention_rate
        if by == "rating":
            return None if isinstance(self.ratings, Away) else self.ratings.average_rating
        return None if isinstance(self.overdue, Away) else Decimal(self.overdue)


@dataclass(frozen=True)
class CopySource:
    """What one cafe has to copy."""

    rules: CopiedThing | None
    texts: tuple[CopiedThing, ...]
    segments: tuple[CopiedThing, ...]
    away: bool

    def chosen(self, keys: Sequence[str]) -> list[CopiedThing]:
        """Those that were chosen, in the order of the page."""
        every = [*([self.rules] if self.rules else []), *self.texts, *self.segments]
        return [each for each in every if each.key in keys][:MOST_ITEMS]


@dataclass(frozen=True)
class CopyPlan:
    """What would happen in one cafe; `steps` is why, where it can't be asked."""

    cafe: CafeOfPerson
    steps: tuple[CopyStep, ...] | Away | RefusedCall


async def glance(up: Upstream, here: Insider, now: datetime) -> CafeGlance:
    """One cafe: four calls beside each other."""
    access, cafe = here.access, here.cafe
    day = Speech(time_zone=cafe.time_zone).local_day(now)
    today, month, ratings, overdue = await asyncio.gather(
        panel(visit.today(up, access, cafe.cafe_id)),
        panel(chain.month(up, access, cafe.cafe_id, day)) if roles.may(cafe.role, "see_money") else _just(None),
        panel(feedback.figures(up, access, cafe.cafe_id)),
        panel(feedback.list_cases(up, access, cafe.cafe_id, "overdue", MOST_CASES)),
    )
    return CafeGlance(cafe, today, month, ratings, overdue if isinstance(overdue, Away) else len(overdue))


async def sorted_glances(
    up: Upstream, visitor: Visitor, cafes: Sequence[CafeOfPerson], by: str, now: datetime
) -> list[CafeGlance]:
    """All of these cafes, the greatest first; those without that number last."""
    found = await asyncio.gather(*(glance(up, each, now) for each in _inside(visitor, cafes)))
    return sorted(found, key=lambda each: (each.measure(by) is None, -(each.measure(by) or 0)))


async def source(up: Upstream, here: Insider, now: datetime) -> CopySource:
    """What the cafe has to copy."""
    access, cafe = here.access, here.cafe
    programs, texts, owned = await asyncio.gather(
        panel(chain.list_programs(up, access, cafe.cafe_id)),
        panel(chain.list_texts(up, access, cafe.cafe_id)),
        panel(segments.list_segments(up, access, cafe.cafe_id)),
    )
    return CopySource(
        None if isinstance(programs, Away) else copying.of_program(programs, now),
        () if isinstance(texts, Away) else tuple(map(copying.of_text, texts)),
        () if isinstance(owned, Away) else tuple(
            copying.of_segment(each, cafe.currency_unit) for each in owned if not each.is_system_segment
        ),
        any(isinstance(each, Away) for each in (programs, texts, owned)),
    )  # fmt: skip


async def plan(
    up: Upstream, visitor: Visitor, items: Sequence[CopiedThing], targets: Sequence[CafeOfPerson], now: datetime
) -> list[CopyPlan]:
    """What would become of these things in each of these cafes; nothing is written."""
    return list(await asyncio.gather(*(_planned(up, here, items, now) for here in _inside(visitor, targets))))


async def copy(
    up: Upstream, visitor: Visitor, items: Sequence[CopiedThing], targets: Sequence[CafeOfPerson], now: datetime
) -> list[tuple[CafeOfPerson, list[CopyResult] | Away | RefusedCall]]:
    """Writes what is new, by each cafe's own API as this person, and says what became of everything."""
    planned = await plan(up, visitor, items, targets, now)
    ended = await asyncio.gather(
        *(_written(up, here, each) for here, each in zip(_inside(visitor, targets), planned, strict=True))
    )
    return list(zip((each.cafe for each in planned), ended, strict=True))


async def _planned(up: Upstream, here: Insider, items: Sequence[CopiedThing], now: datetime) -> CopyPlan:
    access, cafe, kinds = here.access, here.cafe, {each.kind for each in items}
    no_programs: tuple[told.ProgramVersion, ...] = ()
    no_texts: tuple[told.LibraryText, ...] = ()
    no_segments: tuple[SegmentFile, ...] = ()
    try:
        programs, texts, owned = await asyncio.gather(
            chain.list_programs(up, access, cafe.cafe_id) if "rules" in kinds else _just(no_programs),
            chain.list_texts(up, access, cafe.cafe_id) if "text" in kinds else _just(no_texts),
            segments.list_segments(up, access, cafe.cafe_id) if "segment" in kinds else _just(no_segments),
        )
    except (Away, RefusedCall) as error:
        return CopyPlan(cafe, error)
    return CopyPlan(cafe, tuple(_step(item, programs, texts, owned, cafe, now) for item in items))


def _step(
    item: CopiedThing,
    programs: Sequence[told.ProgramVersion],
    texts: Sequence[told.LibraryText],
    owned: Sequence[SegmentFile],
    cafe: CafeOfPerson,
    now: datetime,
) -> CopyStep:
    if item.kind == "rules":
        return copying.step_of_rules(item, programs, now)
    if item.kind == "text":
        return copying.step_of_text(item, texts)
    return copying.step_of_segment(item, owned, cafe.currency_unit)


async def _written(up: Upstream, here: Insider, planned: CopyPlan) -> list[CopyResult] | Away | RefusedCall:
    if isinstance(planned.steps, Away | RefusedCall):
        return planned.steps
    return [await _result(up, here, step) for step in planned.steps]


async def _result(up: Upstream, here: Insider, step: CopyStep) -> CopyResult:
    if step.verdict != "new":
        return CopyResult(step, step.verdict)
    try:
        return CopyResult(step, "waits" if await _send(up, here, step.item) else "made")
    except RefusedCall as error:
        return CopyResult(step, "refused", (_first(error, "en"), _first(error, "fa")))
    except Away:
        return CopyResult(step, "away")


async def _send(up: Upstream, here: Insider, item: CopiedThing) -> bool:
    """Whether it waits for a second person."""
    access, cafe_id = here.access, here.cafe.cafe_id
    if item.kind == "rules":
        return (await club.propose(up, access, cafe_id, item.body)).proposal_id is not None
    if item.kind == "text":
        await chain.add_text(up, access, cafe_id, item.body)
    else:
        await segments.make(up, access, cafe_id, item.body)
    return False


def _first(error: RefusedCall, language: str) -> str:
    said = error.faults[0] if error.faults else error
    return said.fa if language == "fa" else said.en


def _inside(visitor: Visitor, cafes: Sequence[CafeOfPerson]) -> list[Insider]:
    found = (inside(visitor, each.cafe_id) for each in cafes)
    return [each for each in found if each is not None]


async def _just(value: T) -> T:
    return value
