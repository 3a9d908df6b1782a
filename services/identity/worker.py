"""The background of identity: its events go out, its signing key rotates. It reacts to nothing."""

from services.identity.handlers import sessions, signing
from shared.database import db
from shared.jobs.periodic import Job
from shared.messaging.consumer import Reactions
from shared.messaging.worker import run
from shared.settings import settings

REACTIONS = Reactions(events={})


async def tidy_sessions(pool: db.Pool) -> int:
    """Rotates the signing key when due and deletes what nobody needs any more."""
    async with db.transaction(pool) as conn:
        await signing.ensure_signing_key(conn, settings().keys)
        return await sessions.tidy(conn)


JOBS = [Job("identity.tidy_sessions", 600.0, tidy_sessions)]

if __name__ == "__main__":
    run("identity", REACTIONS, JOBS)
