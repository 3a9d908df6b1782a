"""The messages of a one-off campaign, a page at a time: all by guest, or those in one state by reason and guest.

Whatever is asked for, a page reads its own rows and no others: a state that is several of the table is merged of these,
each read up to the page's length.
"""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

import asyncpg

from services.campaign.campaigns.models.values import DeliveryState, MessageBookmark
from shared.database.db import Connection

# The status of the table, and 1 where a provider took the message.
_STATUSES: Final[Mapping[DeliveryState, tuple[tuple[str, int], ...]]] = {
    "waiting": (("queued", 0), ("sending", 0)),
    "on_the_way": (("sent", 1),),
    "delivered": (("delivered", 1), ("opened", 1)),
    "undelivered": (("failed", 1), ("bounced", 1)),
    "failed": (("failed", 0), ("bounced", 0)),
    "skipped": (("skipped", 0),),
}
_COLUMNS = """
d.id, d.customer_id, d.delivery_status::text AS status, d.sent_at IS NOT NULL AS is_sent,
coalesce(d.error_code, '') AS reason, d.parts, d.message_cost AS cost, d.currency_unit, d.reply_received AS replied,
d.returned_by <> '{}' AND d.delivered_at IS NOT NULL AS returned,
coalesce(d.opened_at, d.delivered_at, d.failed_at, d.sent_at, d.sending_at, d.queued_at) AS at
"""
# The occasion of a one-off campaign's message is the campaign; messages to try have one of their own. Said so that the
# planner knows the indexes by it, which it does not by a plain equality of two columns that are also a parameter.
_OWN = "d.cafe_id = $1 AND d.campaign_id = $2 AND (d.trigger_id = d.campaign_id) IS TRUE"
OF_ALL = f"""
SELECT {_COLUMNS} FROM campaign_deliveries d
WHERE d.cafe_id = $1 AND d.campaign_id = $2 AND d.trigger_id = $2 AND d.customer_id > $3
ORDER BY d.customer_id LIMIT $4
"""  # noqa: S608
RETURNED = f"""
SELECT {_COLUMNS} FROM campaign_deliveries d
WHERE {_OWN} AND d.returned_by <> '{{}}' AND d.delivered_at IS NOT NULL AND d.customer_id > $3
ORDER BY d.customer_id LIMIT $4
"""  # noqa: S608
REPLIED = f"""
SELECT {_COLUMNS} FROM campaign_deliveries d
WHERE {_OWN} AND d.reply_received AND d.customer_id > $3 ORDER BY d.customer_id LIMIT $4
"""  # noqa: S608
# The whole index stands in the order: behind row level security the planner does not take an equality of codes as a
# constant, and would sort all that is equal.
_IN_STATE = """
SELECT found.* FROM unnest($3::text[], $4::int[]) AS state (status, is_sent)
CROSS JOIN LATERAL (
    SELECT {columns} FROM campaign_deliveries d
    WHERE {own} AND d.delivery_status = state.status::delivery_status_enum
      AND CASE WHEN d.sent_at IS NULL THEN 0 ELSE 1 END = state.is_sent
      AND {where}
    ORDER BY d.delivery_status, CASE WHEN d.sent_at IS NULL THEN 0 ELSE 1 END, coalesce(d.error_code, ''), d.customer_id
    LIMIT $7
) AS found
ORDER BY found.reason, found.customer_id LIMIT $7
"""
IN_STATE = _IN_STATE.format(
    columns=_COLUMNS, own=_OWN, where="(coalesce(d.error_code, ''), d.customer_id) > ($5, $6::uuid)"
)
FOR_REASON = _IN_STATE.format(
    columns=_COLUMNS, own=_OWN, where="coalesce(d.error_code, '') = $5 AND d.customer_id > $6"
)


async def of_campaign(
    conn: Connection, cafe_id: UUID, campaign_id: UUID, state: DeliveryState | None, reason: str | None,
    after: MessageBookmark, limit: int,
) -> list[asyncpg.Record]:  # fmt: skip
    """The next messages after the bookmark; without a state all, by guest."""
    by_guest = {None: OF_ALL, "returned": RETURNED, "replied": REPLIED}.get(state)
    if by_guest is not None or state is None:
        return await conn.fetch(by_guest or OF_ALL, cafe_id, campaign_id, after.customer_id, limit)
    statuses, sent = zip(*_STATUSES[state], strict=True)
    statement, first = (IN_STATE, after.reason) if reason is None else (FOR_REASON, reason)
    return await conn.fetch(statement, cafe_id, campaign_id, statuses, sent, first, after.customer_id, limit)
