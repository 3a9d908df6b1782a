"""What our own log lines say: words of the code and numbers. What a person typed has no place in any of them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
# Ids of ours, numbers, names of our own code, and errors without their words (`shared.process.discreet`).
FIELDS = {
    "attempt", "cafe_id", "cafes", "correlation_id", "customer_id", "delivery_id", "error",
    "exc_info", "failures", "host", "incident", "job",
    "method", "offset", "partition", "partitions", "ports", "provider", "reason", "records", "route", "seconds",
    "service", "session_id", "status", "topic", "user_id",
}  # fmt: skip
# The words of an error may be those of a row.
BARE = {"bare", "_bare", "where", "_where", "type"}


def calls(source: str) -> Iterator[ast.Call]:
    """Every call of a logger's method."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            yield from [node] if "log" in ast.unparse(node.func.value) else []


def faults(source: str) -> list[str]:
    """Sentences, one per call that may say more than it should."""
    found = []
    for call in calls(source):
        first = call.args[0] if call.args else None
        if len(call.args) != 1 or not isinstance(first, ast.Constant):
            found.append(f"{ast.unparse(call)}: the event is one constant, `noun.past_participle`")
        for field in call.keywords:
            if field.arg not in FIELDS:
                found.append(f"{field.arg}: not among the fields of tests/architecture/test_logs.py")
            elif field.arg in ("error", "exc_info") and not _is_bare(field.value):
                found.append(f"{field.arg}={ast.unparse(field.value)}: use shared.process.discreet.where or bare")
    return found


def _is_bare(value: ast.expr) -> bool:
    called = value.value if isinstance(value, ast.Attribute) else value
    return isinstance(called, ast.Call) and isinstance(called.func, ast.Name) and called.func.id in BARE


FILES = sorted(path for folder in ("services", "shared", "deploy") for path in (ROOT / folder).rglob("*.py"))


def test_every_log_line_says_only_what_the_list_allows() -> None:
    found = {str(path.relative_to(ROOT)): faults(path.read_text()) for path in FILES}
    assert {path: each for path, each in found.items() if each} == {}
    assert sum(1 for path in FILES for _ in calls(path.read_text())) > 15


@pytest.mark.parametrize(
    "line",
    [
        "telemetry.logger().info('visit.recorded', phone=phone)",
        "log.info('visit.recorded', notes=body.notes)",
        "log.warning(f'visit of {name}')",
        "logging.getLogger('x').error('visit %s', name)",
        "log.error('job.failed', error=str(error))",
        "log.error('job.failed', exc_info=True)",
        "log.info('visit.recorded', **row)",
    ],
)
def test_check_is_red_on_a_line_that_says_more(line: str) -> None:
    assert faults(line)
