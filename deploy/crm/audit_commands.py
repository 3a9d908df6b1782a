"""`crm audit`: are the books right?"""

import asyncio
import sys
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import msgspec
import typer

from deploy.crm import explaining
from deploy.crm.audit import SECOND_LOOK_SECONDS, Breach, audit, count_parked, opened
from services.loyalty.store import audit as loyalty
from shared.clock import now
from shared.settings import Settings, settings


def audit_books(
    cafe: Annotated[UUID | None, typer.Option(help="Only this cafe; all when not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One log line per breach, for a program to read.")] = False,
    second_look: Annotated[
        float, typer.Option(help="Seconds until what was found is looked for again: events may be under way.")
    ] = SECOND_LOOK_SECONDS,
    explain: Annotated[
        int, typer.Option(min=0, help="Also explain so many bills and messages, and compare that with the books.")
    ] = 0,
    types: Annotated[
        bool, typer.Option("--types", help="Only count the rows of each type of the ledger; exit 1 if one has none.")
    ] = False,
) -> None:
    """Check the invariants over all databases of a running system; only reads. Exit code 1 when one does not hold."""
    if types:
        counts = asyncio.run(_count_types(settings(), cafe))
        for kind, count in counts.items():
            print(f"{kind:<20} {count:>12,}")
        sys.exit(0 if all(counts.values()) else 1)
    breaches, waiting = asyncio.run(_ask(settings(), cafe, second_look))
    if explain:
        breaches += asyncio.run(_explain(settings(), cafe, explain))
    for breach in breaches:
        print(_log_line(breach) if as_json else _sentence(breach))
    for service, count in waiting.items():
        if count:
            typer.echo(f"{service}: {count} parked records wait for somebody; see `crm parked list`", err=True)
    typer.echo(f"{len(breaches)} breaches" if breaches else "every invariant holds", err=True)
    if breaches:
        sys.exit(1)


async def _ask(config: Settings, cafe: UUID | None, second_look: float) -> tuple[list[Breach], dict[str, int]]:
    breaches = await audit(config, cafe, second_look_seconds=second_look)
    async with opened(config) as connections:
        return breaches, await count_parked(connections)


async def _count_types(config: Settings, cafe: UUID | None) -> dict[str, int]:
    async with opened(config) as connections:
        return await loyalty.count_types(connections["loyalty"], cafe)


async def _explain(config: Settings, cafe: UUID | None, count: int) -> list[Breach]:
    async with explaining.opened(config) as connections:
        bills, wrong_points = await explaining.check_points(connections["loyalty"], cafe, count)
        messages, wrong_codes = await explaining.check_skipped(connections["campaign"], cafe, count)
    typer.echo(f"explained {bills} bills and {messages} messages that were not sent", err=True)
    return [
        *(Breach(each.invariant, "loyalty", each.cafe_id, str(each.id), each.found) for each in wrong_points),
        *(Breach(each.invariant, "campaign", each.cafe_id, str(each.id), each.found) for each in wrong_codes),
    ]


def _log_line(breach: Breach) -> str:
    line = {"event": "audit.breached", "level": "error", "timestamp": now(), "service": "audit", **asdict(breach)}
    return msgspec.json.encode(line).decode()


def _sentence(breach: Breach) -> str:
    whose = f"cafe {breach.cafe_id}, {breach.id}: " if breach.cafe_id else ""
    return f"{breach.invariant} ({breach.services}): {whose}{breach.found}"
