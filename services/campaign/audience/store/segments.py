"""Segments, and which guests are in them."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from services.campaign.audience.models.values import KnownSegments, Membership, SegmentList
from shared.database.columns import columns
from shared.database.db import Connection

KEEP_MEMBERS = """
INSERT INTO segment_members AS kept (cafe_id, segment_key, customer_id, segment_id, is_member, changed_at, reason)
SELECT DISTINCT ON (cafe_id, segment_key, customer_id) cafe_id, segment_key, customer_id, segment_id, is_member, at,
       reason
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::boolean[], $6::timestamptz[], $7::text[])
    AS t (cafe_id, segment_key, customer_id, segment_id, is_member, at, reason)
ORDER BY cafe_id, segment_key, customer_id, at DESC
ON CONFLICT (cafe_id, segment_key, customer_id) DO UPDATE
SET segment_id = excluded.segment_id, is_member = excluded.is_member, changed_at = excluded.changed_at,
    reason = excluded.reason
WHERE kept.changed_at <= excluded.changed_at
"""
KEEP_SEGMENTS = """
INSERT INTO cafe_segments AS kept (cafe_id, keys, off_keys, told_at)
SELECT DISTINCT ON (cafe_id) cafe_id, ARRAY(SELECT jsonb_array_elements_text(list -> 'on')),
       ARRAY(SELECT jsonb_array_elements_text(list -> 'off')), at
FROM unnest($1::uuid[], $2::jsonb[], $3::timestamptz[]) AS t (cafe_id, list, at)
ORDER BY cafe_id, at DESC
ON CONFLICT (cafe_id) DO UPDATE
SET keys = excluded.keys, off_keys = excluded.off_keys, told_at = excluded.told_at
WHERE kept.told_at <= excluded.told_at
"""
# `with_members`: where the cafe's list is not known yet, a segment is known by the guests who are in it.
SEGMENTS_OF_CAFE = """
SELECT coalesce(s.keys, '{}') AS keys, coalesce(s.off_keys, '{}') AS off_keys, ARRAY(
    SELECT w.key FROM unnest($2::text[]) AS w (key)
    WHERE s.cafe_id IS NULL AND EXISTS (
        SELECT FROM segment_members m WHERE m.cafe_id = $1 AND m.segment_key = w.key AND m.is_member
    )
) AS with_members
FROM (SELECT) AS always LEFT JOIN cafe_segments s ON s.cafe_id = $1
"""
MEMBERSHIPS = """
SELECT m.cafe_id, m.customer_id, m.segment_key, m.segment_id, m.changed_at
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t (cafe_id, customer_id, segment_key)
JOIN segment_members m USING (cafe_id, segment_key, customer_id)
WHERE m.is_member
"""


async def keep_members(conn: Connection, memberships: Sequence[Membership]) -> None:
    """Keeps the latest word about each guest and segment."""
    await conn.execute(
        KEEP_MEMBERS,
        *columns(memberships, "cafe_id", "segment_key", "customer_id", "segment_id", "is_member", "at", "reason"),
    )


async def memberships(conn: Connection, wanted: Sequence[tuple[UUID, UUID, str]]) -> list[asyncpg.Record]:
    """Those of the (cafe, guest, segment) in which the guest is now, with since when."""
    return await conn.fetch(MEMBERSHIPS, *([each[i] for each in wanted] for i in range(3)))


async def keep_segments(conn: Connection, lists: Sequence[SegmentList]) -> None:
    """Keeps the latest list of each cafe's segments."""
    await conn.execute(
        KEEP_SEGMENTS,
        [each.cafe_id for each in lists],
        [{"on": list(each.keys), "off": list(each.off_keys)} for each in lists],
        [each.at for each in lists],
    )


async def known_segments(conn: Connection, cafe_id: UUID, wanted: Sequence[str]) -> KnownSegments:
    """The segments that the cafe has; of the wanted keys also those that guests are in."""
    (row,) = await conn.fetch(SEGMENTS_OF_CAFE, cafe_id, wanted)
    return KnownSegments(**row)
