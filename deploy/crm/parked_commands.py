"""`crm parked`: look into records that could not be taken, and send them again or give them up."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar
from uuid import UUID

import asyncpg
import typer

from deploy.crm.output import AsJson, show_json
from shared.database.db import Connection
from shared.errors import Rejected
from shared.messaging import parked
from shared.services import WITH_DATABASE
from shared.settings import settings

app = typer.Typer(
    help="Records set aside with their reason: list, look into, send again, give up.", no_args_is_help=True
)
T = TypeVar("T")
Ids = Annotated[list[UUID] | None, typer.Argument(help="Which records.")]
ServiceOption = Annotated[str, typer.Option("--service", "-s", help="Whose parked records.")]
All = Annotated[bool, typer.Option("--all", help="Every parked record of the service.")]
NoteOption = Annotated[str, typer.Option("--note", help="Why; kept with the record.")]
ALL_LIMIT = 10_000


def within(service: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Runs `work` in one transaction of the service's own database."""
    if service not in WITH_DATABASE:
        raise typer.BadParameter(f"one of {', '.join(WITH_DATABASE)}", param_hint="--service")

    async def run() -> T:
        conn = await asyncpg.connect(settings().dsn(service))
        try:
            async with conn.transaction():
                return await work(conn)
        finally:
            await conn.close()

    return asyncio.run(run())


@app.command("list")
def list_records(
    service: Annotated[str | None, typer.Option("--service", "-s", help="Only of one service.")] = None,
    status: Annotated[str, typer.Option(help="parked, redriven or discarded.")] = "parked",
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many of each service.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List parked records, newest first, without what is in them."""
    found = [
        {"service": name, **row}
        for name in ([service] if service else WITH_DATABASE)
        for row in within(name, lambda conn: parked.list_parked(conn, status, limit))
    ]
    if as_json:
        show_json(found)
        return
    for row in found:
        typer.echo("\n".join(_lines(row)))
    if not found:
        typer.echo("nothing is parked", err=True)


def _lines(row: Mapping[str, Any]) -> list[str]:
    # One fact a line: a table would cut the ids at the width of most terminals.
    tries = "1 try" if row["attempts"] == 1 else f"{row['attempts']} tries"
    return [
        f"{row['id']}  {row['service']}  {row['parked_at']:%F %T}  {tries}",
        f"  {row['topic']} {row['partition']}@{row['record_offset']}  {row['event_type'] or 'no type'}",
        f"  {row['reason']}: {row['detail']}",
    ]


@app.command()
def show(
    parked_id: Annotated[UUID, typer.Argument(help="The record's id, as `list` shows it.")],
    service: ServiceOption,
    reveal: Annotated[bool, typer.Option(help="Show the body too: it may hold a guest's number.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one parked record: where it came from, its headers, why it was set aside."""
    try:
        record = within(service, lambda conn: parked.show(conn, parked_id, settings().keys))
    except Rejected as error:
        typer.echo(f"crm parked: {error.en}", err=True)
        raise typer.Exit(1) from error
    if not reveal:
        record["body"] = f"{len(record['body'] or '')} characters; --reveal shows them"
    if as_json:
        show_json(record)
        return
    for name, value in record.items():
        typer.echo(f"{name:<14} {value}")


@app.command()
def redrive(service: ServiceOption, note: NoteOption, ids: Ids = None, everything: All = False) -> None:
    """Send parked records through their topic again, under their own ids: what was taken meanwhile stays as it is."""
    chosen = _chosen(service, ids, everything)
    count = within(service, lambda conn: parked.redrive(conn, chosen, settings().keys, note))
    typer.echo(f"{count} sent again")


@app.command()
def discard(service: ServiceOption, note: NoteOption, ids: Ids = None, everything: All = False) -> None:
    """Give parked records up for good."""
    chosen = _chosen(service, ids, everything)
    typer.echo(f"{within(service, lambda conn: parked.discard(conn, chosen, note))} given up")


def _chosen(service: str, ids: list[UUID] | None, everything: bool) -> list[UUID]:
    if bool(ids) == everything:
        raise typer.BadParameter("name records, or say --all")
    if ids:
        return ids
    return [row["id"] for row in within(service, lambda conn: parked.list_parked(conn, "parked", ALL_LIMIT))]
