"""The versions of what journeys say."""

from dataclasses import astuple
from datetime import datetime
from uuid import UUID

from services.campaign.journeys.models.values import JourneyText
from shared.database.db import Connection

UPDATE_TEXT = """
UPDATE campaigns SET template_content = $3, template_variables = $4, ignores_quiet_hours = $5, budget = $6,
                     updated_at = $7, edited_by = $8, version = $9
WHERE cafe_id = $1 AND id = $2
"""


async def update_text(conn: Connection, campaign_id: UUID, text: JourneyText, at: datetime) -> None:
    """What a journey says from now on."""
    await conn.execute(
        UPDATE_TEXT, text.cafe_id, campaign_id, text.template_content, text.template_variables,
        text.ignores_quiet_hours, text.budget, at, text.created_by, text.version,
    )  # fmt: skip


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
    """Marks the journey's versions in these states as replaced."""
    await conn.execute(REPLACE, cafe_id, journey_id, states)


async def decide_text(conn: Connection, text: JourneyText) -> None:
    """Writes what became of a version that waited."""
    await conn.execute(
        DECIDE, text.cafe_id, text.journey_id, text.version, text.state, text.decided_by, text.decided_at
    )
