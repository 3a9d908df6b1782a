"""The kept AsyncAPI document says what is published today, and what it says is true of every committed sample."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deploy.crm.contract import DOCUMENT, SAMPLES, TILL_SAMPLES, as_text, document, kinds_of
from shared.events import pos, registry
from shared.messaging.outbox import headers_of
from shared.messaging.topics import TOPICS
from tests.contract.pos.write import EXAMPLES

KEPT = json.loads(DOCUMENT.read_text())
EVER_RELEASED = [(kind, path) for kind in registry.BY_TYPE for path in sorted((SAMPLES / kind).glob("*.json"))]


def schema_of(kind: str, part: str) -> dict[str, Any]:
    """The schema of a message's headers or payload, with the whole document beside it."""
    return KEPT["components"]["messages"][kind][part] | {"components": KEPT["components"]}


def test_kept_document_is_current() -> None:
    assert DOCUMENT.read_text() == as_text(document()), "run crm contract"


@pytest.mark.parametrize(("kind", "path"), EVER_RELEASED, ids=lambda value: str(getattr(value, "stem", value)))
def test_every_sample_is_of_the_form_that_its_message_says(kind: str, path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text()), schema_of(kind, "payload"))


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_record_of_a_till_is_of_the_form_that_its_message_says(name: str) -> None:
    sample = json.loads((TILL_SAMPLES / f"{name}.json").read_text())
    kind = sample["headers"]["ce_type"]
    jsonschema.validate(sample["headers"], schema_of(kind, "headers"))
    jsonschema.validate(json.loads(sample["body"]), schema_of(kind, "payload"))


@pytest.mark.parametrize("kind", sorted(registry.BY_TYPE))
def test_headers_are_those_that_the_document_names(kind: str) -> None:
    event = registry.decode(kind, next((SAMPLES / kind).glob("*.json")).read_bytes())
    headers = {name: str(value) for name, value in headers_of(event)}
    jsonschema.validate(headers, schema_of(kind, "headers") | {"unevaluatedProperties": False})


def test_every_event_has_a_topic_somebody_who_says_it_and_an_example() -> None:
    said = [kind for topic in TOPICS for kind in kinds_of(topic)]
    assert sorted(said) == sorted([*registry.BY_TYPE, *pos.BODIES])
    speaking = [each for each in KEPT["operations"].values() if each["action"] == "send"]
    assert len(speaking) == len(TOPICS)
    assert all(message["examples"][0]["payload"] for message in KEPT["components"]["messages"].values())
