"""`crm demo` and `crm replay`."""

import asyncio
import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from deploy.crm import processes
from deploy.crm.migrate import MigrationFailed
from deploy.engines.engine import EngineError
from shared.settings import settings

Visits = Annotated[str, typer.Option(envvar="VISITS", help="How many visits, or all.")]
Rate = Annotated[float | None, typer.Option(help="Visits a second; as fast as it goes when not given.")]


def say(text: str) -> None:
    """Tell the person at the terminal what is being done."""
    typer.echo(text, err=True)


def demo(
    visits: Visits = "20000",
    rate: Rate = None,
    exit_at_end: Annotated[
        bool,
        typer.Option("--exit", help="End by itself after the check; the exit code says whether the books balance."),
    ] = bool(os.environ.get("EXIT")),
) -> None:
    """Play a year of real visits through the whole system on this machine, and check its books."""
    # The data set's readers are heavy and only these two commands need them.
    from deploy.demo import run  # noqa: PLC0415

    try:
        code = run.run(_count(visits), exit_at_end=exit_at_end, per_second=rate, say=say)
    except (EngineError, MigrationFailed, processes.UpFailed) as error:
        say(f"crm demo: {error}")
        code = 1
    raise typer.Exit(code)


def replay(
    api_key: Annotated[str, typer.Option(envvar="CRM_TILL_KEY", help="Of the till that publishes.")],
    visits: Visits = "1000",
    rate: Rate = None,
) -> None:
    """Publish real visits to `pos.visits` of the running system, as a till of the given key. Safe to repeat."""
    from deploy.demo import dataset, till  # noqa: PLC0415

    async def publish() -> int:
        config, sent = settings(), 0
        baskets = dataset.load(_count(visits), until=datetime.now(UTC))
        async with till.producer(config.kafka_servers) as producer:
            topic = f"{config.topic_prefix}pos.visits"
            async for confirmed in till.publish(producer, topic, api_key, baskets, per_second=rate):
                sent = confirmed
        return sent

    say(f"{asyncio.run(publish()):,} visits published")


def sample() -> None:
    """Make the two guests of the schema document in a cafe of their own, through the running services."""
    from deploy.demo import sample as samples  # noqa: PLC0415

    for name, value in asyncio.run(samples.load(settings(), say)).items():
        typer.echo(f"{name:<22} {value}")


def _count(visits: str) -> int | None:
    if visits == "all":
        return None
    if not visits.isdigit() or int(visits) < 1:
        raise typer.BadParameter("a number of visits, or all", param_hint="--visits")
    return int(visits)
