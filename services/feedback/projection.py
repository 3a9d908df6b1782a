"""What of the feedback service follows from events alone, and how it is counted anew (`crm rebuild`)."""

from services.feedback.handlers import reactions
from services.feedback.store import guests
from shared.events.customer import CustomerErased, CustomerRegistered
from shared.events.visit import VisitClaimed, VisitCorrected, VisitRecorded, VisitVoided
from shared.rebuild.rebuild import Projection
from shared.rebuild.shadow import Table

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
