"""Who did what with campaigns and journeys, and the versions of journeys' texts."""

from dataclasses import astuple
from datetime import datetime
from typing import Any
from uuid import UUID

from services.campaign.models import JourneyText, Step
from shared.clock import new_id
from shared.database.db import Connection

NOTE = """
INSERT INTO campaign_trail (cafe_id, id, campaign_id, what, by_user, at, version, ended_approval, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
LIST = """
SELECT what, by_user, at, version, ended_approval, detail FROM campaign_trail
WHERE cafe_id = $1 AND campaign_id = $2 ORDER BY at DESC, id DESC LIMIT $3
"""
TRIED_SINCE = "SELECT count(*) FROM campaign_trail WHERE cafe_id = $1 AND what = 'tried' AND at >= $2"
COLUMNS = """
    cafe_id, journey_id, version, state, template_content, template_variables, ignores_quiet_hours, budget, created_by,
    created_at, decided_by, decided_at, starts_on
"""
INSERT_TEXT = f"""
INSERT INTO journey_versions ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""  # noqa: S608
LIST_TEXTS = f"""
SELECT {COLUMNS} FROM journey_versions WHERE cafe_id = $1 AND journey_id = $2 ORDER BY version DESC LIMIT $3
"""  # noqa: S608
FIND_TEXT = f"""
SELECT {COLUMNS} FROM journey_versions WHERE cafe_id = $1 AND journey_id = $2 AND version = $3
"""  # noqa: S608
LIST_WAITING = f"""
SELECT {COLUMNS} FROM journey_versions WHERE cafe_id = $1 AND state = 'waiting' ORDER BY created_at
"""  # noqa: S608
LAST_VERSION = "SELECT max(version) FROM journey_versions WHERE cafe_id = $1 AND journey_id = $2"
REPLACE = """
UPDATE journey_versions SET state = 'replaced' WHERE cafe_id = $1 AND journey_id = $2 AND state = ANY($3::text[])
"""
DECIDE = """
UPDATE journey_versions SET state = $4, decided_by = $5, decided_at = $6
WHERE cafe_id = $1 AND journey_id = $2 AND version = $3
"""


async def note(
    conn: Connection, campaign: dict[str, Any], cafe_id: UUID, what: Step, by: UUID, at: datetime,
    *, ended_approval: bool = False, detail: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """Keeps a step for ever, with the version of the campaign after it and what it then says."""
    says = {
        name: campaign[name]
        for name in ("template_content", "template_variables", "target_segment", "purpose", "ignores_quiet_hours")
    }
    budget = {"budget": None if campaign["budget"] is None else str(campaign["budget"])}
    await conn.execute(
        NOTE, cafe_id, new_id(), campaign["id"], what, by, at, campaign["version"], ended_approval,
        says | budget if detail is None else detail,
    )  # fmt: skip


async def list_steps(conn: Connection, cafe_id: UUID, campaign_id: UUID, limit: int) -> list[dict[str, Any]]:
    """What was done with a campaign, newest first."""
    return [dict(row) for row in await conn.fetch(LIST, cafe_id, campaign_id, limit)]


async def tried_since(conn: Connection, cafe_id: UUID, since: datetime) -> int:
    """How often campaigns of the cafe were tried since then."""
    return int(await conn.fetchval(TRIED_SINCE, cafe_id, since))


async def insert_text(conn: Connection, text: JourneyText) -> None:
    """Keeps a version of a journey's text."""
    await conn.execute(INSERT_TEXT, *astuple(text))


async def last_version(conn: Connection, cafe_id: UUID, journey_id: UUID) -> int | None:
    """The number of the journey's newest version; None while it says what it began with."""
    version: int | None = await conn.fetchval(LAST_VERSION, cafe_id, journey_id)
    return version


async def list_texts(conn: Connection, cafe_id: UUID, journey_id: UUID, limit: int) -> list[JourneyText]:
    """The journey's versions, newest first."""
    return [JourneyText(**row) for row in await conn.fetch(LIST_TEXTS, cafe_id, journey_id, limit)]


async def find_text(conn: Connection, cafe_id: UUID, journey_id: UUID, version: int) -> JourneyText | None:
    """One version. Whoever decides about it holds the journey's standing campaign."""
    row = await conn.fetchrow(FIND_TEXT, cafe_id, journey_id, version)
    return JourneyText(**row) if row else None


async def list_waiting(conn: Connection, cafe_id: UUID) -> list[JourneyText]:
    """The versions that wait for a second person, the oldest first: one a journey at most."""
    return [JourneyText(**row) for row in await conn.fetch(LIST_WAITING, cafe_id)]


async def replace_texts(conn: Connection, cafe_id: UUID, journey_id: UUID, *states: str) -> None:
    """The journey's versions in these states are not what is or will be said any more."""
    await conn.execute(REPLACE, cafe_id, journey_id, states)


async def decide_text(conn: Connection, text: JourneyText) -> None:
    """Writes what became of a version that waited."""
    await conn.execute(
        DECIDE, text.cafe_id, text.journey_id, text.version, text.state, text.decided_by, text.decided_at
    )
