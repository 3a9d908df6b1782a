"""`crm backfill`: what a service keeps today of events that it took in before it kept it."""

from typing import Annotated

import typer
import uvloop

from services.loyalty.handlers import backfilling
from shared.database import db
from shared.rebuild.events import taken_in
from shared.rebuild.replay import CannotReplay
from shared.settings import Settings, settings


def backfill_service(service: Annotated[str, typer.Argument(help="loyalty")]) -> None:
    """Read again the events that a service took in, and add what it did not keep of them then; may be repeated.

    loyalty: what is on bills (lines, branch, payment) and who was in which segment, which earning rules read. The
    service may run. Where rules read
    it, the guests of the cafe are counted anew by the service's own job. Exit code 1 when the events are gone.
    """
    if service != "loyalty":
        raise typer.BadParameter("only loyalty has something to fill", param_hint="SERVICE")
    try:
        events, filled = uvloop.run(_fill(settings()))
    except CannotReplay as error:
        typer.echo(f"crm backfill: {error}", err=True)
        raise typer.Exit(1) from error
    print(f"{events:,} events read, {filled:,} filled")


async def _fill(config: Settings) -> tuple[int, int]:
    read = filled = 0
    pool = await db.open_pool(config.dsn("loyalty"), max_size=1, name="backfill")
    try:
        for kinds in (backfilling.BILLS, backfilling.MOVES):
            async for portion in taken_in("loyalty", kinds, config):
                for first in range(0, len(portion), backfilling.AT_ONCE):
                    async with db.transaction(pool) as conn:
                        filled += await backfilling.fill(conn, portion[first : first + backfilling.AT_ONCE])
                read += len(portion)
                typer.echo(f"{read:,} events read", err=True)
    finally:
        await pool.close()
    return read, filled
