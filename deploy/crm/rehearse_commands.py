"""`crm rehearse`: what rules would have made of everything that happened."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from deploy.crm.output import AsJson, show_json
from services.loyalty.handlers.rehearsal_runs import wanted_of
from services.loyalty.handlers.rehearsal_work import Wanted, rehearse
from services.loyalty.handlers.rehearsing import drafted
from services.loyalty.models.http_rehearsals import AskRehearsal
from services.loyalty.models.rehearsals import GuestOutcome, RehearsalReport, SelfCheck
from shared.clock import new_id
from shared.database import db
from shared.errors import Rejected
from shared.settings import Settings, settings

_SHOWN = 10
out = Console()


def rehearse_rules(
    cafe: Annotated[UUID, typer.Option(help="The cafe.")],
    rules: Annotated[Path, typer.Option(help="The draft: the JSON document with which it would be published.")],
    mode: Annotated[
        str, typer.Option(help="always: as if it had been in force since ever. from_date: from its valid_from on.")
    ] = "always",
    as_json: AsJson = False,
) -> None:
    """Try rules on all bills of a cafe, from one snapshot; only reads.

    The first line says whether counting by the rules in force finds what the books say. Exit code 1 when it does not.
    """
    config = settings()
    wanted = asyncio.run(_wanted(config, cafe, _read(rules, mode)))
    found = rehearse(config.dsn("loyalty"), wanted, os.cpu_count() or 1).report
    if as_json:
        show_json(found)
    else:
        for line in lines(found, wanted):
            out.print(line, highlight=False, soft_wrap=True)
    if not found.check.holds:
        raise typer.Exit(1)


def lines(found: RehearsalReport, wanted: Wanted) -> Iterator[str | Table]:
    """The report in words and tables, the check first."""
    yield from _checked(found.check)
    since = (
        "in force since ever" if wanted.mode == "always" else f"in force from {wanted.valid_from:%Y-%m-%d %H:%M} UTC"
    )
    yield f"\ndraft {since}, {found.guests:,} guests, {found.seconds:.1f} s"
    yield f"points issued: {_both(found.points_before, found.points_after)}{_worth(found, 'points')}"
    yield f"points held now: {_both(found.liability_before, found.liability_after)}{_worth(found, 'liability')}"
    yield f"points lapsed: {_both(found.lapsed_before, found.lapsed_after)}"
    if found.cards_before or found.cards_after:
        yield f"stamp cards completed: {_both(found.cards_before, found.cards_after)}"
    yield (
        f"redemptions that it would not have covered: {found.uncovered:,} of {found.redemptions:,}"
        f" ({found.uncovered_points:,} points, {found.uncovered_guests:,} guests)"
    )
    issued = [(each.month, each.rule, each.before, each.after) for each in found.months]
    yield _table("points issued", ("month", "rule", "now", "draft"), issued)
    lapses = [(each.month or "never", each.before, each.after) for each in found.lapses]
    yield _table("points held, by when they lapse", ("month", "now", "draft"), lapses)
    ladder = [(each.tier, each.before, each.after) for each in found.ladder]
    yield _table("guests by tier", ("tier", "now", "draft"), ladder)
    yield _table("moves", ("from", "to", "guests"), [(each.origin, each.target, each.guests) for each in found.moves])
    groups = [(_bound(each.least), _bound(each.most), each.guests) for each in found.groups]
    yield _table("guests by change of points", ("from", "to", "guests"), groups)
    heads = ("guest", "now", "draft", "tier", "tier by draft")
    for title, guests in (("who gains most", found.winners), ("who loses most", found.losers)):
        yield _table(title, heads, [_row(each) for each in guests[:_SHOWN]])


def _checked(check: SelfCheck) -> Iterator[str]:
    verdict = "reproduces" if check.holds else "does not reproduce"
    yield (
        f"check: counting by the rules in force {verdict} the books: {check.visits_differing:,} of {check.visits:,}"
        f" visits differ, {check.redemptions_differing:,} of {check.redemptions:,} redemptions"
    )
    if check.recount_waits and not check.holds:
        yield "  guests are about to be counted anew by newer rules; try again when that is done"
    for visit in check.differing_visits:
        yield f"  visit {visit.visit_id} of {visit.customer_id}: books {visit.kept}, counted {visit.counted}"
    for redemption in check.differing_redemptions:
        yield f"  redemption {redemption.redemption_id} of {redemption.customer_id}"


def _both(before: int, after: int) -> str:
    return f"{before:,} now, {after:,} by the draft ({after - before:+,})"


def _worth(found: RehearsalReport, of: str) -> str:
    prices = {"before": found.toman_per_point_before, "after": found.toman_per_point_after}
    if not any(prices.values()):
        return ""
    now, draft = (
        f"{getattr(found, f'{of}_{side}') * price:,} Toman" if price else "nothing (points have no price)"
        for side, price in prices.items()
    )
    return f"; worth {now} now, {draft} by the draft"


def _bound(number: int | None) -> str:
    return "" if number is None else f"{number:+,}"


def _row(each: GuestOutcome) -> tuple[Any, ...]:
    return each.customer_id, each.points_before, each.points_after, each.tier_before, each.tier_after


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for place, head in enumerate(heads):
        numbers = bool(rows) and all(isinstance(row[place], int) for row in rows)
        table.add_column(head, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
    return table


def _read(path: Path, mode: str) -> AskRehearsal:
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return AskRehearsal.model_validate({**document, "mode": mode})
    except (OSError, msgspec.DecodeError) as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--rules") from None
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise typer.BadParameter("\n".join(faults), param_hint="--rules") from None


async def _wanted(config: Settings, cafe_id: UUID, asked: AskRehearsal) -> Wanted:
    conn = await db.connect(config.dsn("loyalty"), name="rehearse")
    try:
        async with conn.transaction(readonly=True):
            rehearsal = await drafted(conn, cafe_id, new_id(), "owner", asked, config.keys)
    except Rejected as error:
        faults = [f"{each.field}: {each.en}" for each in error.problems]
        raise typer.BadParameter("\n".join([error.en, *faults]), param_hint="--rules") from None
    finally:
        await conn.close()
    return wanted_of(cafe_id, rehearsal)
