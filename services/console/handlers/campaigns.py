"""Campaigns as people write, send and understand them."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from services.console.handlers.club import Cards, cards_of
from services.console.handlers.panels import panel, there
from services.console.models import campaigns as told
from services.console.models.guests import GuestCard
from services.console.models.people import Colleague
from services.console.models.session import Insider
from services.console.rules import campaigns as rules
from services.console.store import campaigns, identity
from services.console.store.upstream import Away, RefusedCall, Upstream

LISTED: Final = 100
ROWS: Final = 50
# A file is made of pages of so many; a person waits for it.
ROWS_AT_ONCE: Final = 200
MOST_IN_FILE: Final = 20_000


@dataclass(frozen=True)
class CampaignsPage:
    """The cafe's one-off campaigns, the newest first, and the names of those who wrote them."""

    rows: tuple[told.CampaignRow, ...]
    names: dict[UUID, str]


@dataclass(frozen=True)
class DraftPage:
    """One step of writing a campaign. What could not be asked is `Away`; what was refused says so in `refusal`."""

    campaign: told.CampaignRow | None
    segments: tuple[told.TargetSegment, ...] | Away
    preview: told.CampaignPreview | Away | None
    refusal: RefusedCall | None = None
    texts: tuple[told.ReadyText, ...] | Away = ()
    cards: Cards | None = None
    approvers: tuple[Colleague, ...] = ()

    @property
    def names_of_segments(self) -> dict[str, str]:
        """Their names by key, as far as they are known."""
        known: tuple[told.TargetSegment, ...] = ()
        return {each.segment_key: each.name for each in there(self.segments, known)}


@dataclass(frozen=True)
class CampaignPage:
    """One campaign with what became of it. `chosen` and `reason` say whose messages are listed."""

    campaign: told.CampaignRow
    results: told.ResultsOfCampaign | Away | None
    rows: told.DeliveryRows | Away
    cards: Cards
    trail: tuple[told.TrailStep, ...] | Away
    names: dict[UUID, str]
    segments: tuple[told.TargetSegment, ...] | Away
    chosen: str
    reason: str

    @property
    def names_of_segments(self) -> dict[str, str]:
        """Their names by key, as far as they are known."""
        known: tuple[told.TargetSegment, ...] = ()
        return {each.segment_key: each.name for each in there(self.segments, known)}


@dataclass(frozen=True)
class Recipient:
    """A line of the file: one guest's message, and the guest's card as far as there is one."""

    row: told.DeliveryRow
    card: GuestCard | None


async def list_all(up: Upstream, here: Insider) -> CampaignsPage:
    """The page of campaigns: two calls."""
    rows, members = await asyncio.gather(
        campaigns.list_campaigns(up, here.access, here.cafe.cafe_id, LISTED),
        panel(identity.list_members(up, here.access, here.cafe.cafe_id)),
    )
    return CampaignsPage(tuple(row for row in rows if row.journey_id is None), _names(members))


async def begin(up: Upstream, here: Insider, segment: str) -> DraftPage:
    """The first step of a campaign that nobody has saved, for the segment it begins with: two calls."""
    segments = await panel(campaigns.targets(up, here.access, here.cafe.cafe_id))
    target: dict[str, Any] = {"segments": [segment]} if segment else {"everyone": True}
    preview, refusal = await _previewed(up, here, {"target": target, "purpose": "marketing", "counts": True})
    return DraftPage(None, segments, preview, refusal)


async def show_step(up: Upstream, here: Insider, campaign_id: UUID, step: rules.CampaignStep) -> DraftPage:
    """A step of writing a draft, in at most six calls.

    Raises `RefusedCall`: 404 for a campaign of nobody here.
    """
    access, cafe_id = here.access, here.cafe.cafe_id
    none: tuple[Colleague, ...] = ()
    campaign, segments, texts, members = await asyncio.gather(
        campaigns.find(up, access, cafe_id, campaign_id),
        panel(campaigns.targets(up, access, cafe_id)),
        panel(campaigns.ready_texts(up, access, cafe_id)) if step == "text" else _nothing(()),
        panel(identity.list_members(up, access, cafe_id)) if step == "review" else _nothing(none),
    )
    preview, refusal = await _previewed(up, here, rules.draft_of(campaign, counts=True))
    cards: Cards = {}
    if step in ("text", "review") and isinstance(preview, told.CampaignPreview):
        cards = await cards_of(up, here, [each.customer_id for each in preview.samples])
    return DraftPage(
        campaign,
        segments,
        preview,
        refusal,
        texts if isinstance(texts, Away) else rules.fitting(texts),
        cards,
        tuple(
            each for each in there(members, none) if each.role != "staff" and each.user_id != here.session.user_id
        ),
    )  # fmt: skip


