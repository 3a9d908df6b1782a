"""What is copied from one cafe to another, and what stays as it is there: nothing is ever written over unasked."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from services.console.models.chain import CopiedThing, CopyStep, LibraryText, ProgramVersion, RuleDifference
from services.console.models.segments import SegmentFile
from services.console.rules.versions import in_force
from shared.persian.text import search_key

# Which rules are copied. How much one person may give alone belongs to the people of each cafe.
RULES: Final = (
    "earn_per_toman", "toman_per_point", "tiers", "tier_period", "points_expire_days", "negative_balance",
    "base", "earn", "multiply", "stacking", "caps", "expiry", "tier_grace_days", "downgrade", "warn",
    "cards", "birthday", "pending", "referral",
)  # fmt: skip
_ID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.I)


def of_program(programs: Sequence[ProgramVersion], now: datetime) -> CopiedThing | None:
    """The rules in force."""
    current = in_force(programs, now)
    if current is None:
        return None
    rules = {name: current.rules[name] for name in RULES if name in current.rules}
    return CopiedThing("rules", "rules", "", {"rules": rules})


def of_text(text: LibraryText) -> CopiedThing:
    """A text of the library."""
    body = {
        "name": text.name, "template_type": text.template_type, "content": text.content, "variables": text.variables,
        "category": text.category,
    }  # fmt: skip
    return CopiedThing("text", f"text.{text.id}", text.name, body)


def of_segment(segment: SegmentFile, unit: str) -> CopiedThing:
    """A segment of the cafe's own; amounts in its rule are in `unit`, that of the cafe it comes from."""
    body = {
        "name": segment.name, "segment_key": segment.segment_key, "description": segment.description,
        "color_hex": segment.color_hex, "criteria": segment.criteria, "currency_unit": unit,
    }  # fmt: skip
    return CopiedThing("segment", f"segment.{segment.id}", segment.name, body)


def step_of_rules(item: CopiedThing, programs: Sequence[ProgramVersion], now: datetime) -> CopyStep:
    """Rules become a new version of the other cafe's, unless they are the same."""
    if speaks_of_others(item.body):
        return CopyStep(item, "foreign")
    there, wanted = in_force(programs, now), item.body["rules"]
    found = tuple(
        RuleDifference(name, there.rules.get(name) if there else None, wanted[name])
        for name in RULES
        if name in wanted and (there is None or there.rules.get(name) != wanted[name])
    )
    return CopyStep(item, "new" if found else "same", found)


def step_of_text(item: CopiedThing, texts: Sequence[LibraryText]) -> CopyStep:
    """A text is added, unless one of that name is there."""
    if speaks_of_others(item.body):
        return CopyStep(item, "foreign")
    named = [each for each in texts if search_key(each.name) == search_key(item.name)]
    if any(each.content == item.body["content"] for each in named):
        return CopyStep(item, "same")
    return CopyStep(item, "taken" if named else "new")


def step_of_segment(item: CopiedThing, segments: Sequence[SegmentFile], unit: str) -> CopyStep:
    """A segment is added, unless one of that name or key is there. `unit`: that of the cafe it goes to."""
    if speaks_of_others(item.body["criteria"]):
        return CopyStep(item, "foreign")
    named = [
        each
        for each in segments
        if search_key(each.name) == search_key(item.name) or each.segment_key == item.body["segment_key"]
    ]
    if unit == item.body["currency_unit"] and any(each.criteria == item.body["criteria"] for each in named):
        return CopyStep(item, "same")
    return CopyStep(item, "taken" if named else "new")


def speaks_of_others(body: Any) -> bool:
    """Whether somewhere inside stands the id of something: what it names is only where it comes from."""
    return any(_ID.search(text) for text in _texts(body))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield str(name)
            yield from _texts(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _texts(each)
