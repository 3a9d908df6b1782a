"""What people wrote on a bill: sealed on its way into the tables, opened on its way out."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

import msgspec

from services.visit.store import words
from shared.database.db import Connection, Pool
from shared.events.pos import VisitBody
from shared.jobs.by_cafe import ByCafe
from shared.security.crypto import Keys, seal, unseal

PLACE = {"table": "customer_visits", "column": "words"}
AT_ONCE = 500
_sealing = ByCafe("visit", "visit.seal_words")


def sealed(keys: Keys, visit_id: UUID, body: VisitBody) -> str | None:
    """Notes and attributes of a bill as the table keeps them; None when there are none, as on most bills."""
    return _seal(keys, visit_id, body.notes, body.attributes) if body.notes or body.attributes else None


def in_clear(keys: Keys, row: Mapping[str, Any]) -> dict[str, Any]:
    """A visit's row as people see it. Versions before wrote the words beside where they are now."""
    if row["words_sealed"] is None:
        return dict(row)
    notes, attributes = msgspec.json.decode(unseal(keys, row["words_sealed"], **PLACE, row=row["id"]))
    return {**row, "visit_notes": notes, "attributes": attributes}


async def seal_older(pool: Pool, *, keys: Keys) -> int:
    """Job: seals words that a version before wrote in clear, some at a time. Returns how many."""
    return await _sealing.run(
        pool, lambda conn, without: words.lock_clear(conn, AT_ONCE, without), partial(_seal_rows, keys=keys)
    )


async def _seal_rows(conn: Connection, rows: Sequence[Mapping[str, Any]], *, keys: Keys) -> int:
    sealed = [(row, _seal(keys, row["id"], row["visit_notes"], row["attributes"])) for row in rows]
    await words.keep_sealed(conn, sealed)
    return len(rows)


def _seal(keys: Keys, visit_id: UUID, notes: str | None, attributes: Mapping[str, Any]) -> str:
    return seal(keys, msgspec.json.encode((notes, attributes)).decode(), **PLACE, row=visit_id)
