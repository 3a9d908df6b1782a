"""What a process writes down: JSON lines, nothing personal, and the same complaint of a client library only seldom."""

import json
import subprocess
import sys
from typing import Any
from uuid import UUID


def lines_of(*statements: str) -> list[dict[str, Any]]:
    """What a process that does this writes."""
    program = [
        "import logging",
        "from shared.process.telemetry import configure_logging, logger",
        "configure_logging('visit-worker')",
        *statements,
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(program)], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_lines_are_json_with_the_service_and_without_what_is_personal() -> None:
    (line,) = lines_of("logger().info('visit.recorded', phone='09121112233', cafe_id='7')")
    assert (line["event"], line["service"], line["level"]) == ("visit.recorded", "visit-worker", "info")
    assert (line["phone"], line["cafe_id"]) == ("[redacted]", "7")


def test_client_that_lost_its_server_complains_seldom() -> None:
    lines = lines_of(
        "for attempt in range(50):",
        "    logging.getLogger('aiokafka.conn').error('Unable connect to node with id %s: %s', 1, attempt)",
        "    logging.getLogger('aiokafka.cluster').error('Topic %s is not available', attempt)",
        "    logger().warning('relay.restarted')",
    )
    said = [line["event"] for line in lines]
    assert said.count("Unable connect to node with id 1: 0") == 1
    assert said.count("Topic 0 is not available") == 1
    assert said.count("relay.restarted") == 50
    assert len(said) == 52


def test_client_complains_again_after_a_while() -> None:
    lines = lines_of(
        "import shared.process.telemetry",
        "shared.process.telemetry.SAME_AGAIN_AFTER_SECONDS = 0",
        "for attempt in range(3):",
        "    logging.getLogger('aiokafka.conn').error('Unable connect to node with id %s', attempt)",
    )
    assert len(lines) == 3


def test_no_line_holds_the_words_of_an_error_whoever_logs_it() -> None:
    lines = lines_of(
        "def fail():",
        "    try:",
        "        int('first 09121112233')",
        "    except ValueError as error:",
        "        raise RuntimeError('then 09121112233') from error",
        "try:",
        "    fail()",
        "except RuntimeError as error:",
        "    logger().error('job.failed', exc_info=error)",
        "    logger().exception('job.failed')",
        "    logging.getLogger('asyncio').error('task failed', exc_info=error)",
        "    logging.getLogger('asyncio').exception('task failed')",
    )
    assert len(lines) == 4
    for line in lines:
        assert "RuntimeError" in line["exception"]
        assert "in fail" in line["exception"]
        assert "09121112233" not in json.dumps(line)


REQUESTS = """
import asyncio, httpx2
from fastapi import APIRouter, Request
from shared.web import http
from shared.process import telemetry

router = APIRouter()

@router.get("/guests/{name}")
async def guest(name: str) -> str:
    return "ok"

app = http.make_api("visit", router, any_query=["/guests/{name}"])
telemetry.configure_logging("visit-api")

async def ask() -> None:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://cafe") as client:
        for path, headers in ASKED:
            answer = await client.get(path, headers=headers)
            print("answered", answer.headers["x-correlation-id"])

asyncio.run(ask())
"""
TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_each_request_is_one_line_under_the_id_that_its_caller_knows() -> None:
    asked = [
        ("/guests/maryam?phone=09121112233", {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}),
        ("/guests/maryam", {"X-Correlation-Id": str(UUID(TRACE))}),
        ("/guests/maryam", {"X-Correlation-Id": "09121112233", "traceparent": "09121112233"}),
        ("/maryam/09121112233", {}),
        ("/healthz", {}),
    ]
    program = REQUESTS.replace("ASKED", repr(asked))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    answered = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("answered")]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(line["event"], line["method"], line["route"], line["status"]) for line in lines] == [
        *[("request.answered", "GET", "/guests/{name}", 200)] * 3, ("request.answered", "GET", "unmatched", 404),
    ]  # fmt: skip
    assert answered[:2] == [str(UUID(TRACE))] * 2
    assert [line["correlation_id"] for line in lines] == answered[:4]
    assert "maryam" not in str(lines)
    assert "0912" not in str(lines)
