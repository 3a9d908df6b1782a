"""What a cafe starts with: journeys that send, and the installation's SMS account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from uuid import UUID

from services.campaign.handlers.providers import kavenegar
from services.campaign.models import PURPOSE_OF, Provider, Trigger
from services.campaign.store import journeys, providers
from services.campaign.store.journeys import NewJourney
from shared.clock import new_id, now
from shared.database.db import Connection

# Rial for one Persian part, until the provider's own answers say better.
DEFAULT_COST_PER_SMS: Final = Decimal(1390)
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
    fresh = await journeys.insert_settings(conn, cafe_ids)
    if not fresh:
        return
    await journeys.insert_journeys(conn, [_journey(cafe_id, each) for cafe_id in fresh for each in DEFAULTS], moment)
    for cafe_id in fresh:
        await providers.insert(conn, _installation_account(cafe_id), moment)


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


def _installation_account(cafe_id: UUID) -> Provider:
    return Provider(
        id=new_id(),
        cafe_id=cafe_id,
        provider_name=kavenegar.NAME,
        api_endpoint=None,
        api_key_sealed=None,
        sender_line=None,
        cost_per_sms=DEFAULT_COST_PER_SMS,
        is_active=True,
        priority_order=100,
        daily_limit=None,
        monthly_limit=None,
    )
