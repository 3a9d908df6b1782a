"""What a campaign would do if it began now. Nothing is kept, and nothing is sent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg

from services.campaign.audience.models.values import PROFILES
from services.campaign.campaigns.handlers import campaigns
from services.campaign.campaigns.models.http import DraftCampaign
from services.campaign.campaigns.rules.campaigns import segments_of
from services.campaign.campaigns.store import previewing
from services.campaign.channels import store as channels_store
from services.campaign.channels.handlers.accounts import account_to_send_by
from services.campaign.channels.models.values import Provider
from services.campaign.channels.registry import render
from services.campaign.messages.models.values import CafeRules
from services.campaign.messages.rules import pace
from services.campaign.messages.rules.results import REASONS
from services.campaign.messages.store import cafes as cafes_store
from services.campaign.texts.rules import template
from shared.clock import now
from shared.database.db import Connection
from shared.persian.calendar import local_date, month_of
from shared.persian.phone import last_four
from shared.security import access
from shared.security.crypto import CannotUnseal, unseal
from shared.security.guest_links import guest_page_address
from shared.settings import Settings

SAMPLES: Final = 5
# Names are sealed, so the parts of a text are known only of guests whose names were opened: of so many.
MEASURED: Final = 200
# Where nobody is counted, they are looked for among so many of those whom it is for.
LOOKED_AT: Final = 5000


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
class PartsOfSamples:
    """How many of the guests that were looked at would get so many parts."""

    parts: int
    guests: int


@dataclass(frozen=True)
class Preview:
    """Whom it would reach and whom not, what it would say and cost at most (Rial), by the longest text of those that
    were looked at. `month_left` of the cafe's budget of the month, None without one."""

    guests: int
    reached: int
    not_reached: Sequence[NotReached]
    samples: Sequence[Sample]
    parts: int
    parts_of_samples: Sequence[PartsOfSamples]
    cost_of_one: Decimal
    cost: Decimal
    is_affordable: bool
    month_left: Decimal | None
    is_within_month: bool
    asks_another: bool
    currency_unit: Literal["IRR"] = "IRR"


async def preview(conn: Connection, config: Settings, cafe_id: UUID, campaign_id: UUID, caller: UUID) -> Preview:
    """What a campaign would do if it began now, let go by `caller`.

    Raises `NotFound`, and `Rejected` (409) for the standing campaign of a journey.
    """
    campaign = await campaigns.show_one_off(conn, cafe_id, campaign_id, lock=False)
    return await _preview(conn, config, cafe_id, campaign, [campaign["created_by"], caller])


async def preview_draft(
    conn: Connection, config: Settings, cafe_id: UUID, body: DraftCampaign, caller: UUID
) -> Preview:
    """What a campaign that nobody has saved yet would do.

    Raises `Rejected` for a channel, segment or text that could not be saved either.
    """
    text = await campaigns.check_draft(conn, cafe_id, body)
    written = {
        "target_segment": campaigns.stored_target(body),
        "purpose": body.purpose,
        "campaign_type": body.campaign_type,
        "template_content": text.content,
        "template_variables": text.fallbacks,
        "budget": body.budget,
    }
    return await _preview(conn, config, cafe_id, written, [caller], counts=body.counts)


async def _preview(
    conn: Connection,
    config: Settings,
    cafe_id: UUID,
    campaign: Mapping[str, Any],
    authors: Sequence[UUID],
    *,
    counts: bool = True,
) -> Preview:
    """What a campaign of these authors that says so would do; without `counts` nobody is counted as reached or not."""
    segments = segments_of(campaign["target_segment"])
    purpose, channel = campaign["purpose"], campaign["campaign_type"]
    judged = await previewing.count(conn, cafe_id, segments, purpose, channel) if counts else {}
    reached = judged.pop("send", 0)
    cafe = (await cafes_store.cafe_rules(conn, [cafe_id])).get(cafe_id)
    # Whoever previews a text gets no guest's own page, but a link as long, which leads nowhere.
    page = guest_page_address(config.keys, config.guest_page_url, cafe_id, cafe_id, now())
    values = {"cafe": cafe.name if cafe else None, "page": page}
    among = None if counts else LOOKED_AT
    found = await previewing.sample(conn, cafe_id, segments, purpose, channel, MEASURED, among)
    samples = [each for row in found if (each := _sample(row, campaign, values, config)) is not None]
    # Where nobody would be sent it, what it would say to a guest without a name.
    texts = [each.text for each in samples] or [_text(campaign, values)]
    account: Provider | None = account_to_send_by(await channels_store.of_cafe(conn, cafe_id), config, now())
    dearest = max((render(channel, text, account) for text in texts), key=attrgetter("parts"))
    budget: Decimal | None = campaign["budget"]
    month_left, oversight = await _month_left(conn, cafe), await access.oversight(conn, cafe_id)
    return Preview(
        guests=reached + sum(judged.values()),
        reached=reached,
        not_reached=[NotReached(reason, guests, *REASONS[reason]) for reason, guests in judged.items()],
        samples=samples[:SAMPLES],
        parts=dearest.parts,
        parts_of_samples=[PartsOfSamples(*each) for each in sorted(Counter(each.parts for each in samples).items())],
        cost_of_one=dearest.cost,
        cost=reached * dearest.cost,
        is_affordable=budget is None or reached * dearest.cost <= budget,
        month_left=month_left,
        is_within_month=month_left is None or reached * dearest.cost <= month_left,
        asks_another=not oversight.judge(authors, campaigns.size_of(budget, oversight)).passes,
    )


async def _month_left(conn: Connection, cafe: CafeRules | None) -> Decimal | None:
    if cafe is None or cafe.monthly_budget is None or not pace.has_clock(cafe):
        return None
    today = local_date(now(), cafe.time_zone)
    used = await channels_store.usage(conn, [(cafe.cafe_id, today, month_of(today, cafe.calendar)[0])])
    return max(Decimal(0), cafe.monthly_budget - sum((row["cost"] for row in used), Decimal(0)))


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
