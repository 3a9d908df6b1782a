"""The Kafka side of the feedback service."""

from services.feedback.handlers import reactions, upkeep
from shared.events.customer import CustomerErased, CustomerRegistered
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.jobs.periodic import Job
from shared.messaging.consumer import Reactions, WithKeys
from shared.messaging.fetching import gather
from shared.messaging.worker import run
from shared.security import access

REACTIONS = Reactions(
    events={
        VisitRecorded: WithKeys(reactions.on_visit_recorded),
        VisitClaimed: reactions.on_visit_claimed,
        VisitCorrected: reactions.on_visit_corrected,
        VisitVoided: reactions.on_visit_voided,
        CustomerRegistered: reactions.on_customer_registered,
        CustomerErased: reactions.on_customer_erased,
        **access.REACTIONS,
    }
)


JOBS = [
    Job("feedback.trim_senders", 3600.0, upkeep.trim_senders),
    Job("feedback.prune_links", 3600.0, upkeep.prune_links),
]

if __name__ == "__main__":
    run("feedback", REACTIONS, JOBS, fetch=gather())
