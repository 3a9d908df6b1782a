"""Published by `feedback`, keyed by the guest (by the visit when the guest is unknown)."""

from datetime import datetime
from typing import ClassVar, Literal
from uuid import UUID

from shared.events.base import Code, Event, Identifier


class FeedbackEvent(Event, frozen=True, kw_only=True):
    topic: ClassVar[str] = "feedback.events"
    customer_id: UUID | None
    visit_id: UUID | None
    feedback_id: UUID

    @property
    def key(self) -> UUID:
        return self.customer_id or self.visit_id or self.feedback_id


class FeedbackReceived(FeedbackEvent, frozen=True, kw_only=True):
    """The comment itself stays in the feedback database."""

    type: ClassVar[str] = "feedback.received"
    visit_at: datetime | None
    source: Literal["qr_code", "staff_tablet", "sms_link", "website", "phone_call", "manual"]
    overall_rating: int
    category_ratings: dict[Code, int] = {}
    categories: list[Code] = []
    has_comment: bool = False


class CaseOpened(FeedbackEvent, frozen=True, kw_only=True):
    """A low rating wants an answer by `due_at`. `table_number` is there when it is a number, with a letter at most."""

    type: ClassVar[str] = "case.opened"
    case_id: UUID
    due_at: datetime
    overall_rating: int | None = None
    table_number: Identifier | None = None


class CaseClosed(FeedbackEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "case.closed"
    case_id: UUID


class FeedbackResponded(FeedbackEvent, frozen=True, kw_only=True):
    """The cafe has answered for the first time what a guest said of a visit. Its words stay in the feedback database,
    and on the page behind the visit's link."""

    type: ClassVar[str] = "feedback.responded"


class LinkOpened(Event, frozen=True, kw_only=True):
    """Somebody opened the link that a known guest got for a visit, for the `times`-th time: the greatest counts,
    whatever order they come in. Looks of machines are not told, nor more than so many a day."""

    type: ClassVar[str] = "link.opened"
    topic: ClassVar[str] = "feedback.events"
    customer_id: UUID
    visit_id: UUID
    times: int


EVENTS = (FeedbackReceived, CaseOpened, CaseClosed, FeedbackResponded, LinkOpened)
