"""What of the customer service follows from events alone, and how it is counted anew (`crm rebuild`)."""

from services.customer.handlers import activity, rebuilding
from shared.events.campaign import ReplyReceived
from shared.events.customer import SegmentEntered, SegmentLeft
from shared.events.feedback import FeedbackReceived
from shared.events.loyalty import PointsChanged, PointsEarned, TierChanged
from shared.events.visit import (
    VisitClaimed,
    VisitCorrected,
    VisitRecorded,
    VisitVoided,
)
from shared.rebuild.rebuild import Projection

PROJECTION = Projection(
    tables=rebuilding.TABLES,
    reactions={
        VisitRecorded: activity.keep_recorded,
        VisitClaimed: activity.keep_claimed,
        VisitCorrected: activity.keep_corrected,
        VisitVoided: activity.keep_voided,
        PointsEarned: activity.keep_points,
        PointsChanged: activity.keep_points,
        TierChanged: activity.keep_tiers,
        FeedbackReceived: activity.keep_ratings,
        ReplyReceived: rebuilding.keep_replied,
        SegmentEntered: rebuilding.keep_moves,
        SegmentLeft: rebuilding.keep_moves,
    },
    begin=rebuilding.begin,
    finish=rebuilding.finish,
    after=rebuilding.evaluate_again,
)
