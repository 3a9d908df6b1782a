"""What the campaign service listens to and does by itself."""

from functools import partial

from services.campaign.handlers import queueing, reactions, sending
from shared import access
from shared.consumer import Reactions
from shared.events.customer import (
    ConsentChanged,
    CustomerErased,
    CustomerProfiled,
    CustomerStatusChanged,
    SegmentEntered,
    SegmentLeft,
)
from shared.events.feedback import FeedbackReceived
from shared.events.identity import CafeChanged
from shared.events.visit import VisitRecorded, VisitVoided
from shared.settings import settings
from shared.worker import Job, run

REACTIONS = Reactions(
    events={
        **access.REACTIONS,
        CafeChanged: reactions.on_cafe_changed,
        CustomerProfiled: partial(reactions.on_customer_profiled, keys=settings().keys),
        CustomerStatusChanged: reactions.on_customer_status_changed,
        CustomerErased: reactions.on_customer_erased,
        ConsentChanged: reactions.on_consent_changed,
        SegmentEntered: reactions.on_segment_entered,
        SegmentLeft: reactions.on_segment_left,
        VisitRecorded: reactions.on_visit_recorded,
        VisitVoided: reactions.on_visit_voided,
        FeedbackReceived: reactions.on_feedback_received,
    }
)

JOBS = [
    Job("queue-due-runs", 1.0, queueing.queue_due_runs),
    Job("start-campaigns", 5.0, queueing.start_campaigns),
    Job("send-due", 0.5, partial(sending.send_due, config=settings())),
    Job("settle-unknown", 5.0, partial(sending.settle_unknown, config=settings())),
    Job("poll-receipts", 5.0, partial(sending.poll_receipts, config=settings())),
]

if __name__ == "__main__":
    run("campaign", REACTIONS, JOBS)
