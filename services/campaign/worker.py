"""What the campaign service listens to and does by itself."""

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
from shared.messaging.consumer import Reactions, WithKeys
from shared.messaging.fetching import gather
from shared.messaging.worker import run
from shared.security import access

REACTIONS = Reactions(
    events={
        **access.REACTIONS,
        CafeChanged: defaults.on_cafe_changed,
        CustomerProfiled: WithKeys(recipients.on_customer_profiled),
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
        CaseClosed: guests.on_case_closed,
        LinkOpened: openings.on_link_opened,
        FeedbackResponded: enrolling.on_feedback_responded,
    }
)


SENDER = sending.Sender()
UNKNOWN, SENT = asking.Asker("sending"), asking.Asker("sent")

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
