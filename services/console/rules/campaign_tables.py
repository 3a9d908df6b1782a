"""The guests of a campaign as a table."""

from collections.abc import Callable, Iterator, Sequence

from services.console.models.campaigns import DeliveryRow
from services.console.models.guests import GuestCard
from services.console.rules.campaigns import in_own
from services.console.rules.sheets import Cell, Column, Sheet
from services.console.rules.speech import Speech


def of_recipients(
    rows: Sequence[tuple[DeliveryRow, GuestCard | None]], speech: Speech, say: Callable[..., str], *, whole: bool
) -> Sheet:
    """One line a guest: name, what became of the message and why, when, and what it cost in the cafe's unit. Where the
    list is longer than a file may be, its last line says so."""
    columns = (
        Column(say("campaigns.guest")),
        Column(say("campaigns.became")),
        Column(say("campaigns.why")),
        Column(say("campaigns.at"), "day"),
        Column(say("campaigns.part_count"), "number"),
        Column(f"{say('campaigns.cost')} ({speech.unit_name()})", "amount"),
        Column(say("campaigns.returned")),
        Column(say("campaigns.replied")),
    )
    return Sheet(say("campaigns.recipients"), columns, _lines(rows, speech, say, whole=whole), speech.language == "fa")


def _lines(
    rows: Sequence[tuple[DeliveryRow, GuestCard | None]], speech: Speech, say: Callable[..., str], *, whole: bool
) -> Iterator[Sequence[Cell]]:
    yes, no = say("app.yes"), say("app.no")
    for row, card in rows:
        cost = None if row.cost is None else in_own(row.cost, row.currency_unit, speech.unit)
        yield (
            (card.name if card else None) or say("guest.nameless"),
            say(f"delivery.{row.status}"),
            (row.fa if speech.language == "fa" else row.en) or "",
            speech.moment(row.at),
            row.parts,
            cost,
            yes if row.returned else no,
            yes if row.replied else no,
        )
    if not whole:
        yield (say("campaigns.cut", n=speech.number(len(rows))), "", "", "", None, None, "", "")
