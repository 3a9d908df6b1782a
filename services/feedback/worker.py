"""The Kafka side of the feedback service."""

from functools import partial

from services.feedback.handlers import reactions, upkeep
from services.feedback.store import guests
from shared.events.customer import CustomerErased, CustomerRegistered
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
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
        VisitRecorded: partial(reactions.on_visit_recorded, keys=settings().keys),
        VisitClaimed: reactions.on_visit_claimed,
        VisitCorrected: reactions.on_visit_corrected,
        VisitVoided: reactions.on_visit_voided,
        CustomerRegistered: reactions.on_customer_registered,
        CustomerErased: reactions.on_customer_erased,
        **access.REACTIONS,
    }
)

PROJECTION = Projection(
    tables=(
        Table(
            "visits",
            ("cafe_id", "visit_id"),
            (
                "customer_id", "visit_at", "final_amount", "currency_unit", "table_number", "corrected_at",
                "voided_at",
            ),
        ),
        Table("guests", ("cafe_id", "customer_id"), ("registered_at",)),
    ),
    reactions={
        CustomerRegistered: guests.add,
        CustomerErased: guests.forget,
        VisitRecorded: reactions.keep_recorded,
        VisitClaimed: reactions.keep_recorded,
        VisitCorrected: reactions.keep_corrected,
        VisitVoided: reactions.keep_voided,
    },
)  # fmt: skip

JOBS = [
    Job("feedback.trim_senders", 3600.0, upkeep.trim_senders),
    Job("feedback.prune_links", 3600.0, upkeep.prune_links),
]

if __name__ == "__main__":
    run("feedback", REACTIONS, JOBS, fetch=gather())
