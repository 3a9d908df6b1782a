"""Everything here that waits for a second person."""

from typing import Any
from uuid import UUID

from services.campaign.campaigns.handlers.campaigns import authors_of, size_of
from services.campaign.campaigns.rules.campaigns import is_overdue
from services.campaign.campaigns.store import campaigns
from services.campaign.journeys.handlers.texts import judge_text
from services.campaign.journeys.store import journeys, versions
from shared.clock import now
from shared.database.db import Connection
from shared.security import access
from shared.security.approval import Oversight, Verdict, Waiting, may_decide


async def list_waiting(conn: Connection, cafe_id: UUID, caller: UUID, limit: int) -> list[Waiting]:
    """Campaigns and journeys' texts that wait for a second person, the oldest first, and whether the caller may
    decide."""
    oversight = await access.oversight(conn, cafe_id)
    names = {journey["id"]: journey["name"] for journey in await journeys.list_journeys(conn, cafe_id)}
    waiting = [
        _waiting_campaign(cafe_id, row, oversight, caller) for row in await campaigns.list_waiting(conn, cafe_id, limit)
    ]
    waiting += [
        Waiting(
            kind="journey",
            id=text.journey_id,
            version=text.version,
            what={
                "name": names.get(text.journey_id),
                "template": text.template_content,
                "fallbacks": text.template_variables,
                "ignores_quiet_hours": text.ignores_quiet_hours,
                "starts_on": text.starts_on,
            },
            amount=text.budget,
            currency_unit="IRR",
            asked_by=text.created_by,
            asked_at=text.created_at,
            decide_at=f"/cafes/{cafe_id}/journeys/{text.journey_id}/versions/{text.version}/decision",
            **may_decide(judge_text(oversight, text, approver=caller)),
        )
        for text in await versions.list_waiting(conn, cafe_id)
    ]
    return sorted(waiting, key=lambda each: each.asked_at)[:limit]


_OVERDUE = Verdict("refused", "The date has passed; schedule it anew.", "زمان آن گذشته است؛ دوباره زمان‌بندی کنید.")


def _waiting_campaign(cafe_id: UUID, row: dict[str, Any], oversight: Oversight, caller: UUID) -> Waiting:
    verdict = oversight.judge(authors_of(row), size_of(row["budget"], oversight), approver=caller)
    shown = ("name", "purpose", "target_segment", "scheduled_date", "estimated_recipients", "ignores_quiet_hours")
    return Waiting(
        kind="campaign",
        id=row["id"],
        version=row["version"],
        what={name: row[name] for name in shown}
        | {"template": row["template_content"], "fallbacks": row["template_variables"]}
        | {"estimated_cost": row["estimated_cost"]},
        amount=row["budget"],
        currency_unit="IRR",
        asked_by=row["created_by"],
        changed_by=row["edited_by"],
        asked_at=row["updated_at"],
        decide_at=f"/cafes/{cafe_id}/campaigns/{row['id']}/approve",
        **may_decide(_OVERDUE if is_overdue(row, now()) else verdict),
    )
