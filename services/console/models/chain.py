"""Several cafes of one person beside each other, and what is copied from one to others."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec


class MonthFigures(msgspec.Struct, frozen=True):
    """This month of a cafe. `retention_rate`: of a hundred guests of the month before so many came again."""

    retention_rate: Decimal


class ProgramVersion(msgspec.Struct, frozen=True):
    """A version of the rules for points."""

    version: int
    valid_from: datetime
    rules: dict[str, Any]


class LibraryText(msgspec.Struct, frozen=True):
    """A text of the library of messages."""

    id: UUID
    name: str
    template_type: str
    content: str
    variables: dict[str, str]
    category: str | None
    is_system_template: bool


CopiedKind = Literal["rules", "text", "segment"]
# What becomes of one thing in one cafe: planned as new, or left out because it is there already, is not the same but
# has the name, or speaks of something that only the first cafe has.
CopyVerdict = Literal["new", "same", "taken", "foreign"]
CopyEnding = Literal["made", "waits", "refused", "away", "same", "taken", "foreign"]


@dataclass(frozen=True)
class CopiedThing:
    """One thing to copy. `key` names it in the form; `body` is what the API of the other cafe is sent."""

    kind: CopiedKind
    key: str
    name: str
    body: dict[str, Any]


@dataclass(frozen=True)
class RuleDifference:
    """A rule that would be another one: as it is there, and as it would be."""

    rule: str
    before: Any
    after: Any


@dataclass(frozen=True)
class CopyStep:
    """What would become of one thing in one cafe."""

    item: CopiedThing
    verdict: CopyVerdict
    differences: tuple[RuleDifference, ...] = ()


@dataclass(frozen=True)
class CopyResult:
    """What became of it. `reason` are the API's words in English and Persian where it said no."""

    step: CopyStep
    ending: CopyEnding
    reason: tuple[str, str] = ("", "")
