"""Each document against its running API: requests made from the document, all checks of schemathesis.

A few requests an operation with every run of the tests; `make fuzz` makes a hundred, and more than one way.
"""

import os
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from deploy.demo import run as demo
from shared.database.db import Pool
from shared.services import WITH_DATABASE
from tests.e2e.conftest import System

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("FUZZ")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("service", WITH_DATABASE)
def test_what_the_document_says_is_what_is_answered(
    service: str,
    system: System,
    cafe: demo.DemoCafe,
    pools: dict[str, Pool],
    owner: httpx2.AsyncClient,
    tmp_path: Path,
) -> None:
    headers = {"Authorization": owner.headers["authorization"], "X-API-Key": cafe.api_key}
    command = [
        Path(sys.executable).parent / "schemathesis",
        f"--config-file={HERE / 'schemathesis.toml'}",
        "run",
        f"{system.api(service)}/openapi.json",
        "--checks=all",
        "--exclude-checks=positive_data_acceptance,negative_data_rejection",
        f"--max-examples={EXAMPLES or 2}",
        f"--phases=examples,{'coverage,' if EXAMPLES else ''}fuzzing",
        "--continue-on-failure",
        "--seed=1",
        "--generation-database=none",
        "--request-timeout=20",
        "--suppress-health-check=all",
        "--no-color",
        *(f"--header={name}: {value}" for name, value in headers.items()),
    ]
    environment = os.environ | {"FUZZ_CAFE": str(cafe.cafe_id), "PYTHONPATH": str(HERE.parents[1])}
    # It keeps what it finds where it runs.
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[:20_000]
