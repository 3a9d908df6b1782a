"""`crm rebuild`: what a service counted, counted anew from all events."""

import importlib
from typing import Annotated

import typer
import uvloop

from deploy.crm.migrate import owner_dsn
from deploy.crm.output import AsJson, show_json
from shared.messaging.consumer import Reactions
from shared.rebuild.rebuild import Projection, Rebuilt, rebuild
from shared.rebuild.replay import CannotReplay
from shared.settings import Settings, settings

REBUILT = ("customer", "feedback", "campaign")


def rebuild_service(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(REBUILT)}.")],
    check: Annotated[bool, typer.Option("--check", help="Only compare; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count a service's projections anew from every event it took in, compare row by row, and put right what differs.

    The service may run: it waits only for the last step, and `--check` keeps it for a moment. No event and no message
    leaves. Exit code 1 when rows differed with --check, or when it can't be done.

    customer: activity (visits, money, points, tier, ratings), segment memberships, counts and the segment shown.
    feedback: the visits it knows. campaign: contacts, consents, memberships.

    What staff or guests told a service is not counted but kept, and can't be rebuilt: profiles and definitions, why and
    when somebody was in a segment before, answers about consent as they were given, feedback itself and its links,
    campaigns, deliveries and blocked lines. Visits and the loyalty ledger are themselves what the events come from;
    `crm audit` compares them.
    """
    if service not in REBUILT:
        raise typer.BadParameter(
            f"one of {', '.join(REBUILT)}: what the others hold is what events come from. When a database was put back"
            " in time, `crm recover SERVICE` lets the service take in again what it lacks",
            param_hint="SERVICE",
        )
    try:
        done = uvloop.run(_run(service, settings(), check=check))
    except CannotReplay as error:
        typer.echo(f"crm rebuild: {error}", err=True)
        raise typer.Exit(1) from error
    if as_json:
        show_json(done)
    else:
        print("\n".join(lines_of(done)))
    rate = done.events / max(done.seconds, 0.001)
    typer.echo(
        f"{done.events:,} events in {done.seconds:.1f} s ({rate:,.0f}/s); the service waited {done.held_seconds:.2f} s",
        err=True,
    )
    if check and done.rows_differing:
        raise typer.Exit(1)
    if done.rows_differing:
        typer.echo(f"{done.rows_differing:,} rows put right", err=True)


def lines_of(done: Rebuilt) -> list[str]:
    """What differs, a line for each table and for a few of its rows: ids only."""
    lines = []
    for found in done.differences:
        how = f"{found.missing:,} missing, {found.extra:,} too many, {found.different:,} different"
        lines.append(f"{found.table}: {how if found.rows else 'the same'}")
        lines += [f"  {example}" for example in found.examples]
    return lines


def projection_of(service: str) -> Projection:
    """What the service declares in its `projection`."""
    found: Projection = importlib.import_module(f"services.{service}.projection").PROJECTION
    return found


def reactions_of(service: str) -> Reactions:
    """What the service's worker reads."""
    found: Reactions = importlib.import_module(f"services.{service}.worker").REACTIONS
    return found


async def _run(service: str, config: Settings, *, check: bool) -> Rebuilt:
    dsn = owner_dsn(config, config.database_name(service))
    return await rebuild(
        service,
        projection_of(service),
        dsn=dsn,
        config=config,
        check=check,
        say=lambda line: typer.echo(line, err=True),
    )
