"""One rating with its guest and its case."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from services.console.handlers.panels import found, panel, there
from services.console.models import guests, work
from services.console.models.session import Insider
from services.console.store import customer, feedback
from services.console.store.upstream import Upstream


@dataclass(frozen=True)
class RatingPage:
    """What the page of a rating shows."""

    rating: work.RatingRow
    case: work.CaseRow | None
    guest: guests.GuestFile | None


async def show(up: Upstream, here: Insider, rating_id: UUID) -> RatingPage:
    """The page of a rating: the rating, then its guest and its case beside each other."""
    access, cafe_id = here.access, here.cafe.cafe_id
    rating = await feedback.find(up, access, cafe_id, rating_id)
    guest = found(customer.find(up, access, cafe_id, rating.customer_id)) if rating.customer_id else _nobody()
    cases, file = await asyncio.gather(
        panel(feedback.list_cases(up, access, cafe_id, "all", 1, rating_id)), panel(guest)
    )
    none: tuple[work.CaseRow, ...] = ()
    return RatingPage(rating, next(iter(there(cases, none)), None), there(file, None))


async def _nobody() -> None:
    return None
