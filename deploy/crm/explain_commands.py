"""`crm explain`: what happened, and why."""

import asyncio
import sys
from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

import typer

from deploy.crm import explaining
from deploy.crm.explaining import Subject
from shared.inputs.explaining import Condition, ExplainedStep
from shared.persian.phone import InvalidPhone, canonical
from shared.security.ids import customer_id
from shared.settings import Settings, settings


def explain(
    subject: Annotated[str, typer.Argument(metavar="VISIT_ID|PHONE", help="A visit's id, or a guest's number.")],
    cafe: Annotated[UUID | None, typer.Option(help="The cafe; needed with a number.")] = None,
) -> None:
    """Say what happened at a visit or to a guest, and why, oldest first; only reads. Exit code 1 when the points of
    the explanation are not those of the ledger."""
    config = settings()
    steps = asyncio.run(_ask(config, subject, cafe))
    for step in reversed(steps):
        for line in _lines(step):
            print(line)
    wrong = explaining.differences(steps)
    if wrong:
        typer.echo(f"{len(wrong)} steps are not what the ledger says", err=True)
        sys.exit(1)


async def _ask(config: Settings, written: str, cafe_id: UUID | None) -> list[ExplainedStep]:
    async with explaining.opened(config) as connections:
        found = _guest(config, written, cafe_id)
        if found is None:
            found = await explaining.find_visit(connections["visit"], _visit_id(written), cafe_id)
        if found is None:
            raise typer.BadParameter("no cafe has a visit with that id")
        return await explaining.explain(connections, found)


def _guest(config: Settings, written: str, cafe_id: UUID | None) -> Subject | None:
    try:
        number = canonical(written)
    except InvalidPhone:
        return None
    if cafe_id is None:
        raise typer.BadParameter("whose guest? give --cafe with a number")
    return Subject(cafe_id, None, customer_id(config.keys, cafe_id, number))


def _visit_id(written: str) -> UUID:
    try:
        return UUID(written)
    except ValueError:
        raise typer.BadParameter("neither a visit's id nor a mobile number") from None


def _lines(step: ExplainedStep) -> Iterator[str]:
    about = f" by {step.rule}" if step.rule else ""
    today = " (now)" if step.as_of == "now" else ""
    yield f"{step.at:%Y-%m-%d %H:%M:%S}  {step.service}: {step.what} {step.outcome}{about}{today}{_told(step)}"
    for condition in step.conditions:
        indent = "    " + "  " * condition.depth
        yield f"{indent}{'+' if condition.held else '-'} {condition.rule}{_told(condition)}"
    if step.not_because:
        yield f"    in the way: {', '.join(step.not_because)}"


def _told(part: ExplainedStep | Condition) -> str:
    pairs = [f"{name}={value}" for name, value in part.values.items() if value is not None]
    pairs += [f"{name}={value:f}" for name, value in (part.amounts or {}).items()]
    return f"  {' '.join(pairs)}" if pairs else ""