async def look(up: Upstream, here: Insider, drafted: dict[str, Any]) -> DraftPage:
    """What a draft says and costs while it is written: one call, and one for the faces."""
    preview, refusal = await _previewed(up, here, drafted)
    found = preview.samples if isinstance(preview, told.CampaignPreview) else ()
    cards = await cards_of(up, here, [each.customer_id for each in found])
    return DraftPage(None, (), preview, refusal, cards=cards)


async def save(up: Upstream, here: Insider, campaign_id: UUID, version: int | None, **changed: Any) -> told.CampaignRow:
    """The draft with what one step changed. `version` is the one that was seen.

    Raises `RefusedCall`: 409 when somebody else changed it since, or it has started.
    """
    campaign = await campaigns.find(up, here.access, here.cafe.cafe_id, campaign_id)
    seen = {"version": version} if version is not None else {}
    body = rules.body_of(campaign, **changed) | seen
    return await campaigns.rewrite(up, here.access, here.cafe.cafe_id, campaign_id, body)


async def show(
    up: Upstream, here: Insider, campaign_id: UUID, chosen: str, reason: str, after: str | None
) -> CampaignPage:
    """One campaign, in seven calls."""
    access, cafe_id = here.access, here.cafe.cafe_id
    campaign, results, rows, trail, members, segments = await asyncio.gather(
        campaigns.find(up, access, cafe_id, campaign_id),
        panel(_or_none(campaigns.results(up, access, cafe_id, campaign_id))),
        panel(campaigns.deliveries(up, access, cafe_id, campaign_id, _wanted(chosen, reason, after, ROWS))),
        panel(campaigns.steps(up, access, cafe_id, campaign_id)),
        panel(identity.list_members(up, access, cafe_id)),
        panel(campaigns.targets(up, access, cafe_id)),
    )
    found = () if isinstance(rows, Away) else rows.deliveries
    cards = await cards_of(up, here, [row.customer_id for row in found])
    return CampaignPage(campaign, results, rows, cards, trail, _names(members), segments, chosen, reason)


async def more_rows(
    up: Upstream, here: Insider, campaign_id: UUID, chosen: str, reason: str, after: str | None
) -> tuple[told.DeliveryRows, Cards]:
    """The next page of messages, with the faces: two calls."""
    wanted = _wanted(chosen, reason, after, ROWS)
    rows = await campaigns.deliveries(up, here.access, here.cafe.cafe_id, campaign_id, wanted)
    return rows, await cards_of(up, here, [row.customer_id for row in rows.deliveries])


async def recipients(
    up: Upstream, here: Insider, campaign_id: UUID, chosen: str, reason: str
) -> tuple[list[Recipient], bool]:
    """Everybody in the list for a file, and whether these are all."""
    made: list[Recipient] = []
    after: str | None = None
    while len(made) < MOST_IN_FILE:
        wanted = _wanted(chosen, reason, after, ROWS_AT_ONCE)
        page = await campaigns.deliveries(up, here.access, here.cafe.cafe_id, campaign_id, wanted)
        cards = await cards_of(up, here, [row.customer_id for row in page.deliveries])
        made += [Recipient(row, cards.get(row.customer_id)) for row in page.deliveries]
        after = page.after
        if after is None:
            return made, True
    return made, False


async def _previewed(
    up: Upstream, here: Insider, drafted: dict[str, Any]
) -> tuple[told.CampaignPreview | Away | None, RefusedCall | None]:
    try:
        return await panel(campaigns.preview_draft(up, here.access, here.cafe.cafe_id, drafted)), None
    except RefusedCall as error:
        if error.status in (403, 404):
            raise
        return None, error


async def _or_none(asked: Any) -> told.ResultsOfCampaign | None:
    try:
        found: told.ResultsOfCampaign = await asked
    except RefusedCall as error:
        # It is being counted anew.
        if error.status == 409:
            return None
        raise
    return found


async def _nothing(value: Any) -> Any:
    return value


def _wanted(chosen: str, reason: str, after: str | None, limit: int) -> dict[str, Any]:
    return {"status": chosen or None, "reason": reason or None, "after": after, "limit": limit}


def _names(members: tuple[Colleague, ...] | Away) -> dict[UUID, str]:
    nobody: tuple[Colleague, ...] = ()
    return {each.user_id: each.display_name for each in there(members, nobody)}
