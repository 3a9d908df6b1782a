"""Every import rule holds for the project, and every rule has been seen to fail on a small tree that breaks it."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / ".importlinter"

# contract, the file of the small tree to spoil, and the import that spoils it
VIOLATIONS = [
    ("independent", "services/visit/handlers.py", "import services.loyalty.models"),
    ("layers", "services/visit/store.py", "import services.visit.handlers"),
    ("campaign", "services/campaign/messages/decide.py", "import services.campaign.campaigns.rules.campaigns"),
    ("campaign", "services/campaign/texts/store.py", "import services.campaign.audience.rules"),
    ("campaign-rooms", "services/campaign/messages/rules/pace.py", "import services.campaign.messages.decide"),
    ("campaign-rooms", "services/campaign/channels/protocol.py", "import services.campaign.channels.registry"),
    ("adapters", "services/campaign/messages/handlers/sending.py", "import services.campaign.channels.kavenegar"),
    ("shared", "shared/database/db.py", "import services.visit.models"),
    ("pure", "services/visit/rules/claiming.py", "import asyncpg"),
    ("pure", "services/campaign/texts/rules/template.py", "import shared.database.db"),
    ("pure", "services/campaign/channels/models/values.py", "import httpx2"),
    ("pure", "services/campaign/messages/decide.py", "import shared.settings"),
    ("bodies", "services/loyalty/rules/counting.py", "import services.loyalty.models.http"),
    ("http", "services/visit/api.py", "import aiokafka"),
    ("http", "services/campaign/messages/api/callbacks.py", "import shared.messaging.relay"),
    ("worker", "services/visit/worker.py", "import fastapi"),
    ("rooms", "shared/clock.py", "import shared.web.http"),
    ("messaging", "shared/messaging/records.py", "import shared.messaging.worker"),
    ("services-do-not-run-themselves", "services/visit/handlers.py", "import deploy"),
]


def run(folder: Path, contract: str | None = None) -> subprocess.CompletedProcess[str]:
    limit = ["--contract", contract] if contract else []
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", *limit]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def small_tree(tmp_path: Path) -> Path:
    """The same packages and modules as the project, all empty."""
    for package in ("services", "shared", "deploy"):
        for path in (ROOT / package).rglob("*.py"):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.touch()
    shutil.copy(CONFIG, tmp_path)
    return tmp_path


def contracts() -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(CONFIG)
    return [name.rpartition(":")[2] for name in parser.sections() if name.startswith("importlinter:contract:")]


def test_project_keeps_every_contract() -> None:
    result = run(ROOT)
    assert result.returncode == 0, result.stdout


def test_every_contract_has_a_violation() -> None:
    assert set(contracts()) == {contract for contract, _, _ in VIOLATIONS}


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_contract_is_red_on_a_violation(contract: str, file: str, line: str, small_tree: Path) -> None:
    assert run(small_tree, contract).returncode == 0
    (small_tree / file).write_text(line + "\n")
    result = run(small_tree, contract)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout
