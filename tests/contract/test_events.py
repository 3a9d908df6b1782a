"""The published language only grows. `python -m tests.contract.update` writes what is new; it never changes the old."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from shared.events import registry
from shared.events.base import Event
from tests.contract.compatible import breaking_changes

SCHEMAS = Path(__file__).parent / "schemas"
SAMPLES = Path(__file__).parent / "samples"
KINDS = sorted(registry.BY_TYPE)


@pytest.mark.parametrize("kind", KINDS)
def test_schema_is_committed_and_current(kind: str) -> None:
    committed = json.loads((SCHEMAS / f"{kind}.json").read_text())
    current = registry.schemas([kind])[kind]
    assert not breaking_changes(committed, current)
    assert committed == json.loads(json.dumps(current)), "only additions: run python -m tests.contract.update"


@pytest.mark.parametrize("kind", KINDS)
def test_schema_is_the_same_whether_or_not_python_takes_the_indentation_out_of_docstrings(kind: str) -> None:
    described = re.findall(r'"description": "(.*?)"', json.dumps(registry.schemas([kind])))
    assert not [words for words in described if re.search(r"\\n +", words)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_sample_ever_released_still_parses(kind: str) -> None:
    samples = sorted((SAMPLES / kind).glob("*.json"))
    assert samples, f"no sample of {kind}"
    for sample in samples:
        event = registry.decode(kind, sample.read_bytes())
        assert registry.decode(kind, registry.encode(event)) == event


@pytest.mark.parametrize("kind", KINDS)
def test_reader_ignores_a_field_it_does_not_know(kind: str) -> None:
    body = json.loads(next((SAMPLES / kind).glob("*.json")).read_text())
    with_more = json.dumps(body | {"added_next_year": {"deep": [1]}}).encode()
    assert registry.decode(kind, with_more) == registry.decode(kind, json.dumps(body).encode())


@pytest.mark.parametrize("kind", KINDS)
def test_type_is_noun_and_past_participle(kind: str) -> None:
    noun, _, verb = kind.partition(".")
    assert noun
    assert verb.partition(".v")[0].rpartition("_")[2] in PAST_PARTICIPLES


PAST_PARTICIPLES = {
    # What has not happened yet.
    "expiring",
    "recorded",
    "corrected",
    "voided",
    "detected",
    "learned",
    "earned",
    "changed",
    "ended",
    "completed",
    "reversed",
    "registered",
    "reached",
    "activated",
    "erased",
    "entered",
    "left",
    "profiled",
    "sent",
    "delivered",
    "failed",
    "skipped",
    "received",
    "opened",
    "closed",
    "claimed",
    "responded",
    "granted",
    "revoked",
    "created",
    "refused",
    "clicked",
    "started",
    "breached",
}


def test_no_schema_without_its_class() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == set(KINDS)


class _Released(Event, frozen=True, kw_only=True):
    kept: int
    removed: str
    optional: str | None = None


class _RemovedField(Event, frozen=True, kw_only=True):
    kept: int
    optional: str | None = None


class _Retyped(Event, frozen=True, kw_only=True):
    kept: str
    removed: str
    optional: str | None = None


class _NewRequired(Event, frozen=True, kw_only=True):
    kept: int
    removed: str
    optional: str | None = None
    demanded: int


class _NewOptional(Event, frozen=True, kw_only=True):
    kept: int
    removed: str
    optional: str | None = None
    offered: int = 0


@pytest.mark.parametrize(
    ("changed", "word"), [(_RemovedField, "removed"), (_Retyped, "retyped"), (_NewRequired, "demanded")]
)
def test_breaking_change_is_seen(changed: type[Event], word: str) -> None:
    faults = breaking_changes(_schema(_Released, "E"), _schema(changed, "E"))
    assert any(word in fault for fault in faults)


def test_added_optional_field_is_no_break() -> None:
    assert not breaking_changes(_schema(_Released, "E"), _schema(_NewOptional, "E"))


def _schema(kind: type[Event], name: str) -> dict[str, object]:
    text = json.dumps(msgspec.json.schema(kind)).replace(kind.__name__, name)
    loaded: dict[str, object] = json.loads(text)
    return loaded
