"""What texts are made of, and on which occasions they are sent."""

from dataclasses import dataclass
from typing import Literal

LONGEST_MESSAGE = 900
Trigger = Literal["visit.recorded", "segment.entered", "case.opened", "feedback.responded"]
# Whose occasion is a visit, so that the message may hold the visit's link.
ABOUT_VISITS: frozenset[Trigger] = frozenset({"visit.recorded", "feedback.responded"})


@dataclass(frozen=True)
class Remark:
    """Something that whoever wrote a text should look at, in both languages."""

    code: str
    en: str
    fa: str
