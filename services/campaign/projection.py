"""What of the campaign service follows from events alone, and how it is counted anew (`crm rebuild`)."""

from services.campaign.audience.handlers import guests
from shared.events.customer import (
    ConsentChanged,
    CustomerErased,
    CustomerProfiled,
    CustomerStatusChanged,
    SegmentEntered,
    SegmentLeft,
    SegmentListChanged,
)
from shared.events.feedback import CaseClosed, CaseOpened
from shared.messaging.consumer import WithKeys
from shared.rebuild.rebuild import Projection
from shared.rebuild.shadow import Table

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
        CaseOpened: guests.keep_cases,
        CaseClosed: guests.keep_cases,
        CustomerProfiled: WithKeys(guests.keep_profiles),
    },
)
