"""What follows from a service's row: ports and processes, also of one that has no database or no worker."""

import subprocess
import sys
from pathlib import Path

from deploy.crm import processes
from shared.services import FIRST_PORT, TABLE, Service

ROOT = Path(__file__).parents[2]
WINDOW = Service("window", 8150, has_database=False, has_worker=False)
BARE_API = """
import asyncio, httpx2
from shared.web import http
from shared import services
from shared.settings import Settings

services.TABLE += (services.Service("window", 8150, has_database=False, has_worker=False),)
app = http.make_api("window", config=Settings(postgres_url="postgresql://nobody@127.0.0.1:1/none"))

async def ask() -> None:
    async with app.router.lifespan_context(app):
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://window") as client:
            print((await client.get("/readyz")).text)

asyncio.run(ask())
"""


def test_each_service_has_a_row_and_ports_of_its_own() -> None:
    folders = {path.name for path in (ROOT / "services").iterdir() if (path / "__init__.py").exists()}
    assert {each.name for each in TABLE} == folders
    ports = [port for each in TABLE for port in (each.port, each.worker_port, each.outside_port) if port]
    assert len(set(ports)) == len(ports)
    assert min(each.port for each in TABLE) == FIRST_PORT


def test_service_without_a_worker_is_one_process_wherever_the_ports_begin() -> None:
    started = processes.parts(FIRST_PORT + 1000, simulator=False, services=(TABLE[0], WINDOW))
    first = TABLE[0]
    assert [(part.name, part.port) for part in started] == [
        (f"{first.name}-api", first.port + 1000), ("window-api", 9150),
        (f"{first.name}-worker", first.worker_port + 1000),
    ]  # fmt: skip


def test_api_of_a_service_without_a_database_is_ready_without_one() -> None:
    done = subprocess.run([sys.executable, "-c", BARE_API], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "ready"
