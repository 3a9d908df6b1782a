"""What a cafe starts with: journeys that send, and the installation's SMS account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from services.campaign.channels import store as channels_store
from services.campaign.channels.handlers.accounts import installation_account
from services.campaign.journeys.models.values import PURPOSE_OF, NewJourney
from services.campaign.journeys.store import journeys
from services.campaign.messages.rules import pace
from services.campaign.messages.store import cafes, deliveries
from services.campaign.texts.models.values import Trigger
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.events.identity import CafeChanged
from shared.security import access


async def on_cafe_changed(conn: Connection, events: Sequence[CafeChanged]) -> None:
    """Keeps the cafes; one seen for the first time gets its settings, its journeys and its provider. What is held by
    quiet hours that have changed is decided about again."""
    cafe_ids = sorted({event.cafe_id for event in events})
    # Whoever decides for these cafes by the former hours is done, or waits for the new ones.
    await channels_store.lock_providers(conn, cafe_ids)
    before = await cafes.cafe_rules(conn, cafe_ids)
    await access.on_cafe_changed(conn, events)
    await give_defaults(conn, cafe_ids)
    after, moment = await cafes.cafe_rules(conn, cafe_ids), now()
    held = ((cafe_id, pace.held_by(rules, after[cafe_id], moment)) for cafe_id, rules in before.items())
    await deliveries.end_quiet_hours(conn, [(cafe_id, until) for cafe_id, until in held if until], moment)


GUEST: Final = {"name": "مهمان"}


@dataclass(frozen=True)
class _Default:
    """A journey; `fallbacks` stand for what is not known of a guest."""

    key: str
    name: str
    trigger: Trigger
    segment_key: str | None
    delay_minutes: int
    content: str
    category: str
    fallbacks: Mapping[str, str]


DEFAULTS: Final = (
    _Default(
        "thanks",
        "سپاس پس از بازدید",
        "visit.recorded",
        None,
        5,
        "{{name}} عزیز، از این‌که به {{cafe}} آمدید سپاسگزاریم.\nنظرتان را با ما در میان بگذارید:\n{{link}}",
        "feedback",
        GUEST,
    ),
    _Default(
        "case_notice",
        "خبر نظر بد به مسئول شیفت",
        "case.opened",
        None,
        0,
        "امتیاز {{rating}} برای {{table}} در {{cafe}}.\nدر پنل ببینید.",
        "feedback",
        {"table": "یک مهمان"},
    ),
    _Default(
        "answer",
        "خبر پاسخ به نظر مهمان",
        "feedback.responded",
        None,
        0,
        "{{name}} عزیز، پاسخ {{cafe}} به نظرتان را ببینید:\n{{link}}",
        "feedback",
        GUEST,
    ),
    _Default(
        "vip_welcome",
        "خوشامد مهمان ویژه",
        "segment.entered",
        "vip_customers",
        0,
        "{{name}} عزیز، به جمع مهمانان ویژهٔ {{cafe}} خوش آمدید. خوشحالیم که همراه مایید.",
        "welcome",
        GUEST,
    ),
)


async def give_defaults(conn: Connection, cafe_ids: Sequence[UUID]) -> None:
    """Adds to each of the cafes, once, what a cafe starts with."""
    moment = now()
    fresh = await cafes.insert_settings(conn, cafe_ids)
    if not fresh:
        return
    await journeys.insert_journeys(conn, [_journey(cafe_id, each) for cafe_id in fresh for each in DEFAULTS], moment)
    for cafe_id in fresh:
        await channels_store.insert(conn, installation_account(cafe_id), moment)


def _journey(cafe_id: UUID, default: _Default) -> NewJourney:
    return NewJourney(
        id=new_id(),
        campaign_id=new_id(),
        template_id=new_id(),
        cafe_id=cafe_id,
        journey_key=default.key,
        name=default.name,
        trigger=default.trigger,
        segment_key=default.segment_key,
        delay_minutes=default.delay_minutes,
        purpose=PURPOSE_OF[default.trigger],
        content=default.content,
        fallbacks=default.fallbacks,
        category=default.category,
    )
