"""From everybody whom a campaign was for to those who came back: steps, each of which is the next and what was lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from services.campaign.messages.rules.results import explained

Loss = Literal["barred", "dropped", "failed", "undelivered"]
# What bars a message lies with the guest; everything else lies with us, and drops it.
OF_GUEST: Final = frozenset(
    {"contact", "status", "line", "consent", "complaint", "left_segment", "frequency_cap", "erased"}
)


@dataclass(frozen=True)
class Lost:
    """Messages that were lost between two steps, for one reason."""

    loss: Loss
    reason: str
    messages: int
    en: str
    fa: str


@dataclass(frozen=True)
class Funnel:
    """`recipients` are `barred` and `allowed`; `allowed` are `dropped`, `failed`, `waiting` and `sent`; `sent` are
    `undelivered`, `on_the_way` and `delivered`; of those, some `opened` a link, and some `returned` within a week.
    `lost` says why, and adds up to the four losses."""

    recipients: int
    barred: int
    allowed: int
    dropped: int
    failed: int
    waiting: int
    sent: int
    undelivered: int
    on_the_way: int
    delivered: int
    opened: int
    replied: int
    returned: int
    lost: Sequence[Lost]


def funnel_of(campaign: Mapping[str, Any], ended: Sequence[Mapping[str, Any]]) -> Funnel:
    """The funnel of a campaign's counters and of how its messages `ended` that were lost."""
    lost = [_lost(**each) for each in ended]
    barred, dropped, failed, undelivered = (
        sum(each.messages for each in lost if each.loss == loss)
        for loss in ("barred", "dropped", "failed", "undelivered")
    )
    recipients, sent, delivered = campaign["recipients"], campaign["messages_sent"], campaign["messages_delivered"]
    return Funnel(
        recipients=recipients,
        barred=barred,
        allowed=recipients - barred,
        dropped=dropped,
        failed=failed,
        waiting=recipients - barred - dropped - failed - sent,
        sent=sent,
        undelivered=undelivered,
        on_the_way=sent - undelivered - delivered,
        delivered=delivered,
        opened=campaign["messages_opened"],
        replied=campaign["messages_replied"],
        returned=campaign["guests_returned"],
        lost=lost,
    )


def _lost(outcome: str, reason: str, messages: int) -> Lost:
    losses: Mapping[str, Loss] = {"failed": "failed", "undelivered": "undelivered"}
    loss = losses.get(outcome) or ("barred" if reason in OF_GUEST else "dropped")
    words = explained(reason)
    return Lost(loss, reason, messages, words.en, words.fa)
