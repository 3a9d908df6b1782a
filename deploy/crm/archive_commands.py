"""`crm archive`: old months leave the visits' table, for the operator to dump and drop."""

import asyncio
from datetime import datetime
from typing import Annotated

import asyncpg
import typer

from deploy.crm.output import AsJson, show_json
from services.visit.handlers.upkeep import detach_old_visits
from shared.clock import now
from shared.settings import Settings, settings

FEWEST_DAYS = 400


def archive_visits(
    before: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="Months that ended by that day (UTC).")],
    as_json: AsJson = False,
) -> None:
    """Make tables of their own of old months of visits, to dump and drop. Receipts, points and figures stay; the visits
    can be neither read nor changed any more."""
    if (now().date() - before.date()).days < FEWEST_DAYS:
        raise typer.BadParameter(f"at least {FEWEST_DAYS} days ago: corrections and figures reach back a year")
    tables = asyncio.run(_detach(settings(), before))
    if as_json:
        show_json(tables)
        return
    for table in tables:
        typer.echo(table)
    typer.echo(f"{len(tables)} months taken out of the visits", err=True)


async def _detach(config: Settings, before: datetime) -> list[str]:
    conn = await asyncpg.connect(config.dsn("visit"))
    try:
        async with conn.transaction():
            return await detach_old_visits(conn, before.date())
    finally:
        await conn.close()
