"""The `crm` command. Each group of commands is a module of its own, added at the end."""

import asyncio
import os
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from deploy.crm import (
    archive_commands,
    audit_commands,
    backfill_commands,
    contract,
    engines,
    explain_commands,
    identity_commands,
    parked_commands,
    processes,
    rebuild_commands,
    recover_commands,
    rehearse_commands,
    views,
)
from deploy.crm.migrate import MigrationFailed
from deploy.crm.migrate import migrate as migrate_all
from deploy.crm.output import AsJson, show_json
from deploy.demo import commands as demo_commands
from deploy.engines import kafka_jars, local_postgres
from deploy.engines.engine import EngineError
from shared.messaging import topics as topic_list
from shared.process import facts
from shared.services import WITH_DATABASE
from shared.settings import Settings, settings

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
identity_commands.add_to(app)
app.add_typer(parked_commands.app, name="parked")
app.command("audit")(audit_commands.audit_books)
app.command("explain")(explain_commands.explain)
app.command("archive")(archive_commands.archive_visits)
app.command("backfill")(backfill_commands.backfill_service)
app.command("rehearse")(rehearse_commands.rehearse_rules)
app.command("rebuild")(rebuild_commands.rebuild_service)
app.command()(contract.contract)
app.command("recover")(recover_commands.recover_service)
app.command()(demo_commands.demo)
app.command()(demo_commands.replay)
app.command()(demo_commands.sample)
out = Console()
# These look at `.crm/` themselves; every other command wants the addresses of the system that runs.
ABOUT_THE_SYSTEM_ITSELF = {"up", "down", "status", "logs", "engines", "demo"}

BEFORE_ALL_DATABASES = {"migrate", "topics"}


def say(text: str) -> None:
    """Tell the person at the terminal what is being done."""
    print(text, file=sys.stderr, flush=True)


@app.callback()
def main(context: typer.Context) -> None:
    """Servaan CRM: run it, look into it, and look after it."""
    folder = processes.home()
    if context.invoked_subcommand not in ABOUT_THE_SYSTEM_ITSELF and (folder / "state.json").exists():
        os.environ.update(processes.environment_of(folder, processes.read_state(folder)))
    if context.invoked_subcommand not in ABOUT_THE_SYSTEM_ITSELF | BEFORE_ALL_DATABASES:
        refuse_wrong_secret()


def refuse_wrong_secret() -> None:
    """Ends the command when a database was made with another secret. What can't be reached the command itself finds."""
    try:
        config = settings()
    except ValidationError:
        return
    for wrong in asyncio.run(_wrong_secrets(config)):
        say(f"crm: {wrong}")
        raise typer.Exit(1)


async def _wrong_secrets(config: Settings) -> list[facts.WrongSecret]:
    asked = [facts.require_secret(config, service) for service in WITH_DATABASE]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    return [answer for answer in answers if isinstance(answer, facts.WrongSecret)]


@app.command()
def up(
    sms_simulator: Annotated[
        bool, typer.Option(envvar="CRM_SMS_SIMULATOR", help="Send SMS to a simulator here, not to a provider.")
    ] = False,
) -> None:
    """Start the whole system on this machine, or what of it does not run. Servers are started unless
    CRM_POSTGRES_URL and CRM_KAFKA_SERVERS name some."""
    folder = processes.home()
    try:
        processes.up(folder, simulator=sms_simulator, say=say)
    except (EngineError, MigrationFailed, processes.UpFailed) as error:
        say(f"crm up: {error}")
        raise typer.Exit(1) from error
    out.print(views.status_table(processes.read_state(folder)))


@app.command()
def down(wipe: Annotated[bool, typer.Option(help="Remove all data, logs and secrets too.")] = False) -> None:
    """Stop what `crm up` started. The data stay for the next `crm up`."""
    processes.down(processes.home(), wipe=wipe, say=say)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show every part: ready or not, address, memory, lag, parked records. Exit code 1 when a part is not ready."""
    state = processes.read_state(processes.home())
    if not state.started:
        say("nothing runs here; `crm up` starts it")
        raise typer.Exit(1)
    if as_json:
        show_json([views.look(started) for started in state.started])
    else:
        out.print(views.status_table(state))
    if not all(processes.is_ready(started.part) for started in state.started):
        raise typer.Exit(1)


@app.command()
def logs(
    service: Annotated[list[str] | None, typer.Argument(help="Part or service, as in visit-worker or visit.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until stopped.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines of each part.")] = 20,
) -> None:
    """Show the logs of all parts, or of some."""
    folder = processes.home()
    names = sorted(file.stem for file in (folder / "logs").glob("*.log"))
    chosen = [
        name for name in names if not service or any(name == word or name.startswith(f"{word}-") for word in service)
    ]
    if not chosen:
        say(f"no such log; there are: {', '.join(names) or 'none'}")
        raise typer.Exit(1)
    for line in views.last_log_lines(folder, chosen, lines):
        print(line)
    if follow:
        try:
            for line in views.follow_logs(folder, chosen):
                print(line, flush=True)
        except KeyboardInterrupt:
            return


@app.command()
def migrate() -> None:
    """Make roles and databases, and bring every database to the newest version. Safe to repeat."""
    try:
        asyncio.run(migrate_all(settings()))
    except MigrationFailed as error:
        say(f"crm migrate: {error}")
        raise typer.Exit(1) from error


@app.command()
def topics(as_json: AsJson = False) -> None:
    """Create the missing topics, and list all with their keys and how long they keep what."""
    config = settings()
    made = asyncio.run(topic_list.create(config))
    if as_json:
        show_json([
            {**asdict(topic), "name": (name := config.topic_prefix + topic.name), "created": name in made}
            for topic in topic_list.TOPICS
        ])  # fmt: skip
        return
    table = Table("topic", "key", "keeps", "partitions", "", box=None, pad_edge=False)
    for topic in topic_list.TOPICS:
        name = config.topic_prefix + topic.name
        days = f"{topic.keep_ms // topic_list.DAY_MS} days" if topic.keep_ms else "for ever"
        keeps = "the last of each key" if topic.compacted else days
        table.add_row(name, topic.key, keeps, str(config.partitions), "created" if name in made else "")
    out.print(table)


@app.command("engines")
def prepare_engines() -> None:
    """Fetch and install what PostgreSQL and Kafka need on this machine, without starting them."""
    try:
        if engines.way() == "local":
            local_postgres.find_binaries()
            kafka_jars.classpath()
    except EngineError as error:
        say(f"crm engines: {error}")
        raise typer.Exit(1) from error
    say(f"engines: {engines.way()}")


if __name__ == "__main__":
    app()
