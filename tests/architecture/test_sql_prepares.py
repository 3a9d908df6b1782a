"""Every SQL statement of the stores is checked by PostgreSQL itself before any of it runs in production."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import services
from shared.messaging import inbox, outbox, parked, relay
from shared.services import WITH_DATABASE

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "MERGE", "CALL")


def modules(service: str) -> Iterator[ModuleType]:
    package = importlib.import_module(f"services.{service}")
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        # The store of the service, or of each of its rooms.
        if "store" in found.name.split("."):
            yield importlib.import_module(found.name)


def statements(module: ModuleType) -> dict[str, str]:
    """Module-level constants that are a whole statement; templates with braces are filled by their own tests."""
    return {
        f"{module.__name__}.{name}": value
        for name, value in vars(module).items()
        if name.isupper() and isinstance(value, str) and value.lstrip().upper().startswith(VERBS) and "{" not in value
    }


@pytest.mark.parametrize("service", WITH_DATABASE)
async def test_statements_prepare_on_the_migrated_database(service: str, database) -> None:
    pool = await database(service)
    faults = []
    found = {name: sql for module in modules(service) for name, sql in statements(module).items()}
    for module in (inbox, outbox, parked, relay):
        found |= statements(module)
    async with pool.acquire() as conn:
        for name, sql in found.items():
            try:
                await conn.prepare(sql)
            except Exception as error:
                faults.append(f"{name}: {error}")
    assert not faults


@pytest.mark.parametrize("service", WITH_DATABASE)
def test_no_statement_is_left_over(service: str) -> None:
    source = "".join(path.read_text() for path in Path(services.__path__[0], service).rglob("*.py"))
    for module in modules(service):
        for name in statements(module):
            constant = name.rpartition(".")[2]
            assert source.count(constant) > 1, f"{name} is never used"


def test_only_stores_hold_sql() -> None:
    for found in pkgutil.walk_packages(services.__path__, "services."):
        if found.ispkg or ".store" in found.name:
            continue
        assert not statements(importlib.import_module(found.name)), f"{found.name} holds SQL"
