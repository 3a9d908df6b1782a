"""What happened to a guest and why, as chains: a visit with all that followed from it, newest first. What belongs to no
visit begins a chain of its own. Each fact stands in exactly one place, whatever the order in which facts are given."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from services.console.models.guests import (
    CauseOfMove,
    JourneyNotBegun,
    JourneyRun,
    LedgerLine,
    MessagesOfGuest,
    SegmentStay,
    SentMessage,
)
from services.console.models.work import VisitRow

# A guest moves within seconds of the visit that did it. A stay from before stays named their cause is told with a visit
# that it began this soon after, as probable.
SOON = timedelta(seconds=120)
NIL = UUID(int=0)
Kind = Literal["points", "entered", "left", "run", "message", "not_begun"]


@dataclass(frozen=True)
class TimelineStep:
    """One thing that followed. One of the facts is there, a run may have its message. `probable`: joined by time."""

    kind: Kind
    moment: datetime
    line: LedgerLine | None = None
    stay: SegmentStay | None = None
    run: JourneyRun | None = None
    message: SentMessage | None = None
    not_begun: JourneyNotBegun | None = None
    probable: bool = False


@dataclass(frozen=True)
class Chain:
    """A visit, or a first step without one, and the steps that followed, in their order."""

    moment: datetime
    visit: VisitRow | None
    steps: tuple[TimelineStep, ...]


@dataclass
class _Growing:
    moment: datetime
    visit: VisitRow | None = None
    steps: list[TimelineStep] = field(default_factory=list)


@dataclass
class _Folding:
    of_visit: dict[UUID, _Growing]
    alone: list[_Growing] = field(default_factory=list)
    entered: list[tuple[SegmentStay, _Growing]] = field(default_factory=list)

    def place(self, step: TimelineStep, home: _Growing | None) -> _Growing:
        if home is None:
            home = _Growing(step.moment)
            self.alone.append(home)
        home.steps.append(step)
        return home

    def home_of(self, cause: CauseOfMove | None) -> _Growing | None:
        return self.of_visit.get(cause.visit_id) if cause and cause.visit_id else None

    def soon_before(self, moment: datetime) -> _Growing | None:
        near = [home for home in self.of_visit.values() if timedelta(0) <= moment - home.moment <= SOON]
        return max(near, key=lambda home: (home.moment, home.visit.id if home.visit else NIL), default=None)

    def of_stay(self, matching: Iterable[tuple[SegmentStay, _Growing]], moment: datetime) -> _Growing | None:
        found = [(abs(stay.entered_at - moment), stay.segment_id, stay.reason, home) for stay, home in matching]
        return min(found, key=lambda each: each[:3])[3] if found else None


def chains(
    visits: Sequence[VisitRow], ledger: Sequence[LedgerLine], stays: Sequence[SegmentStay], messages: MessagesOfGuest
) -> tuple[Chain, ...]:
    """The chains of one guest, the newest first."""
    folding = _Folding({visit.id: _Growing(visit.visit_date, visit) for visit in visits})
    for line in ledger:
        home = folding.of_visit.get(line.visit_id) if line.visit_id else None
        folding.place(TimelineStep("points", line.occurred_at, line=line), home)
    for stay in stays:
        known = folding.home_of(stay.cause)
        probable = None if stay.cause or stay.reason != "visit" else folding.soon_before(stay.entered_at)
        step = TimelineStep("entered", stay.entered_at, stay=stay, probable=probable is not None)
        folding.entered.append((stay, folding.place(step, known or probable)))
        if stay.left_at is not None:
            folding.place(TimelineStep("left", stay.left_at, stay=stay), folding.home_of(stay.left_cause))
    _place_messages(folding, messages)
    made = [*folding.of_visit.values(), *folding.alone]
    finished = [Chain(each.moment, each.visit, tuple(sorted(each.steps, key=_order))) for each in made]
    return tuple(sorted(finished, key=lambda chain: chain.moment, reverse=True))


def since_oldest_visit(told: Sequence[Chain]) -> tuple[Chain, ...]:
    """What is not older than the oldest visit among them: before that, visits are missing to which steps belong."""
    oldest = min((chain.moment for chain in told if chain.visit), default=None)
    return tuple(told) if oldest is None else tuple(chain for chain in told if chain.moment >= oldest)


def _place_messages(folding: _Folding, messages: MessagesOfGuest) -> None:
    """Runs with the message they led to, then messages without a run, then what did not begin."""
    free = {message.id: message for message in messages.messages}
    for run in messages.runs:
        own = [
            each for each in free.values() if each.trigger_id == run.trigger_id and each.queued_at >= run.occurred_at
        ]
        message = min(own, key=lambda each: (each.queued_at, each.id), default=None)
        if message is not None:
            del free[message.id]
        step = TimelineStep("run", run.occurred_at, run=run, message=message)
        folding.place(step, _home_of_trigger(folding, run.trigger_id, run.occurred_at))
    for message in free.values():
        home = folding.of_visit.get(message.visit_id) if message.visit_id else None
        home = home or _home_of_trigger(folding, message.trigger_id, message.queued_at)
        folding.place(TimelineStep("message", message.queued_at, message=message), home)
    for absent in messages.not_begun:
        matching = [each for each in folding.entered if each[0].segment_key == absent.segment_key]
        step = TimelineStep("not_begun", absent.entered_at, not_begun=absent)
        folding.place(step, folding.of_stay(matching, absent.entered_at))


def _home_of_trigger(folding: _Folding, trigger_id: UUID, moment: datetime) -> _Growing | None:
    if home := folding.of_visit.get(trigger_id):
        return home
    return folding.of_stay([each for each in folding.entered if each[0].segment_id == trigger_id], moment)


def _order(step: TimelineStep) -> tuple[datetime, str]:
    return step.moment, step.kind
