"""Which of a guest's answers to the consent question counts, wherever they are kept and in whatever order they come.

There are three kinds: a no, a yes that somebody was asked for, and a till's tick, which stands on each bill whether or
not anybody asked. The tick counts while there is no other answer; of the others the later one counts.
"""

from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

# What a consent is about: by which channel messages come, and what they are for.
Channel = Literal["sms", "instagram", "email", "push"]
Purpose = Literal["service", "marketing"]

# Where an answer of a bill was given: the tick stood there, or the guest was asked for it.
TICK: Final = "till"
ASKED: Final = "till_asked"

_BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)


class Answer(NamedTuple):
    """What a guest said about advertising, where, and when."""

    granted: bool
    source: str
    at: datetime

    @property
    def rank(self) -> tuple[bool, datetime, bool]:
        """Of two answers the one with the greater rank counts. At the same moment a no beats a yes."""
        if self.granted and self.source == TICK:
            return False, _BEFORE_ALL, False
        return True, self.at, not self.granted


def counts_at(said_at: datetime, heard_at: datetime) -> datetime:
    """The moment from which an answer counts: as its own clock dates it, but no later than we heard of it.

    Otherwise a clock that is ahead would win against every later answer.
    """
    return min(said_at, heard_at)


def rank_sql(row: str, at: str = "changed_at") -> str:
    """`Answer.rank` of a row with `granted`, `source` and the column `at`."""
    tick = f"{row}.granted AND {row}.source = '{TICK}'"
    return f"(NOT ({tick}), CASE WHEN {tick} THEN '-infinity' ELSE {row}.{at} END, NOT {row}.granted)"
