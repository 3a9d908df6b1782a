"""The only sources of time and of identifiers."""

from datetime import UTC, datetime
from typing import AnyStr
from uuid import UUID

import uuid_utils
from asyncpg.pgproto import pgproto


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def new_id() -> UUID:
    """A UUIDv7: ids that grow with time keep an index's hot pages together (half the write cost at 5M rows)."""
    return compiled_id(uuid_utils.uuid7().bytes)


def compiled_id(value: AnyStr) -> UUID:
    """A UUID of the database driver's class. It equals one of the standard library in everything, and is made, hashed
    and written many times faster.

    `value`: its 16 bytes, or 32 hexadecimal digits with or without hyphens. Raises `ValueError` for anything else.
    """
    # asyncpg returns ids of this class (seen in 0.32.0), which has no public name. With the standard library's `UUID`
    # instead, taking in visits costs a tenth more.
    made: UUID = pgproto.UUID(value)
    return made
