"""Migrations that were written side by side still have an order."""

from collections import Counter
from pathlib import Path

from shared.services import SERVICES

SQL = Path(__file__).parents[2] / "sql"


def test_each_number_is_taken_once_in_a_database() -> None:
    for service in SERVICES:
        names = [path.name for folder in ("common", service) for path in (SQL / folder).glob("*.sql")]
        numbers = Counter(name.split("_")[0] for name in names)
        assert [number for number, times in numbers.items() if times > 1] == [], service
