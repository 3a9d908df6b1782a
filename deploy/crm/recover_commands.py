"""`crm recover`: a database that was put back in time, and what follows from that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import asyncpg
import typer
import uvloop
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import TopicPartition
from rich.console import Console
from rich.table import Table

from deploy.crm.migrate import owner_dsn
from deploy.crm.rebuild_commands import reactions_of
from shared.database.db import Connection
from shared.messaging import positions, standing
from shared.messaging.clients import opened
from shared.messaging.positions import OUTBOX, Partition, PartitionState, fault_of
from shared.services import WITH_INBOX
from shared.settings import Settings, settings

out = Console()
# The inbox knows what was taken in since; a record may have been on its way for so long.
MARGIN = timedelta(days=1)
LAST_TAKEN_IN = "SELECT max(received_at) FROM crm.inbox"
FORGET = "DELETE FROM crm.positions WHERE topic = $1 AND partition = $2"
NEXT_NUMBER = "SELECT last_value + is_called::int FROM crm.outbox_id_seq"
# What of a service no topic brings back once its database has forgotten it.
SAID_BY_PEOPLE = {
    "identity": "cafes, people, their access and tills' keys: the other services still act on what was published last."
    " Set them up again; versions go on from what this database knows, so make each change twice if it is not heeded",
    "customer": "what staff changed on guests and segments: profiles that were published stay with the other services",
    "visit": "bills that came over HTTP, voids and corrections by staff, and bills of more than 7 days ago: loyalty and"
    " the others have counted them, visit has not. Let the tills send again whatever is missing",
    "loyalty": "redemptions, adjustments and programs by staff: they are gone from the ledger, and visits, customer and"
    " guests may have heard of them",
    "campaign": "campaigns, journeys and messages that were already sent: guests may get one of them again",
    "feedback": "links and answers of guests",
}


@dataclass(frozen=True)
class Findings:
    """What is wrong with a service, and what `crm recover` would do about it."""

    places: Sequence[PartitionState]
    targets: Mapping[Partition, int]
    faults: Sequence[str]
    # Numbers of the service's own outbox that were published and are not known to it.
    unknown: Sequence[int]
    highest: int
    # What the database has noted of partitions that are gone.
    strays: Sequence[Partition]


def recover_service(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(WITH_INBOX)}.")],
    check: Annotated[bool, typer.Option("--check", help="Only look; exit code 1 when something is wrong.")] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Read every topic from its beginning, whatever the database notes.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Let a service go on whose database, broker or topics were put back in time.

    What the database has not taken in it takes in again: the group's offsets are put back to what is noted in the
    database itself, so nothing counts twice and nothing is left out. Stop the service's workers first, and run
    `crm audit` when they have caught up.
    """
    if service not in WITH_INBOX:
        raise typer.BadParameter(f"one of {', '.join(WITH_INBOX)}", param_hint="SERVICE")
    config = settings()
    try:
        found = uvloop.run(_look(service, config, from_start=from_start))
    except CannotRecover as error:
        typer.echo(f"crm recover: {error}", err=True)
        raise typer.Exit(1) from error
    show(service, found)
    if check:
        raise typer.Exit(1 if found.faults or found.unknown else 0)
    if not (found.faults or found.unknown or from_start):
        typer.echo("nothing to do", err=True)
        return
    if not yes:
        typer.confirm("Put offsets and numbers so that the service can go on?", abort=True)
    try:
        uvloop.run(_put_right(service, config, found))
    except CannotRecover as error:
        typer.echo(f"crm recover: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"done; start the workers of {service}, and run `crm audit` when they have caught up", err=True)


class CannotRecover(Exception):
    """Why not, as a sentence."""


def show(service: str, found: Findings) -> None:
    """What was found, what comes again, and what does not."""
    table = Table("topic", "part.", "in the database", "at the broker", "topic holds", "goes on from", "", box=None)
    for place in found.places:
        target = found.targets[place.topic, place.partition]
        row = (place.noted, place.committed, f"{place.begin} to {place.end}", target, fault_of(place) and "differs")
        table.add_row(place.topic, str(place.partition), *("-" if cell is None else str(cell) for cell in row))
    out.print(table)
    for fault in found.faults:
        print(fault)
    for place in found.places:
        if place.lost and fault_of(place):
            print(f"{place.topic}[{place.partition}]: {place.lost:,} records are no longer in the topic")
    if found.unknown:
        print(
            f"{service} has published at least {len(found.unknown):,} events that its database does not know, up to"
            f" number {found.unknown[-1]:,}. What they told stays with those who heard it. No topic brings back:"
            f" {SAID_BY_PEOPLE[service]}."
        )


async def _look(service: str, config: Settings, *, from_start: bool) -> Findings:
    prefix, topics = config.topic_prefix, reactions_of(service).topics
    partitions = await standing.partitions_of(config.kafka_servers, [prefix + topic for topic in topics])
    conn = await asyncpg.connect(owner_dsn(config, config.database_name(service)))
    try:
        noted = await positions.read(conn)
        if not partitions:
            places: list[PartitionState] = []
            adopted, since = True, None
        else:
            async with standing.reader(config.kafka_servers, prefix + service) as client:
                committed = {each: await client.committed(each) for each in partitions}
                places = await standing.places(client, noted, committed, prefix)
                places = await standing.with_waiting(config.kafka_servers, prefix, places)
                adopted = any((place.topic, place.partition) in noted for place in places)
                since = None if adopted else await conn.fetchval(LAST_TAKEN_IN)
                times = {} if since is None else await _offsets_since(client, partitions, since - MARGIN)
        targets = {
            (place.topic, place.partition): place.begin if from_start
            else _target(place) if adopted
            else times.get(TopicPartition(prefix + place.topic, place.partition), place.end) if since is not None
            else place.begin
            for place in places
        }  # fmt: skip
        published = await standing.published(config.kafka_servers, prefix, config.keys, service)
        unknown = await standing.unknown(conn, published)
    finally:
        await conn.close()
    there = {(place.topic, place.partition) for place in places}
    strays = [each for each in noted if each[0] in topics and each not in there]
    faults = [fault for place in places if (fault := fault_of(place))]
    faults += [f"{topic}[{number}] was read and is no more: the topic was made anew" for topic, number in strays]
    return Findings(places, targets, faults, unknown, max(published, default=-1), strays)


def _target(place: PartitionState) -> int:
    """Where the database itself says that it goes on; from the beginning of a topic that was made anew."""
    if place.noted is None:
        return place.begin if place.committed is None else place.committed
    return place.begin if place.noted > place.end else max(place.noted, place.begin)


async def _offsets_since(client: Any, partitions: Sequence[TopicPartition], since: Any) -> dict[TopicPartition, int]:
    moments = {each: round(since.timestamp() * 1000) for each in partitions}
    found = await client.offsets_for_times(moments)
    return {each: place.offset for each, place in found.items() if place is not None}


async def _put_right(service: str, config: Settings, found: Findings) -> None:
    group, prefix = config.topic_prefix + service, config.topic_prefix
    if await _is_live(config.kafka_servers, group):
        raise CannotRecover(f"workers of {service} are running: stop them first")
    conn = await asyncpg.connect(owner_dsn(config, config.database_name(service)))
    try:
        async with conn.transaction():
            # First the database: until the broker is told too, the service goes on being refused.
            await positions.put(conn, found.targets)
            await conn.executemany(FORGET, found.strays)
            await _move_numbers(conn, found)
        if found.targets:
            async with standing.reader(config.kafka_servers, group) as client:
                targets = {TopicPartition(prefix + topic, number): at for (topic, number), at in found.targets.items()}
                client.assign(list(targets))
                await client.commit(targets)
    finally:
        await conn.close()


async def _move_numbers(conn: Connection, found: Findings) -> None:
    """Events from now on get numbers that none before has had, and the published ones are no riddle any more."""
    if not found.unknown:
        return
    following = max(found.highest + 1, int(await conn.fetchval(NEXT_NUMBER)))
    await conn.execute(f"ALTER TABLE crm.outbox ALTER COLUMN id RESTART WITH {following}")
    await positions.put(conn, {(OUTBOX, 0): found.highest + 1})


async def _is_live(servers: str, group: str) -> bool:
    async with opened(AIOKafkaAdminClient(bootstrap_servers=servers)) as admin:
        answers = await admin.describe_consumer_groups([group])
        # Error, group, state, kind of protocol, protocol, members.
        return any(each[5] for answer in answers for each in answer.groups)
