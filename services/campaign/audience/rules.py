"""What identifies a guest's stay in a segment, and what a message about a case may name."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from services.campaign.audience.models.values import Notice
from shared.persian.text import persian_digits


def stay_id(segment_id: UUID, entered_at: datetime) -> UUID:
    """What identifies a guest's stay in a segment, beside the guest."""
    return uuid5(segment_id, entered_at.astimezone(UTC).isoformat())


def notice_values(notice: Notice) -> dict[str, str | None]:
    """What a text about a case may name: no word and no number of the guest's."""
    rating = None if notice.overall_rating is None else persian_digits(str(notice.overall_rating))
    table = None if notice.table_number is None else f"میز {persian_digits(notice.table_number)}"
    return {"rating": rating or "پایین", "table": table}
