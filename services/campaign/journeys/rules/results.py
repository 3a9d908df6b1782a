"""What became of a journey's messages, from what its counters grew by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from services.campaign.messages.rules.results import Ended, ended_of


@dataclass(frozen=True)
class JourneyDays:
    """A journey's figures over some days; the cost in Rial."""

    journey_id: UUID
    sent: int
    delivered: int
    opened: int
    not_sent: int
    cost: Decimal
    reasons: Sequence[Ended]


def of_journey(journey_id: UUID, grown: Mapping[tuple[str, str], Decimal]) -> JourneyDays:
    """The figures, the most frequent reason first. What was taken back since may leave less than nothing of a day."""
    reasons = [
        ended_of(what, reason, int(amount))
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
