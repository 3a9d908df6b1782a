"""The worker process of loyalty: which event leads to which function, and what happens by the passing of time."""

from services.loyalty.handlers import club, grant_runs, grants, notices, periodic, reached, referrals, rehearsal_runs
from services.loyalty.handlers.cafes import on_cafe_changed, on_customer_erased, on_customer_registered
from services.loyalty.handlers.members import on_segment_entered, on_segment_left
from services.loyalty.handlers.visits import on_visit_corrected, on_visit_recorded, on_visit_voided
from shared.events.customer import BirthdayReached, CustomerErased, CustomerRegistered, SegmentEntered, SegmentLeft
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
        CafeChanged: on_cafe_changed,
        CustomerRegistered: on_customer_registered,
        CustomerErased: on_customer_erased,
        SegmentEntered: on_segment_entered,
        SegmentLeft: on_segment_left,
        BirthdayReached: grants.on_birthday_reached,
        VisitRecorded: on_visit_recorded,
        VisitClaimed: on_visit_recorded,
        VisitCorrected: on_visit_corrected,
        VisitVoided: on_visit_voided,
    },
    by_key=True,
)

JOBS = [
    Job("loyalty.expire_points", 60.0, periodic.expire_points),
    Job("loyalty.release_reservations", 30.0, periodic.release),
    Job("loyalty.end_tiers", 60.0, periodic.end_tiers),
    Job("loyalty.recount_accounts", 15.0, periodic.recount),
    Job("loyalty.tell_in_time", 60.0, notices.tell),
    Job("loyalty.tell_rewards", 20.0, reached.tell),
    Job("loyalty.count_club", 20.0, club.count),
    Job("loyalty.rehearse_rules", 2.0, rehearsal_runs.run),
    Job("loyalty.activate_points", 30.0, grants.activate),
    Job("loyalty.judge_referrals", 15.0, referrals.judge),
    Job("loyalty.give_to_many", 2.0, grant_runs.give_to_many),
]

if __name__ == "__main__":
    run("loyalty", REACTIONS, JOBS, fetch=immediate("visit.events"))
