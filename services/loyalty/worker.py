"""The worker process of loyalty: which event leads to which function, and what happens by the passing of time."""

from services.loyalty.handlers import periodic
from services.loyalty.handlers.cafes import on_cafes_changed, on_customers_erased, on_customers_registered
from services.loyalty.handlers.visits import on_visits_corrected, on_visits_recorded, on_visits_voided
from shared.events.customer import CustomerErased, CustomerRegistered
from shared.events.identity import CafeChanged
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.jobs.periodic import Job
from shared.messaging.consumer import Reactions
from shared.messaging.fetching import immediate
from shared.messaging.worker import run
from shared.security import access

REACTIONS = Reactions(
    events={
        **access.REACTIONS,
        CafeChanged: on_cafes_changed,
        CustomerRegistered: on_customers_registered,
        CustomerErased: on_customers_erased,
        VisitRecorded: on_visits_recorded,
        VisitClaimed: on_visits_recorded,
        VisitCorrected: on_visits_corrected,
        VisitVoided: on_visits_voided,
    },
    by_key=True,
)

JOBS = [
    Job("loyalty.expire_points", 60.0, periodic.expire_points),
    Job("loyalty.release_reservations", 30.0, periodic.release),
    Job("loyalty.end_tiers", 60.0, periodic.end_tiers),
    Job("loyalty.recount", 15.0, periodic.recount),
]

if __name__ == "__main__":
    run("loyalty", REACTIONS, JOBS, fetch=immediate("visit.events"))
