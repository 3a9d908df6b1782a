"""Why a guest got what they got, and why not."""

from typing import Any
from uuid import UUID

from services.campaign.audience.rules import stay_id
from services.campaign.journeys.rules import beginnings
from services.campaign.journeys.store import runs
from services.campaign.messages.store import deliveries
from shared.database.db import Connection


async def explain_guest(conn: Connection, cafe_id: UUID, customer_id: UUID, limit: int) -> dict[str, Any]:
    """Why a guest got what they got, and why not: their ways through journeys, those that did not begin, their
    messages, every decision."""
    return {
        "runs": [
            run | beginnings.of_run(run["reason"])
            for run in await runs.runs_of_guest(conn, cafe_id, customer_id, limit)
        ],
        "not_begun": await _not_begun(conn, cafe_id, customer_id),
        "messages": await deliveries.of_guest(conn, cafe_id, customer_id, limit),
    }


async def _not_begun(conn: Connection, cafe_id: UUID, customer_id: UUID) -> list[dict[str, Any]]:
    stays = await runs.stays_of_guest(conn, cafe_id, customer_id)
    # Earlier versions began a journey once for the segment itself.
    triggers = [(stay_id(stay["segment_id"], stay["entered_at"]), stay["segment_id"]) for stay in stays]
    wanted = [(stay["journey_id"], trigger) for stay, both in zip(stays, triggers, strict=True) for trigger in both]
    begun = {journey_id for journey_id, _ in await runs.find_runs(conn, cafe_id, customer_id, wanted)}
    shown = ("journey_key", "segment_key", "entered_at")
    reasons = [stay["reason"] or "unknown" for stay in stays]
    return [
        {name: stay[name] for name in shown} | {"reason": reason} | beginnings.not_begun(reason)
        for stay, reason in zip(stays, reasons, strict=True)
        if stay["journey_id"] not in begun
    ]
