"""What the campaign service listens to and does by itself."""

from functools import partial

from services.campaign.audience.handlers import guests
from services.campaign.campaigns.handlers import expanding
from services.campaign.journeys.handlers import defaults, enrolling
from services.campaign.messages.handlers import asking, openings, recipients, replies, sending
from shared.events.customer import (
    ConsentChanged,
    CustomerErased,
    CustomerProfiled,
    CustomerStatusChanged,
    SegmentEntered,
    SegmentLeft,
    SegmentListChanged,
)
from shared.events.feedback import CaseClosed, CaseOpened, FeedbackReceived, FeedbackResponded, LinkOpened
from shared.events.identity import CafeChanged
from shared.events.visit import VisitClaimed, VisitRecorded, VisitVoided
from shared.jobs.periodic import Job
from shared.messaging.consumer import Reactions
from shared.messaging.fetching import gather
from shared.messaging.worker import run
from shared.rebuild.rebuild import Projection
from shared.rebuild.shadow import Table
from shared.security import access
from shared.settings import settings

REACTIONS = Reactions(
    events={
        **access.REACTIONS,
        CafeChanged: defaults.on_cafe_changed,
        CustomerProfiled: partial(recipients.on_customer_profiled, keys=settings().keys),
        CustomerStatusChanged: guests.on_customer_status_changed,
        CustomerErased: recipients.on_customer_erased,
        ConsentChanged: guests.on_consent_changed,
        SegmentEntered: enrolling.on_segment_entered,
        SegmentLeft: guests.on_segment_left,
        SegmentListChanged: guests.on_segment_list_changed,
        VisitRecorded: enrolling.on_visit_recorded,
        VisitClaimed: enrolling.on_visit_claimed,
        VisitVoided: enrolling.on_visit_voided,
        FeedbackReceived: openings.on_feedback_received,
        CaseOpened: enrolling.on_case_opened,
        CaseClosed: guests.on_case_changed,
        LinkOpened: openings.on_link_opened,
        FeedbackResponded: enrolling.on_feedback_responded,
    }
)

_FORGOTTEN = ("status", "status_at", "language")
# Of an erased guest only that much is sure: the topic of profiles has forgotten the rest.
_OF_THE_LIVING = {name: f"CASE WHEN {{row}}.erased_at IS NULL THEN {{row}}.{name} END" for name in _FORGOTTEN}

PROJECTION = Projection(
    tables=(
        Table(
            "contacts",
            ("cafe_id", "customer_id"),
            ("version", "phone_sealed", "phone_hash", "name_sealed", *_FORGOTTEN, "erased_at"),
            alike=_OF_THE_LIVING,
        ),
        Table("consents", ("cafe_id", "customer_id", "channel", "purpose"), ("granted", "changed_at", "source")),
        Table(
            "segment_members",
            ("cafe_id", "segment_key", "customer_id"),
            ("segment_id", "is_member", "changed_at", "reason"),
        ),
        Table("cafe_segments", ("cafe_id",), ("keys", "off_keys", "told_at")),
        Table("complaint_holds", ("cafe_id", "customer_id", "case_id"), ("opened_at", "closed_at")),
    ),
    reactions={
        # Erasures come before cases and profiles: what is from before its guest's erasure is refused, until a later
        # profile says that the guest is back.
        CustomerStatusChanged: guests.on_customer_status_changed,
        CustomerErased: guests.forget_erased,
        ConsentChanged: guests.on_consent_changed,
        SegmentEntered: guests.keep_moves,
        SegmentLeft: guests.keep_moves,
        SegmentListChanged: guests.on_segment_list_changed,
        CaseOpened: guests.on_case_changed,
        CaseClosed: guests.on_case_changed,
        CustomerProfiled: partial(guests.keep_profiles, keys=settings().keys),
    },
)

SENDER = sending.Sender(settings())
UNKNOWN, SENT = asking.Asker(settings(), "sending"), asking.Asker(settings(), "sent")

JOBS = [
    Job(expanding.START_CAMPAIGNS, 5.0, expanding.start_campaigns),
    Job(expanding.COUNT_RESULTS, 60.0, expanding.count_results),
    Job(sending.SEND_DUE, 0.5, SENDER.send_due, eager=True, stirred=SENDER.lanes.stirred),
    Job(asking.JOB_OF["sending"], 5.0, UNKNOWN.ask, stirred=UNKNOWN.lanes.stirred),
    Job(asking.JOB_OF["sent"], 5.0, SENT.ask, stirred=SENT.lanes.stirred),
    Job("campaign.forget_replies", 3600.0, replies.forget_old),
]

if __name__ == "__main__":
    run("campaign", REACTIONS, JOBS, fetch=gather())
