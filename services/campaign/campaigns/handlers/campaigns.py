"""One-off campaigns: written by one person, by the cafe's policy approved by another, started by their date."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from services.campaign.audience.store import segments
from services.campaign.campaigns.models.http import DraftCampaign, ReplaceCampaign, WriteCampaign
from services.campaign.campaigns.models.values import NewCampaign, Step
from services.campaign.campaigns.rules.campaigns import FAILURES, is_overdue, lapses_at, require_segments, segments_of
from services.campaign.campaigns.store import campaigns, trail
from services.campaign.channels import store as channels_store
from services.campaign.channels.handlers.accounts import account_to_send_by
from services.campaign.channels.registry import render
from services.campaign.messages.rules.results import results_of
from services.campaign.messages.store import cafes as cafes_store
from services.campaign.messages.store import results
from services.campaign.texts.rules import template
from services.campaign.texts.rules.wording import Wording, check_text, require_channel, warnings_of
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound, Rejected
from shared.persian.money import in_unit
from shared.security import access
from shared.security.approval import Oversight, Size, require_pass
from shared.settings import Settings, settings

KNOWN: Final = template.VARIABLES[None]


async def write_draft(conn: Connection, cafe_id: UUID, author: UUID, body: WriteCampaign) -> UUID:
    """Adds a draft.

    Raises `Rejected` for a channel that nothing sends on yet, a text that asks for something unknown, or a segment that
    the cafe has not.
    """
    new, moment = await _checked(conn, cafe_id, new_id(), author, body), now()
    await campaigns.insert(conn, new, moment)
    await trail.note(conn, await show(conn, cafe_id, new.id), cafe_id, "written", author, moment)
    return new.id


async def replace_draft(
    conn: Connection, cafe_id: UUID, campaign_id: UUID, author: UUID, body: ReplaceCampaign
) -> None:
    """Replaces a campaign that has not started whole. It is a draft then, and an approval ends.

    Raises `NotFound`, `Rejected` (409) when it has started or is another version, and as `write_draft`.
    """
    before, moment = await _in_status(conn, cafe_id, campaign_id, "draft", "scheduled"), now()
    _require_version(before, body.version)
    await campaigns.replace(conn, await _checked(conn, cafe_id, campaign_id, author, body), moment)
    await _note_change(conn, cafe_id, before, "edited", author, moment)


async def schedule(
    conn: Connection,
    cafe_id: UUID,
    campaign_id: UUID,
    by: UUID,
    when: datetime | None,
    *,
    config: Settings | None = None,
) -> None:
    """Sets the date and estimates recipients and cost; an earlier approval ends. Without a date (`when`, or the one
    that the draft wants) it begins as soon as it is approved.

    The campaign starts once somebody who neither wrote nor changed it has approved it, or by its date where the cafe's
    policy asks for nobody else. `config` (by default this process's) gives the terms of an account without a key of its
    own.

    Raises `NotFound`, and `Rejected` for a date in the past, or a campaign that has started or is changed meanwhile.
    """
    # All guests are counted before it is locked: who pauses it would wait, and senders for them.
    campaign = await _in_status(conn, cafe_id, campaign_id, "draft", "scheduled", lock=False)
    moment = now()
    given = when or campaign["wanted_date"]
    date = given or moment
    if date < moment:
        raise Rejected("date_passed", "The date has passed.", "این زمان گذشته است.")
    await _check_again(conn, cafe_id, campaign)
    target = segments_of(campaign["target_segment"])
    recipients = await campaigns.count_recipients(conn, cafe_id, target, campaign["purpose"], campaign["campaign_type"])
    cost = recipients * await _cost_of_one(conn, cafe_id, campaign, config or settings())
    _require_version(await _in_status(conn, cafe_id, campaign_id, "draft", "scheduled"), campaign["version"])
    await campaigns.move(conn, cafe_id, campaign_id, ("draft", "scheduled"), "scheduled", moment)
    await campaigns.schedule(conn, cafe_id, campaign_id, by, date, recipients, cost, moment, at_once=given is None)
    scheduled = await _note_change(conn, cafe_id, campaign, "scheduled", by, moment)
    oversight = await access.oversight(conn, cafe_id)
    if oversight.judge(authors_of(scheduled), size_of(scheduled["budget"], oversight)).passes:
        await _approve(conn, cafe_id, scheduled, by, moment, alone=True)


async def approve(
    conn: Connection, cafe_id: UUID, campaign_id: UUID, approver: UUID, version: int | None = None
) -> None:
    """Lets a scheduled campaign start. `version` is the one that the approver saw.

    Raises `NotFound`, and `Rejected`: 403 to whoever wrote it or changed it last, 409 when it is not scheduled, was
    changed since, or its date is long past.
    """
    campaign = await _in_status(conn, cafe_id, campaign_id, "scheduled")
    _require_version(campaign, version)
    oversight = await access.oversight(conn, cafe_id)
    size = size_of(campaign["budget"], oversight)
    verdict = oversight.judge(authors_of(campaign), size, approver=approver)
    require_pass(verdict)
    if is_overdue(campaign, now()):
        raise Rejected(
            "date_passed",
            "The date has passed; schedule it anew.",
            "زمان آن گذشته است؛ دوباره زمان‌بندی کنید.",
            status=409,
        )
    await _check_again(conn, cafe_id, campaign)
    if campaign["approved_at"] is None:
        await _approve(conn, cafe_id, campaign, approver, now(), alone=verdict.outcome == "alone")


async def cancel(conn: Connection, cafe_id: UUID, campaign_id: UUID, by: UUID) -> None:
    """Stops a campaign; what a provider already has can't be taken back.

    Raises `NotFound`, and `Rejected` (409) when it has ended or belongs to a journey.
    """
    await channels_store.hold_sending(conn, cafe_id)
    campaign, moment = await _in_status(conn, cafe_id, campaign_id, "draft", "scheduled", "sending"), now()
    await campaigns.move(conn, cafe_id, campaign_id, ("draft", "scheduled", "sending"), "cancelled", moment)
    await trail.note(conn, campaign, cafe_id, "cancelled", by, moment, detail={})


async def pause(conn: Connection, cafe_id: UUID, campaign_id: UUID, by: UUID) -> None:
    """Lets a campaign rest: from the commit on nothing of it is taken up or decided to be sent. Approvals stay.

    Raises `NotFound`, and `Rejected` (409) when it is not scheduled or being sent, or belongs to a journey.
    """
    await channels_store.hold_sending(conn, cafe_id)
    campaign, moment = await _in_status(conn, cafe_id, campaign_id, "scheduled", "sending"), now()
    if campaign["paused_at"] is None:
        await campaigns.pause(conn, cafe_id, campaign_id, moment)
        await trail.note(conn, campaign, cafe_id, "paused", by, moment, detail={})


async def resume(conn: Connection, cafe_id: UUID, campaign_id: UUID, by: UUID) -> None:
    """Lets a campaign that rests go on.

    Raises `NotFound`, and `Rejected` (409) as `pause`.
    """
    await channels_store.hold_sending(conn, cafe_id)
    campaign, moment = await _in_status(conn, cafe_id, campaign_id, "scheduled", "sending"), now()
    if campaign["paused_at"] is not None:
        await campaigns.resume(conn, cafe_id, campaign_id, moment)
        await trail.note(conn, campaign, cafe_id, "resumed", by, moment, detail={})


def authors_of(campaign: dict[str, Any]) -> list[UUID]:
    """Whose a campaign is: its author, and whoever changed it last."""
    return [campaign["created_by"], campaign["edited_by"] or campaign["created_by"]]


def size_of(budget: Decimal | None, oversight: Oversight) -> Size:
    """A message to guests, which costs no more than its budget (Rial), or without bound."""
    toman = None if budget is None else in_unit(budget, "IRR", "IRT")
    return Size(toman, limit=oversight.policy.amount, is_message=True)


async def show(conn: Connection, cafe_id: UUID, campaign_id: UUID, *, lock: bool = True) -> dict[str, Any]:
    """One campaign; locked, so that what is read beside its counters fits them.

    Raises `NotFound`.
    """
    found = await campaigns.get(conn, cafe_id, campaign_id, lock=lock)
    if found is None:
        raise NotFound("campaign", "این کمپین")
    return found


async def show_unended(conn: Connection, cafe_id: UUID, campaign_id: UUID) -> dict[str, Any]:
    """One campaign, locked.

    Raises `NotFound`, and `Rejected` (409) when it has ended or belongs to a journey.
    """
    return await _in_status(conn, cafe_id, campaign_id, "draft", "scheduled", "sending")


async def show_one_off(conn: Connection, cafe_id: UUID, campaign_id: UUID, *, lock: bool = True) -> dict[str, Any]:
    """One campaign that is not the standing one of a journey; without `lock` where much is read after it.

    Raises `NotFound`, and `Rejected` (409) when it is.
    """
    found = await show(conn, cafe_id, campaign_id, lock=lock)
    if found["journey_id"] is not None:
        en, fa = "This is the standing campaign of a journey.", "این کمپین از آنِ یک مسیر پیام است."
        raise Rejected("of_a_journey", en, fa, status=409)
    return found


def _require_version(campaign: dict[str, Any], seen: int | None) -> None:
    if seen not in (None, campaign["version"]):
        raise Rejected(
            "campaign_changed",
            f"The campaign was changed; look at version {campaign['version']} and decide by that.",
            "کمپین در این میان تغییر کرده است؛ نسخهٔ تازه را ببینید و بر پایهٔ همان ادامه دهید.",
            status=409,
        )


async def _in_status(
    conn: Connection, cafe_id: UUID, campaign_id: UUID, *allowed: str, lock: bool = True
) -> dict[str, Any]:
    found = await show(conn, cafe_id, campaign_id, lock=lock)
    if found["status"] not in allowed or found["journey_id"] is not None:
        raise Rejected(
            "wrong_status",
            f"The campaign is {found['status']}; this needs {' or '.join(allowed)}.",
            "وضعیت کمپین اجازهٔ این کار را نمی‌دهد.",
            status=409,
        )
    return found


async def _approve(
    conn: Connection, cafe_id: UUID, campaign: dict[str, Any], by: UUID, moment: datetime, *, alone: bool
) -> None:
    await campaigns.approve(conn, cafe_id, campaign["id"], by, moment, alone=alone)
    await trail.note(conn, campaign, cafe_id, "approved", by, moment)


async def _note_change(
    conn: Connection, cafe_id: UUID, before: dict[str, Any], what: Step, by: UUID, moment: datetime
) -> dict[str, Any]:
    after = await show(conn, cafe_id, before["id"])
    ended = before["approved_at"] is not None
    await trail.note(conn, after, cafe_id, what, by, moment, ended_approval=ended)
    return after


async def described(conn: Connection, cafe_id: UUID, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The campaigns with what became of their messages, why they failed, and what is odd about their texts."""
    ended = await results.of_campaigns(conn, cafe_id, [row["id"] for row in rows])
    return [_described(row, ended.get(row["id"], ())) for row in rows]


def _described(campaign: dict[str, Any], ended: Sequence[dict[str, Any]]) -> dict[str, Any]:
    known = KNOWN if campaign["journey_id"] is None else template.EVERY_VARIABLE
    return campaign | {
        "results": results_of(campaign, ended),
        "failure": FAILURES.get(campaign["failure_reason"] or ""),
        "lapses_at": lapses_at(campaign),
        "warnings": warnings_of(campaign["template_content"], campaign["template_variables"], known),
    }


async def _checked(
    conn: Connection, cafe_id: UUID, campaign_id: UUID, author: UUID, body: WriteCampaign
) -> NewCampaign:
    text = await check_draft(conn, cafe_id, body)
    return NewCampaign(
        cafe_id=cafe_id,
        id=campaign_id,
        name=body.name,
        description=body.description,
        purpose=body.purpose,
        ignores_quiet_hours=body.ignores_quiet_hours,
        target_segment=stored_target(body),
        template=text.content,
        fallbacks=text.fallbacks,
        budget=body.budget,
        created_by=author,
        wanted_date=body.wanted_date,
    )


async def check_draft(conn: Connection, cafe_id: UUID, body: WriteCampaign | DraftCampaign) -> Wording:
    """The text of what somebody writes, as it is stored; empty where there is none yet.

    Raises `Rejected` as `write_draft`.
    """
    require_channel(body.campaign_type)
    await _require_segments(conn, cafe_id, body.target.segments)
    return Wording("", {}) if body.template is None else check_text(body.template, body.fallbacks, KNOWN)


def stored_target(body: WriteCampaign | DraftCampaign) -> dict[str, Any]:
    """Whom it is for, as it is stored."""
    return {"everyone": True} if body.target.everyone else {"segments": body.target.segments}


async def _check_again(conn: Connection, cafe_id: UUID, campaign: dict[str, Any]) -> None:
    # It may have been written when less was refused, and its segments may have gone since.
    check_text(campaign["template_content"], campaign["template_variables"], KNOWN)
    await _require_segments(conn, cafe_id, segments_of(campaign["target_segment"]) or ())


async def _require_segments(conn: Connection, cafe_id: UUID, wanted: Sequence[str]) -> None:
    require_segments(wanted, await segments.known_segments(conn, cafe_id, wanted))


async def _cost_of_one(conn: Connection, cafe_id: UUID, campaign: dict[str, Any], config: Settings) -> Decimal:
    cafes = await cafes_store.cafe_rules(conn, [cafe_id])
    values = {"cafe": cafes[cafe_id].name if cafe_id in cafes else None}
    text = template.render(campaign["template_content"], values, campaign["template_variables"])
    account = account_to_send_by(await channels_store.of_cafe(conn, cafe_id), config, now())
    return render(campaign["campaign_type"], template.with_stop_line(text, campaign["purpose"]), account).cost
