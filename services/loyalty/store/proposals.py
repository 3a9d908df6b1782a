"""Rules of programs that wait for a second person."""

from uuid import UUID

from services.loyalty.models.accounts import Proposal
from services.loyalty.models.programs import apart
from shared.database.db import Connection

COLUMNS = """
    id AS proposal_id,
    rules || jsonb_build_object('toman_per_point', toman_per_point) || coalesce(earning, '{}') AS rules, valid_from,
    after_version, state, created_by, created_at, decided_by, decided_at, version, rehearsal_id
"""
INSERT = """
INSERT INTO program_proposals (cafe_id, id, rules, valid_from, after_version, created_by, created_at,
                               toman_per_point, earning, rehearsal_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
FIND = f"SELECT {COLUMNS} FROM program_proposals WHERE cafe_id = $1 AND id = $2 FOR UPDATE"  # noqa: S608
LIST_PENDING = f"""
SELECT {COLUMNS} FROM program_proposals WHERE cafe_id = $1 AND state = 'pending' ORDER BY created_at LIMIT $2
"""  # noqa: S608
DECIDE = """
UPDATE program_proposals SET state = $3, decided_by = $4, decided_at = $5, version = $6 WHERE cafe_id = $1 AND id = $2
"""


async def insert(conn: Connection, cafe_id: UUID, proposal: Proposal) -> None:
    """Keeps rules that wait."""
    rules, price, earning = apart(proposal.rules)
    await conn.execute(
        INSERT, cafe_id, proposal.proposal_id, rules, proposal.valid_from, proposal.after_version,
        proposal.created_by, proposal.created_at, price, earning, proposal.rehearsal_id,
    )  # fmt: skip


async def find(conn: Connection, cafe_id: UUID, proposal_id: UUID) -> Proposal | None:
    """The proposal, locked."""
    row = await conn.fetchrow(FIND, cafe_id, proposal_id)
    return Proposal(**row) if row else None


async def list_pending(conn: Connection, cafe_id: UUID, limit: int) -> list[Proposal]:
    """Those that wait, the oldest first."""
    return [Proposal(**row) for row in await conn.fetch(LIST_PENDING, cafe_id, limit)]


async def decide(conn: Connection, cafe_id: UUID, proposal: Proposal) -> None:
    """Writes what became of it."""
    await conn.execute(
        DECIDE, cafe_id, proposal.proposal_id, proposal.state, proposal.decided_by, proposal.decided_at,
        proposal.version,
    )  # fmt: skip
