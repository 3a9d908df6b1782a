"""What journeys say. Another text, budget, freedom from quiet hours or reason to start is a new version, which by the
cafe's policy waits for a second person; until then the former one holds."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from services.campaign.campaigns.handlers.campaigns import size_of
from services.campaign.campaigns.store import campaigns, trail
from services.campaign.journeys.models.http import ChangeJourney
from services.campaign.journeys.models.values import SYSTEM_USER, JourneyText
from services.campaign.journeys.store import journeys, versions
from services.campaign.texts.rules.template import VARIABLES, compile_template
from services.campaign.texts.rules.wording import apart, check_text, warnings_of
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.security import access
from shared.security.approval import Oversight, Verdict, require_pass

# What changes at once, being neither said nor paid for.
SWITCHED: Final = {"is_active", "delay_minutes", "max_age_minutes", "reentry", "reentry_days"}
OF_SEGMENTS: Final = ("starts_on", "reentry", "reentry_days")


async def list_journeys(conn: Connection, cafe_id: UUID) -> list[dict[str, Any]]:
    """The cafe's journeys, each with the text that waits for a second person in `waiting`, and what is odd about the
    newest text in `warnings`."""
    waiting = {text.journey_id: text for text in await versions.list_waiting(conn, cafe_id)}
    return [_with_waiting(row, waiting.get(row["id"])) for row in await journeys.list_journeys(conn, cafe_id)]


def _with_waiting(journey: dict[str, Any], waiting: JourneyText | None) -> dict[str, Any]:
    content = waiting.template_content if waiting else journey["template_content"]
    fallbacks = waiting.template_variables if waiting else journey["template_variables"]
    return journey | {"waiting": waiting, "warnings": warnings_of(content, fallbacks, VARIABLES[journey["trigger"]])}


async def show_journey(conn: Connection, cafe_id: UUID, journey_id: UUID) -> dict[str, Any]:
    """One journey with its text, the one that waits, and its counters.

    Raises `NotFound`.
    """
    found = [journey for journey in await list_journeys(conn, cafe_id) if journey["id"] == journey_id]
    if not found:
        raise NotFound("journey", "این مسیر پیام")
    return found[0]


async def change_journey(
    conn: Connection, cafe_id: UUID, journey_id: UUID, by: UUID, change: ChangeJourney
) -> dict[str, Any]:
    """Switches a journey or changes its delay at once, and what it says once that may be said. Messages already queued
    keep the text they were queued with; a version that was waiting is replaced.

    Raises `NotFound`, and `Rejected` for a text that asks for something this journey does not know, and for what
    contradicts itself.
    """
    journey, moment = await _hold(conn, cafe_id, journey_id), now()
    switched = change.model_dump(include=SWITCHED, exclude_none=True)
    changed = journey | switched
    if changed["reentry"] != "after_days" and "reentry_days" not in switched:
        changed["reentry_days"] = None
    if problems := _contradictions(changed, change.model_dump(exclude_none=True)):
        raise Rejected("invalid_input", "Some fields are not right.", "برخی فیلدها درست نیستند.", problems=problems)
    wanted = _text_of(cafe_id, journey, change, by, moment)
    if switched:
        await journeys.update_journey(conn, cafe_id, changed, moment)
        standing = await _standing(conn, cafe_id, journey)
        await trail.note(conn, standing, cafe_id, "switched", by, moment, detail=switched)
    if wanted is not None:
        await _write(conn, journey, wanted)
    return await show_journey(conn, cafe_id, journey_id)


async def decide(
    conn: Connection, cafe_id: UUID, journey_id: UUID, version: int, decider: UUID, *, approve: bool
) -> dict[str, Any]:
    """The second person's answer to a version that waits.

    Raises `NotFound`, and `Rejected`: 403 to its author, 409 when it was decided otherwise or replaced meanwhile.
    """
    journey = await _hold(conn, cafe_id, journey_id)
    text = await versions.find_text(conn, cafe_id, journey_id, version)
    if text is None:
        raise NotFound("version", "این نسخه")
    if text.state != "waiting":
        if text.state == ("in_force" if approve else "declined"):
            return await show_journey(conn, cafe_id, journey_id)
        en, fa = f"This version is {text.state} meanwhile.", "این نسخه دیگر در انتظار تأیید نیست."
        raise Rejected("already_decided", en, fa, status=409)
    oversight = await access.oversight(conn, cafe_id)
    require_pass(judge_text(oversight, text, approver=decider))
    if approve:
        check_text(text.template_content, text.template_variables, VARIABLES[journey["trigger"]])
    is_other = decider != text.created_by
    decided = replace(
        text,
        state="in_force" if approve else "declined",
        decided_by=decider if is_other else None,
        decided_at=now() if is_other else None,
    )
    if approve:
        await versions.replace_texts(conn, cafe_id, journey_id, "in_force")
    await versions.decide_text(conn, decided)
    if approve:
        await _put_in_force(conn, journey, decided, decider)
    return await show_journey(conn, cafe_id, journey_id)


async def list_versions(conn: Connection, cafe_id: UUID, journey_id: UUID, limit: int) -> list[JourneyText]:
    """What the journey said, says and may say, newest first; none while it says what it began with.

    Raises `NotFound`.
    """
    await show_journey(conn, cafe_id, journey_id)
    return await versions.list_texts(conn, cafe_id, journey_id, limit)


def judge_text(oversight: Oversight, text: JourneyText, *, approver: UUID | None = None) -> Verdict:
    return oversight.judge([text.created_by], size_of(text.budget, oversight), approver=approver)


async def _hold(conn: Connection, cafe_id: UUID, journey_id: UUID) -> dict[str, Any]:
    """The journey, with its standing campaign locked: changes of one journey queue here."""
    journey = await show_journey(conn, cafe_id, journey_id)
    await _standing(conn, cafe_id, journey)
    return await show_journey(conn, cafe_id, journey_id)


async def _standing(conn: Connection, cafe_id: UUID, journey: dict[str, Any]) -> dict[str, Any]:
    standing = await campaigns.get(conn, cafe_id, journey["campaign_id"])
    assert standing is not None
    return standing


def _text_of(
    cafe_id: UUID, journey: dict[str, Any], change: ChangeJourney, by: UUID, moment: datetime
) -> JourneyText | None:
    """The version that the change asks for, from the one in force; None when it says and may nothing else."""
    content, fallbacks = change.template or journey["template_content"], change.fallbacks
    if fallbacks is None:
        plain, inside, _ = apart(content)
        kept = set(compile_template(plain).names) - inside.keys()
        fallbacks = {name: words for name, words in journey["template_variables"].items() if name in kept}
    if change.template is not None or change.fallbacks is not None:
        wording = check_text(content, fallbacks, VARIABLES[journey["trigger"]])
        content, fallbacks = wording.content, wording.fallbacks
    loud = journey["ignores_quiet_hours"] if change.ignores_quiet_hours is None else change.ignores_quiet_hours
    budget: Decimal | None = change.budget if "budget" in change.model_fields_set else journey["budget"]
    starts_on = change.starts_on or journey["starts_on"]
    before = ("template_content", "template_variables", "ignores_quiet_hours", "budget", "starts_on")
    if (content, fallbacks, loud, budget, starts_on) == tuple(journey[name] for name in before):
        return None
    return JourneyText(
        cafe_id=cafe_id,
        journey_id=journey["id"],
        version=0,
        state="waiting",
        template_content=content,
        template_variables=fallbacks,
        ignores_quiet_hours=loud,
        budget=budget,
        created_by=by,
        created_at=moment,
        starts_on=starts_on,
    )


async def _write(conn: Connection, journey: dict[str, Any], wanted: JourneyText) -> None:
    await _begin_versions(conn, journey, wanted)
    last = await versions.last_version(conn, wanted.cafe_id, wanted.journey_id)
    passes = judge_text(await access.oversight(conn, wanted.cafe_id), wanted).passes
    text = replace(wanted, version=(last or 1) + 1, state="in_force" if passes else "waiting")
    await versions.replace_texts(conn, text.cafe_id, text.journey_id, "waiting", *(["in_force"] if passes else []))
    await versions.insert_text(conn, text)
    if passes:
        await _put_in_force(conn, journey, text, text.created_by)


async def _begin_versions(conn: Connection, journey: dict[str, Any], text: JourneyText) -> None:
    """What the journey began with is version 1, kept when it is about to be followed."""
    if await versions.last_version(conn, text.cafe_id, text.journey_id) is None:
        first = replace(
            text, version=1, state="in_force", template_content=journey["template_content"],
            template_variables=journey["template_variables"], ignores_quiet_hours=journey["ignores_quiet_hours"],
            budget=journey["budget"], created_by=SYSTEM_USER, starts_on=journey["starts_on"],
        )  # fmt: skip
        await versions.insert_text(conn, first)


async def _put_in_force(conn: Connection, journey: dict[str, Any], text: JourneyText, by: UUID) -> None:
    moment = now()
    await versions.update_text(conn, journey["campaign_id"], text, moment)
    if text.starts_on is not None:
        await journeys.start_on(conn, text.cafe_id, text.journey_id, text.starts_on, moment)
    standing = await _standing(conn, text.cafe_id, journey)
    await trail.note(conn, standing, text.cafe_id, "approved", by, moment)


def _contradictions(journey: Mapping[str, Any], given: Collection[str]) -> list[Problem]:
    """What is wrong with a journey as it would be, of which these fields are given."""
    problems = []
    if journey["delay_minutes"] >= journey["max_age_minutes"]:
        problems.append(
            Problem(
                "delay_minutes",
                "delay_too_long",
                "The delay must be shorter than max_age_minutes, or nothing would ever be sent.",
                "تأخیر باید از بیشترین سن رویداد کوتاه‌تر باشد؛ وگرنه پیامی فرستاده نمی‌شود.",
            )
        )
    if journey["trigger"] != "segment.entered":
        en, fa = (
            "Only journeys about a segment have this; leave it out.",
            "این تنها برای مسیرهای بخش‌هاست؛ آن را بردارید.",
        )
        return problems + [Problem(name, "not_of_this_journey", en, fa) for name in OF_SEGMENTS if name in given]
    if (journey["reentry"] == "after_days") != (journey["reentry_days"] is not None):
        problems.append(
            Problem(
                "reentry_days",
                "reentry_days",
                "Days belong to reentry after_days, which needs them; give both or neither.",
                "روزها از آنِ after_days است و بی آن معنا ندارد؛ هر دو را با هم بدهید یا هیچ‌کدام را.",
            )
        )
    return problems
