"""Why a message waits while its campaign rests, how it ends, and how ends make a funnel, without a server."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.campaign.campaigns.rules import campaigns
from services.campaign.channels.models.values import DeliveryReceipt, SendResult
from services.campaign.messages.decide import decide
from services.campaign.messages.rules import pace, settling
from services.campaign.messages.rules.funnel import funnel_of
from tests.campaign.test_rules import HANDED, NOON, PENDING, facts

RESTING = replace(PENDING, is_paused=True)
COUNTED = {
    "recipients": 20, "messages_sent": 9, "messages_delivered": 5, "messages_opened": 0, "messages_replied": 2,
    "guests_returned": 1,
}  # fmt: skip
ENDED = [
    {"outcome": outcome, "reason": reason, "messages": messages}
    for outcome, reason, messages in (
        ("skipped", "consent", 4), ("skipped", "budget", 2), ("failed", "411", 1),
        ("undelivered", "blocked_by_guest", 3),
    )
]  # fmt: skip


def test_message_of_a_resting_campaign_is_held_until_just_before_it_expires() -> None:
    decision = decide(facts(pending=RESTING))
    assert (decision.outcome, decision.reason) == ("hold", "paused")
    assert decision.hold_until == RESTING.expires_at - pace.LAST_CHANCE
    late = decide(facts(pending=RESTING, moment=RESTING.expires_at - timedelta(seconds=1)))
    assert (late.outcome, late.reason) == ("skip", "paused")


@pytest.mark.parametrize("status", ["cancelled", "failed"])
def test_what_has_ended_rests_no_more(status: Any) -> None:
    decision = decide(facts(pending=replace(RESTING, campaign_status=status)))
    assert (decision.outcome, decision.reason) == ("skip", "campaign")


def test_end_is_told_apart_by_whether_a_provider_took_the_message() -> None:
    refused = settling.after_send(HANDED, SendResult("refused_message", code="411"), NOON)
    assert refused is not None
    assert settling.ends_of(HANDED, refused) == {("failed", "411"): 1}
    sent = replace(HANDED, status="sent", sent_at=NOON)
    blocked = settling.after_receipt(sent, DeliveryReceipt("blocked", "14"), NOON)
    assert blocked is not None
    assert settling.ends_of(sent, blocked) == {("undelivered", "blocked_by_guest"): 1}
    found = settling.after_find(HANDED, DeliveryReceipt("undelivered", "11"), NOON)
    assert found is not None
    assert settling.ends_of(HANDED, found) == {("undelivered", "11"): 1}
    given_up = replace(HANDED, status="skipped", reason="expiry")
    taken = settling.after_send(given_up, SendResult("accepted", "7"), NOON)
    assert taken is not None
    assert settling.ends_of(given_up, taken) == {("skipped", "expiry"): -1}


def test_funnel_is_made_of_counters_and_ends() -> None:
    funnel = funnel_of(COUNTED, ENDED)
    assert (funnel.barred, funnel.allowed, funnel.dropped, funnel.failed) == (4, 16, 2, 1)
    assert (funnel.waiting, funnel.sent) == (4, 9)
    assert (funnel.undelivered, funnel.on_the_way, funnel.delivered) == (3, 1, 5)
    assert [(each.loss, each.reason) for each in funnel.lost] == [
        ("barred", "consent"), ("dropped", "budget"), ("failed", "411"), ("undelivered", "blocked_by_guest"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at_once", "passed", "overdue"),
    [
        (False, campaigns.OVERDUE, False),
        (False, campaigns.OVERDUE + timedelta(seconds=1), True),
        (True, campaigns.OVERDUE + timedelta(seconds=1), False),
        (True, campaigns.FORGOTTEN + timedelta(seconds=1), True),
    ],
)
def test_approval_may_come_late_for_what_has_no_date(at_once: bool, passed: timedelta, overdue: bool) -> None:
    campaign = {"at_once": at_once, "scheduled_date": NOON - passed}
    assert campaigns.is_overdue(campaign, NOON) is overdue
