"""Reports as tables: the same numbers that the page shows, row by row."""

from collections.abc import Callable, Sequence

from services.console.models.reports import DayFigures
from services.console.rules.sheets import Column, Sheet
from services.console.rules.speech import Speech

# A text of the catalogue by its key.
Say = Callable[[str], str]


def of_days(days: Sequence[DayFigures], speech: Speech, say: Say) -> Sheet:
    """One row a day, the oldest first."""
    columns = (
        Column(say("reports.day"), "day"),
        Column(say("reports.weekday"), "day"),
        Column(say("reports.visits"), "number"),
        Column(say("reports.guests"), "number"),
        Column(f"{say('reports.revenue')} ({speech.unit_name()})", "amount"),
        Column(f"{say('reports.average')} ({speech.unit_name()})", "amount"),
        Column(say("reports.rating"), "number"),
    )
    rows = [
        (
            speech.day_typed(each.stat_date), speech.weekday(each.stat_date), each.total_visits, each.unique_customers,
            each.total_revenue, each.avg_order_value, each.avg_rating,
        )
        for each in days
    ]  # fmt: skip
    return Sheet(say("reports.days"), columns, rows, speech.direction == "rtl")
