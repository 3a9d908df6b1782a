"""What goes out by itself: how it goes, one of it, and what it costs."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.console.handlers.club import Cards, cards_of
from services.console.handlers.panels import panel, there
from services.console.models import messages as models
from services.console.models.people import Colleague
from services.console.models.session import Insider
from services.console.rules.messages import whole_text
from services.console.store import identity, messages
from services.console.store.upstream import Away, RefusedCall, Upstream

NEWEST, VERSIONS = 30, 10


@dataclass(frozen=True)
class MessagesPage:
    """All that goes by itself with its figures, and what the month costs so far."""

    journeys: tuple[models.JourneyOfCafe, ...]
    figures: Mapping[UUID, models.JourneyFigures] | Away
    spend: models.SpendOfMonth | Away


async def show(up: Upstream, here: Insider) -> MessagesPage:
    """The page of what goes by itself: three calls beside each other."""
    access, cafe_id = here.access, here.cafe.cafe_id
    journeys, figures, spend = await asyncio.gather(
        messages.journeys(up, access, cafe_id),
        panel(messages.results(up, access, cafe_id)),
        panel(messages.spend(up, access, cafe_id, None)),
    )
    by_id = figures if isinstance(figures, Away) else {each.journey_id: each for each in figures}
    return MessagesPage(journeys, by_id, spend)


@dataclass(frozen=True)
class JourneyPage:
    """One message that goes by itself: its figures, versions, and for whom it went or did not."""

    journey: models.JourneyOfCafe
    figures: models.JourneyFigures | Away | None
    versions: tuple[models.JourneyVersion, ...] | Away
    newest: tuple[models.JourneyMessage, ...] | Away
    cards: Cards
    names: Mapping[UUID, str]


async def show_one(up: Upstream, here: Insider, journey_id: UUID) -> JourneyPage:
    """The page of one: five calls beside each other, and one for the guests' names.

    Raises `RefusedCall` 404 for one that the cafe does not have.
    """
    access, cafe_id = here.access, here.cafe.cafe_id
    journeys, figures, versions, newest, members = await asyncio.gather(
        messages.journeys(up, access, cafe_id),
        panel(messages.results(up, access, cafe_id)),
        panel(messages.versions(up, access, cafe_id, journey_id, VERSIONS)),
        panel(messages.newest(up, access, cafe_id, journey_id, NEWEST)),
        panel(identity.list_members(up, access, cafe_id)),
    )
    journey = found_in(journeys, journey_id)
    own = figures if isinstance(figures, Away) else next((e for e in figures if e.journey_id == journey_id), None)
    nobody: tuple[Colleague, ...] = ()
    names = {each.user_id: each.display_name for each in there(members, nobody)}
    none: tuple[models.JourneyMessage, ...] = ()
    cards = await cards_of(up, here, (each.customer_id for each in there(newest, none)))
    return JourneyPage(journey, own, versions, newest, cards, names)


def found_in(journeys: Sequence[models.JourneyOfCafe], journey_id: UUID) -> models.JourneyOfCafe:
    """The journey of that id. Raises `RefusedCall` 404 when there is none."""
    journey = next((each for each in journeys if each.id == journey_id), None)
    if journey is None:
        raise RefusedCall(404, "not_found", "There is no such message.", "چنین پیامی نیست.", (), 0)
    return journey


async def preview(up: Upstream, here: Insider, text: dict[str, Any]) -> models.TextPreview | RefusedCall | Away | None:
    """How a text reads; what is wrong with it; None while there is nothing to read."""
    if not text["content"].strip():
        return None
    try:
        return await panel(messages.preview_text(up, here.access, here.cafe.cafe_id, text))
    except RefusedCall as error:
        if error.status == 422:
            return error
        raise


async def preview_of(
    up: Upstream, here: Insider, journey: models.JourneyOfCafe, content: str
) -> models.TextPreview | RefusedCall | Away | None:
    """How a text of that journey reads."""
    return await preview(up, here, {"content": content, "trigger": journey.trigger, "purpose": journey.purpose})


def text_of(journey: models.JourneyOfCafe) -> str:
    """What the journey says, as it is written; the version that waits where there is one."""
    newest = journey.waiting or journey
    return whole_text(newest.template_content, newest.template_variables)


async def template(up: Upstream, here: Insider, template_id: UUID) -> models.MessageTemplate:
    """One text of the library. Raises `RefusedCall` 404 for one that the cafe does not have."""
    found = await messages.templates(up, here.access, here.cafe.cafe_id)
    for each in found:
        if each.id == template_id:
            return each
    raise RefusedCall(404, "not_found", "There is no such text.", "چنین متنی نیست.", (), 0)


@dataclass(frozen=True)
class RepliesPage:
    """What guests answered that waits for a person."""

    replies: tuple[models.UnclearReply, ...]
    cards: Cards


async def list_replies(up: Upstream, here: Insider) -> RepliesPage:
    """The answers with their guests."""
    found = await messages.replies(up, here.access, here.cafe.cafe_id)
    return RepliesPage(found, await cards_of(up, here, (each.customer_id for each in found)))


def every_day(spend: models.SpendOfMonth, until: date) -> tuple[tuple[date, Decimal, int], ...]:
    """Every day of the month until then, also those on which nothing went out: day, cost, messages."""
    kept = {each.day: each for each in spend.days}
    last = min(spend.last, max(until, spend.first))
    days = [spend.first + timedelta(days=n) for n in range((last - spend.first).days + 1)]
    return tuple((day, kept[day].spent, kept[day].messages) if day in kept else (day, Decimal(0), 0) for day in days)
