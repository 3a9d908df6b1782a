"""What a rehearsal's page says: the draft in sentences, and its figures in the order in which charts want them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec

from services.console.models.club import RulesOfClub, RulesVersion
from services.console.models.rehearsals import (
    GroupOfGuests,
    LapsesOfMonth,
    PointsOfMonth,
    RehearsalOfClub,
    RungOfLadder,
)
from services.console.rules.club_rules import RuleChange, changes
from services.console.rules.report_tables import Say
from services.console.rules.speech import Speech

MOST_MONTHS = 24


@dataclass(frozen=True)
class Beside:
    """Values before and after, each pair with its word."""

    words: Sequence[str]
    before: Sequence[int]
    after: Sequence[int]


def changes_of(found: RehearsalOfClub, latest: RulesVersion, s: Speech) -> tuple[RuleChange, ...]:
    """What the draft changes of the newest rules."""
    version = msgspec.structs.replace(
        latest,
        version=latest.version + 1,
        earn_per=found.earn_per,
        point_worth=found.point_worth,
        currency_unit=found.currency_unit,
        rules=msgspec.convert(found.rules, RulesOfClub, strict=False),
    )
    return changes(latest, version, s)


def by_month(months: Sequence[PointsOfMonth], s: Speech) -> Beside:
    """All rules together, of the newest months."""
    sums: dict[date, list[int]] = defaultdict(lambda: [0, 0])
    for each in months:
        sums[each.month][0] += each.before
        sums[each.month][1] += each.after
    newest = sorted(sums.items())[-MOST_MONTHS:]
    words = [s.month(month) for month, _ in newest]
    return Beside(words, [each[0] for _, each in newest], [each[1] for _, each in newest])


def by_rule(months: Sequence[PointsOfMonth]) -> Mapping[str, tuple[int, int]]:
    """All months together, those first that give most under the draft."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for each in months:
        sums[each.rule][0] += each.before
        sums[each.rule][1] += each.after
    ordered = sorted(sums.items(), key=lambda each: (-each[1][1], -each[1][0], each[0]))
    return {rule: (before, after) for rule, (before, after) in ordered}


def by_tier(ladder: Sequence[RungOfLadder], say: Say) -> Beside:
    """The guests of each tier."""
    words = [say(f"tier.{each.tier}") for each in ladder]
    return Beside(words, [each.before for each in ladder], [each.after for each in ladder])


def by_lapse(lapses: Sequence[LapsesOfMonth], s: Speech, say: Say) -> Beside:
    """What guests hold, by the month in which it lapses; what never does comes last."""
    words = [say("rehearsal.never") if each.month is None else s.month(each.month) for each in lapses]
    return Beside(words, [each.before for each in lapses], [each.after for each in lapses])


def group_word(group: GroupOfGuests, s: Speech) -> str:
    """The bounds of a group as one reads them: `+1 … +29`."""
    if group.least == group.most and group.least is not None:
        return s.signed(group.least)
    ends = ("" if each is None else s.signed(each) for each in (group.least, group.most))
    return " … ".join(ends).strip()


def body_of(found: RehearsalOfClub, *, mode: str | None = None, begins: datetime | None = None) -> dict[str, Any]:
    """The draft as the API takes it again: to be published, or with a `mode` to be tried otherwise."""
    body: dict[str, Any] = {"rules": found.rules}
    if mode is None:
        body["rehearsal_id"] = found.rehearsal_id
    else:
        body["mode"] = mode
    return body if begins is None else body | {"valid_from": begins}
