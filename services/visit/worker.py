"""The Kafka side of the visit service."""

from services.visit.handlers import erasure, reactions, upkeep, words
from services.visit.handlers.tills import on_pos_records
from shared.database.db import Pool
from shared.events.customer import ConsentChanged, CustomerErased, CustomerProfiled
from shared.events.feedback import FeedbackReceived
from shared.events.identity import BranchChanged
from shared.events.loyalty import PointsEarned, RedemptionCompleted, RedemptionRefused, RedemptionReversed
from shared.jobs.periodic import Job
from shared.messaging.consumer import Reactions, WithKeys
from shared.messaging.fetching import immediate
from shared.messaging.worker import run
from shared.security import access
from shared.settings import settings

REACTIONS = Reactions(
    events={
        **access.REACTIONS,
        BranchChanged: reactions.on_branch_changed,
        CustomerProfiled: WithKeys(reactions.on_customer_profiled),
        ConsentChanged: reactions.on_consent_changed,
        CustomerErased: WithKeys(reactions.on_customer_erased),
        PointsEarned: reactions.on_points_earned,
        RedemptionCompleted: reactions.on_redemption_completed,
        RedemptionRefused: reactions.on_redemption_refused,
        RedemptionReversed: reactions.on_redemption_reversed,
        FeedbackReceived: reactions.on_feedback_received,
    },
    ingress={"pos.visits": WithKeys(on_pos_records)},
    by_key=True,
)


async def seal_words(pool: Pool) -> int:
    """Seals what a version of before wrote down in clear."""
    return await words.seal_older(pool, keys=settings().keys)


JOBS = [
    Job("visit.make_partitions", 6 * 3600.0, upkeep.make_partitions),
    Job("visit.count_days", 5.0, upkeep.count_days),
    Job("visit.seal_words", 60.0, seal_words),
    Job("visit.forget_guests", 60.0, erasure.forget_late),
]

if __name__ == "__main__":
    run("visit", REACTIONS, JOBS, fetch=immediate("pos.visits"))
