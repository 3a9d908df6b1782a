"""What the console asks about segments: the customer service, and of the campaign service who is written to by them."""

from typing import Any
from uuid import UUID

from services.console.models import segments
from services.console.models.session import Access
from services.console.store.upstream import Upstream

SERVICE = "customer"
# A million guests are counted in some seconds; the service itself gives up after eight.
PREVIEW_SECONDS = 10.0


async def list_segments(up: Upstream, access: Access, cafe_id: UUID) -> tuple[segments.SegmentFile, ...]:
    """All segments of the cafe."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/segments", tuple[segments.SegmentFile, ...])


async def find(up: Upstream, access: Access, cafe_id: UUID, segment_id: UUID) -> segments.SegmentFile:
    """One segment."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/segments/{segment_id}", segments.SegmentFile)


async def list_lines(up: Upstream, access: Access, cafe_id: UUID, days: int) -> tuple[segments.SegmentLine, ...]:
    """The last days of all segments."""
    path = f"/cafes/{cafe_id}/segments/history"
    return await up.get(access, SERVICE, path, tuple[segments.SegmentLine, ...], {"days": days})


async def list_days(
    up: Upstream, access: Access, cafe_id: UUID, segment_id: UUID, days: int
) -> tuple[segments.SegmentDay, ...]:
    """The last days of one segment."""
    path = f"/cafes/{cafe_id}/segments/{segment_id}/history"
    return await up.get(access, SERVICE, path, tuple[segments.SegmentDay, ...], {"days": days})


async def list_attributes(up: Upstream, access: Access, cafe_id: UUID) -> tuple[segments.RuleAttribute, ...]:
    """What conditions may ask about."""
    path = f"/cafes/{cafe_id}/segments/attributes"
    return await up.get(access, SERVICE, path, tuple[segments.RuleAttribute, ...])


async def list_members(
    up: Upstream, access: Access, cafe_id: UUID, segment_id: UUID, after: UUID | None, limit: int
) -> segments.MemberCards:
    """Who is in a segment, page by page."""
    path = f"/cafes/{cafe_id}/segments/{segment_id}/members"
    return await up.get(access, SERVICE, path, segments.MemberCards, {"after": after, "limit": limit})


async def preview(up: Upstream, access: Access, cafe_id: UUID, wanted: dict[str, Any]) -> segments.RulePreview:
    """What a rule would find. Raises `RefusedCall` 429 while another one is being counted."""
    path = f"/cafes/{cafe_id}/segments/preview"
    return await up.send(access, SERVICE, "POST", path, segments.RulePreview, wanted, seconds=PREVIEW_SECONDS)


async def make(up: Upstream, access: Access, cafe_id: UUID, written: dict[str, Any]) -> segments.SegmentFile:
    """A new segment. Raises `RefusedCall` 409 when one with that key is there."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/segments", segments.SegmentFile, written)


async def alter(
    up: Upstream, access: Access, cafe_id: UUID, segment_id: UUID, changed: dict[str, Any]
) -> segments.SegmentFile:
    """Changes what is given of a segment."""
    path = f"/cafes/{cafe_id}/segments/{segment_id}"
    return await up.send(access, SERVICE, "PATCH", path, segments.SegmentFile, changed)


async def remove(up: Upstream, access: Access, cafe_id: UUID, segment_id: UUID) -> None:
    """Deletes a segment; its guests leave it."""
    await up.send(access, SERVICE, "DELETE", f"/cafes/{cafe_id}/segments/{segment_id}", type(None))


async def list_journeys(up: Upstream, access: Access, cafe_id: UUID) -> tuple[segments.SegmentJourney, ...]:
    """The cafe's messages that go out by themselves."""
    return await up.get(access, "campaign", f"/cafes/{cafe_id}/journeys", tuple[segments.SegmentJourney, ...])
