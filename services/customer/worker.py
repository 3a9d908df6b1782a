"""What the customer service does with what it reads, and what it does by the clock."""

from services.customer.handlers import activity, birthdays, consents, lists, periodic, registration, segments, views
from shared.events.campaign import ReplyReceived
from shared.events.feedback import FeedbackReceived
from shared.events.identity import CafeChanged
from shared.events.loyalty import PointsChanged, PointsEarned, TierChanged
from shared.events.visit import (
    ConsentRefused,
    ContactLearned,
    VisitClaimed,
    VisitCorrected,
    VisitRecorded,
    VisitVoided,
)
from shared.jobs.periodic import Job
from shared.messaging.consumer import Reactions, WithKeys
from shared.messaging.fetching import gather
from shared.messaging.worker import run
from shared.security import access

REACTIONS = Reactions(
    events={
        **access.REACTIONS,
        CafeChanged: segments.on_cafe_changed,
        ContactLearned: WithKeys(registration.on_contact_learned),
        VisitRecorded: activity.on_visit_recorded,
        VisitClaimed: activity.on_visit_claimed,
        VisitCorrected: activity.on_visit_corrected,
        VisitVoided: activity.on_visit_voided,
        PointsEarned: activity.on_points_changed,
        PointsChanged: activity.on_points_changed,
        TierChanged: activity.on_tier_changed,
        FeedbackReceived: activity.on_feedback_received,
        ReplyReceived: consents.on_message_reply_received,
        ConsentRefused: consents.on_contact_refused,
    }
)
JOBS = [
    Job("customer.reevaluate_guests", 1.0, periodic.reevaluate_due),
    Job("customer.recalculate_segments", 1.0, periodic.recalculate),
    Job("customer.announce_segments", 1.0, periodic.announce_segments),
    Job("customer.list_guests", 1.0, lists.list_changed),
    Job(birthdays.TELL, 30.0, birthdays.tell),
    Job("customer.prune_views", 3600.0, views.prune),
    Job("customer.prune_segment_days", 3600.0, segments.prune_days),
]
if __name__ == "__main__":
    run("customer", REACTIONS, JOBS, fetch=gather())
