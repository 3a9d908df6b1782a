"""Who did what with campaigns and journeys."""

from datetime import datetime
from typing import Any
from uuid import UUID

from services.campaign.campaigns.models.values import Step
from shared.clock import new_id
from shared.database.db import Connection

NOTE = """
INSERT INTO campaign_trail (cafe_id, id, campaign_id, what, by_user, at, version, ended_approval, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
LIST_STEPS = """
SELECT what, by_user, at, version, ended_approval, detail FROM campaign_trail
WHERE cafe_id = $1 AND campaign_id = $2 ORDER BY at DESC, id DESC LIMIT $3
"""
TRIED_SINCE = "SELECT count(*) FROM campaign_trail WHERE cafe_id = $1 AND what = 'tried' AND at >= $2"


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
    return [dict(row) for row in await conn.fetch(LIST_STEPS, cafe_id, campaign_id, limit)]


async def tried_since(conn: Connection, cafe_id: UUID, since: datetime) -> int:
    """How often campaigns of the cafe were tried since then."""
    return int(await conn.fetchval(TRIED_SINCE, cafe_id, since))
