"""What became of a journey's messages, from what its counters grew by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from services.campaign.messages.rules.results import REASONS

_OTHER: Final = ("The provider refused it with code {}.", "ارائه‌دهنده آن را با کد {} نپذیرفت.")


@dataclass(frozen=True)
class NotSent:
    """Messages that did not go, for one reason."""

    outcome: str
    reason: str
    messages: int
    en: str
    fa: str


@dataclass(frozen=True)
class JourneyDays:
    """A journey's figures over some days; the cost in Rial."""

    journey_id: UUID
    sent: int
    delivered: int
    opened: int
    not_sent: int
    cost: Decimal
    reasons: Sequence[NotSent]


def in_words(reason: str) -> tuple[str, str]:
    """What a check's name, or a provider's code, is called: English, Persian."""
    return REASONS.get(reason) or (_OTHER[0].format(reason), _OTHER[1].format(reason))


def of_journey(journey_id: UUID, grown: Mapping[tuple[str, str], Decimal]) -> JourneyDays:
    """The figures, the most frequent reason first. What was taken back since may leave less than nothing of a day."""
    reasons = [
        NotSent(what, reason, int(amount), *in_words(reason))
        for (what, reason), amount in grown.items()
        if what in ("skipped", "failed") and amount > 0
    ]
    return JourneyDays(
        journey_id=journey_id,
        sent=_count(grown, "sent"),
        delivered=_count(grown, "delivered"),
        opened=_count(grown, "opened"),
        not_sent=sum(each.messages for each in reasons),
        cost=max(Decimal(0), grown.get(("cost", ""), Decimal(0))),
        reasons=sorted(reasons, key=lambda each: (-each.messages, each.outcome, each.reason)),
    )


def _count(grown: Mapping[tuple[str, str], Decimal], what: str) -> int:
    return max(0, int(grown.get((what, ""), Decimal(0))))
