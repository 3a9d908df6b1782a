"""The history of a cafe's approval policy: what became of each change."""

from uuid import UUID

from services.identity.models.http import PolicyStep
from shared.database.db import Connection

NOTE_POLICY_STEP = """
INSERT INTO policy_steps (cafe_id, change_id, step, by_user, at, before, after) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
LIST_POLICY_STEPS = """
SELECT change_id, step, by_user, at, before, after FROM policy_steps
WHERE cafe_id = $1 ORDER BY at DESC, change_id, step DESC LIMIT $2
"""
WAITING_POLICY = """
SELECT change_id, step, by_user, at, before, after FROM policy_steps AS asked
WHERE cafe_id = $1 AND step = 'asked' AND NOT EXISTS (
    SELECT FROM policy_steps AS ended
    WHERE ended.cafe_id = asked.cafe_id AND ended.change_id = asked.change_id AND ended.step <> 'asked'
)
"""


async def note_policy_step(conn: Connection, cafe_id: UUID, step: PolicyStep) -> None:
    """Keep what became of a change of the policy; the row stays for ever."""
    await conn.execute(
        NOTE_POLICY_STEP, cafe_id, step.change_id, step.step, step.by_user, step.at, step.before, step.after
    )


async def list_policy_steps(conn: Connection, cafe_id: UUID, limit: int) -> list[PolicyStep]:
    """What happened to the cafe's policy, newest first."""
    return [PolicyStep(**row) for row in await conn.fetch(LIST_POLICY_STEPS, cafe_id, limit)]


async def waiting_policy(conn: Connection, cafe_id: UUID) -> PolicyStep | None:
    """The change that waits for another owner; the cafe is held, so there is one at most."""
    row = await conn.fetchrow(WAITING_POLICY, cafe_id)
    return PolicyStep(**row) if row else None
