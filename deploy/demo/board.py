"""The live board of the demo: what the databases of the services say, once a second."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shared.database.db import Pool
from shared.messaging import parked

# One number each, of the demo's cafe.
NUMBERS = {
    ("visit", "visits"): "SELECT count(*) FROM customer_visits WHERE cafe_id = $1",
    ("visit", "points_on_visits"): "SELECT coalesce(sum(points_earned), 0) FROM customer_visits WHERE cafe_id = $1",
    ("loyalty", "points"): "SELECT coalesce(sum(current_points), 0) FROM customer_loyalty WHERE cafe_id = $1",
    ("loyalty", "visits_earned"): "SELECT coalesce(sum(total_visits), 0) FROM customer_loyalty WHERE cafe_id = $1",
    ("customer", "registered"): "SELECT count(*) FROM customers WHERE cafe_id = $1",
    ("customer", "visits_seen"): "SELECT coalesce(sum(total_visits), 0) FROM customer_activity WHERE cafe_id = $1",
    ("feedback", "links"): "SELECT count(*) FROM feedback_links WHERE cafe_id = $1",
    ("feedback", "ratings"): "SELECT count(*) FROM customer_feedback WHERE cafe_id = $1",
}
COUNTS = {
    ("loyalty", "tiers"): "SELECT tier_level::text, count(*) FROM customer_loyalty WHERE cafe_id = $1 GROUP BY 1",
    ("customer", "segments"): "SELECT name, customer_count FROM customer_segments WHERE cafe_id = $1 ORDER BY 1",
    ("campaign", "messages"): (
        "SELECT delivery_status::text, count(*) FROM campaign_deliveries WHERE cafe_id = $1 GROUP BY 1 ORDER BY 1"
    ),
}


@dataclass(frozen=True)
class Reading:
    """The board's numbers at one moment."""

    numbers: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


async def read(pools: Mapping[str, Pool], cafe_id: UUID) -> Reading:
    """Asks every service's own database."""
    numbers = {name: int(await pools[service].fetchval(sql, cafe_id)) for (service, name), sql in NUMBERS.items()}
    async with pools["visit"].acquire() as conn:
        numbers["parked"] = await parked.count_waiting(conn)
    counts = {
        name: {str(row[0]): int(row[1]) for row in await pools[service].fetch(sql, cafe_id)}
        for (service, name), sql in COUNTS.items()
    }
    return Reading(numbers, counts)


def render(reading: Reading, *, published: int, planned: int, per_second: float) -> Group:
    """The board as rich shows it."""
    table = Table.grid(padding=(0, 2))
    number = reading.numbers
    rows = [
        ("published by the till", f"{published:,} of {planned:,}"),
        ("visits recorded", f"{number['visits']:,}   {per_second:,.0f}/s   {number['parked']:,} parked"),
        ("on their way to points", f"{max(0, published - number['visits_earned']):,}"),
        ("on their way to segments", f"{max(0, published - number['visits_seen']):,}"),
        ("guests registered", f"{number['registered']:,}"),
        ("points", f"{number['points']:,}"),
        ("tiers", _line(reading.counts["tiers"])),
        ("segments", _line(reading.counts["segments"])),
        ("messages", _line(reading.counts["messages"]) or "none due yet"),
        ("feedback", f"{number['links']:,} links, {number['ratings']:,} ratings"),
    ]
    for name, value in rows:
        table.add_row(Text(name, style="bold"), value)
    return Group(ProgressBar(total=max(planned, 1), completed=number["visits_earned"]), table)


def one_line(reading: Reading, published: int, planned: int) -> str:
    """The board for a log, where nothing can be redrawn."""
    number = reading.numbers
    return (
        f"{published:,}/{planned:,} published, {number['visits']:,} recorded, {number['visits_earned']:,} earned, "
        f"{number['points']:,} points, tiers {_line(reading.counts['tiers']) or '-'}, "
        f"messages {_line(reading.counts['messages']) or '-'}, {number['ratings']:,} ratings"
    )


def _line(counts: Mapping[str, int]) -> str:
    return "   ".join(f"{name} {count:,}" for name, count in counts.items())
