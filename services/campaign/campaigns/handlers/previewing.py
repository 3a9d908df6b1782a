"""What a campaign would do if it began now. Nothing is kept, and nothing is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg

from services.campaign.audience.models.values import PROFILES
from services.campaign.campaigns.handlers import campaigns
from services.campaign.campaigns.rules import segments_of
from services.campaign.campaigns.store import previewing
from services.campaign.channels import store as channels_store
from services.campaign.channels.handlers.accounts import account_to_send_by
from services.campaign.channels.models.values import Provider
from services.campaign.channels.registry import render
from services.campaign.messages.rules.results import REASONS
from services.campaign.messages.store import cafes as cafes_store
from services.campaign.texts.rules import template
from shared.clock import now
from shared.database.db import Connection
from shared.persian.phone import last_four
from shared.security.crypto import CannotUnseal, unseal
from shared.settings import Settings

SAMPLES: Final = 5


@dataclass(frozen=True)
class NotReached:
    """Guests who would not be sent it, for one reason."""

    reason: str
    guests: int
    en: str
    fa: str


@dataclass(frozen=True)
class Sample:
    """The message to one guest; of the number only its end."""

    customer_id: UUID
    phone_ends_with: str
    text: str = field(repr=False)
    parts: int


@dataclass(frozen=True)
class Preview:
    """Whom it would reach and whom not, what it would say and cost (Rial), by the longest of the samples."""

    guests: int
    reached: int
    not_reached: Sequence[NotReached]
    samples: Sequence[Sample]
    parts: int
    cost_of_one: Decimal
    cost: Decimal
    is_affordable: bool
    currency_unit: Literal["IRR"] = "IRR"


async def preview(conn: Connection, config: Settings, cafe_id: UUID, campaign_id: UUID) -> Preview:
    """What a campaign would do if it began now.

    Raises `NotFound`, and `Rejected` (409) for the standing campaign of a journey.
    """
    campaign = await campaigns.show_one_off(conn, cafe_id, campaign_id)
    segments = segments_of(campaign["target_segment"])
    purpose, channel = campaign["purpose"], campaign["campaign_type"]
    counts = await previewing.count(conn, cafe_id, segments, purpose, channel)
    reached = counts.pop("send", 0)
    cafes = await cafes_store.cafe_rules(conn, [cafe_id])
    values = {"cafe": cafes[cafe_id].name if cafe_id in cafes else None}
    found = await previewing.sample(conn, cafe_id, segments, purpose, channel, SAMPLES)
    samples = [each for row in found if (each := _sample(row, campaign, values, config)) is not None]
    # Where nobody would be sent it, what it would say to a guest without a name.
    texts = [each.text for each in samples] or [_text(campaign, values)]
    account: Provider | None = account_to_send_by(await channels_store.of_cafe(conn, cafe_id), config, now())
    dearest = max((render(channel, text, account) for text in texts), key=attrgetter("parts"))
    budget: Decimal | None = campaign["budget"]
    return Preview(
        guests=reached + sum(counts.values()),
        reached=reached,
        not_reached=[NotReached(reason, guests, *REASONS[reason]) for reason, guests in counts.items()],
        samples=samples,
        parts=dearest.parts,
        cost_of_one=dearest.cost,
        cost=reached * dearest.cost,
        is_affordable=budget is None or reached * dearest.cost <= budget,
    )


def _sample(
    row: asyncpg.Record, campaign: Mapping[str, Any], values: Mapping[str, str | None], config: Settings
) -> Sample | None:
    def opened(column: str) -> str | None:
        sealed, guest = row[f"{column}_sealed"], row["customer_id"]
        return unseal(config.keys, sealed, table=PROFILES, column=column, row=guest) if sealed else None

    try:
        phone, name = opened("phone") or "", opened("name")
    except CannotUnseal:
        return None
    text = _text(campaign, {**values, "name": template.presentable(name)})
    return Sample(row["customer_id"], last_four(phone), text, render(campaign["campaign_type"], text).parts)


def _text(campaign: Mapping[str, Any], values: Mapping[str, str | None]) -> str:
    text = template.render(campaign["template_content"], values, campaign["template_variables"])
    return template.with_stop_line(text, campaign["purpose"])
