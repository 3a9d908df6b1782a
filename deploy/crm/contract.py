"""The published language as one AsyncAPI 3 document: who says what on which topic, who listens, and in which form.

https://www.asyncapi.com/docs/reference/specification/v3.0.0, with the Kafka bindings 0.5.0.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.crm.rebuild_commands import reactions_of
from services.console.rules import live
from shared.events import pos, registry
from shared.events.base import Event
from shared.messaging.signing import HEADER, publisher_of
from shared.messaging.topics import DAY_MS, TOPICS, Topic
from shared.services import WITH_INBOX

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "contract" / "asyncapi.json"
SAMPLES = ROOT / "tests" / "contract" / "samples"
TILL_SAMPLES = ROOT / "tests" / "contract" / "pos"
KAFKA = {"bindingVersion": "0.5.0"}
TILL = "till"
SCHEMA = "#/components/schemas/{name}"
ABOUT = """
Servaan CRM: a till publishes a visit, and points, tiers, segments and messages follow. Every record is a CloudEvent 1.0
in Kafka's binary mode: the headers `ce_…` are its attributes, the body is JSON. Records with one key keep their order;
others come in any order. Each may come twice, under the same `ce_id`. Bodies only grow: ignore fields that you do not
know. A reader of our own topics refuses what its publisher did not sign; a till signs with its own key.
"""
TEXT = {"type": "string"}
ID = {"type": "string", "format": "uuid"}
HEADERS: dict[str, dict[str, Any]] = {
    "ce_specversion": {"const": "1.0"},
    "ce_id": ID | {"description": "of this event: one that comes again has the same"},
    "ce_type": TEXT | {"description": "which message this is"},
    "ce_source": TEXT | {"format": "uri", "description": "the service that says it"},
    "ce_dataschema": TEXT | {"format": "uri", "description": "the form of the body; a breaking change has a new one"},
    "ce_time": {"type": "string", "format": "date-time", "description": "when it happened"},
    "ce_partitionkey": ID | {"description": "the record's key"},
    "ce_cafeid": ID | {"description": "whose it is"},
    "ce_correlationid": ID | {"description": "what all that follows from one bill or request shares"},
    "ce_causationid": ID | {"description": "the event that this one follows from"},
    "traceparent": TEXT | {"description": "W3C trace context"},
    "content-type": {"const": "application/json"},
    HEADER: TEXT | {"description": "of the publisher; only our own services can make or check it"},
}
OPTIONAL = ("ce_causationid", HEADER)
TILL_HEADERS: dict[str, dict[str, Any]] = {
    "ce_specversion": {"const": "1.0"},
    "ce_id": TEXT | {"description": "made once for this record: sent again it is the same"},
    "ce_type": TEXT | {"description": "which message this is"},
    "pos_key_id": TEXT | {"description": "the id in the key `crm_<id>_<secret>`"},
    "pos_signature": TEXT
    | {
        "description": "`v1,` and the base64 of HMAC-SHA256 over `<ce_id>.<ce_type>.<body>`, under HKDF-SHA256 of the"
        " key's secret with the info `pos-signing` and no salt"
    },
    "traceparent": TEXT | {"description": "W3C trace context; all that follows from the record bears its trace id"},
}


def contract(
    check: Annotated[
        bool, typer.Option(help="Write nothing; exit code 1 when the kept document is not current.")
    ] = False,
) -> None:
    """Write the language of the topics as docs/contract/asyncapi.json (AsyncAPI 3). For developers, in a checkout."""
    # Workers read their settings when they are imported; none of them stands in the document.
    os.environ.setdefault("CRM_SECRET", "a developer's checkout may have no secret")
    written = as_text(document())
    if not check:
        DOCUMENT.write_text(written)
        print(DOCUMENT.relative_to(ROOT))
    elif DOCUMENT.read_text() != written:
        print("docs/contract/asyncapi.json is not current: run `crm contract`")
        raise typer.Exit(1)


def as_text(found: Mapping[str, Any]) -> str:
    """The document as it is kept."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def document() -> dict[str, Any]:
    """The whole document, from the registry of events, the list of topics and what each service listens to."""
    return {
        "asyncapi": "3.0.0",
        "id": "urn:servaan:crm",
        "info": {"title": "Servaan CRM", "version": "1", "description": cleandoc(ABOUT)},
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS},
        "operations": dict(_operations()),
        "components": {"messages": dict(_messages()), "schemas": _schemas()},
    }


def kinds_of(topic: Topic) -> list[str]:
    """The types of what is published there."""
    if topic.open_to_others:
        return list(pos.BODIES)
    return [kind for kind, event in registry.BY_TYPE.items() if event.topic == topic.name]


def _channel(topic: Topic) -> dict[str, Any]:
    if topic.compacted:
        kept = "the last record of each key; an empty one says that the key is forgotten"
    else:
        kept = "for ever" if topic.keep_ms is None else f"{topic.keep_ms // DAY_MS} days"
    configuration: dict[str, Any] = {"cleanup.policy": ["compact" if topic.compacted else "delete"]}
    if not topic.compacted:
        configuration["retention.ms"] = -1 if topic.keep_ms is None else topic.keep_ms
    return {
        "address": topic.name,
        "description": f"Kept: {kept}. Key: {topic.key}.",
        "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds_of(topic)},
        "bindings": {"kafka": KAFKA | {"topic": topic.name, "topicConfiguration": configuration}},
    }


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    heard: Mapping[str, Collection[str]] = {service: _heard_by(service) for service in WITH_INBOX} | {
        "console": {*live.SHOWN, *live.ENDING}
    }
    for topic in TOPICS:
        publisher = TILL if topic.open_to_others else publisher_of(topic.name)
        yield f"{publisher}.says.{topic.name}", _operation("send", publisher, topic, kinds_of(topic))
        for service, heard_kinds in heard.items():
            if kinds := sorted(set(kinds_of(topic)) & set(heard_kinds)):
                yield f"{service}.hears.{topic.name}", _operation("receive", service, topic, kinds)


def _heard_by(service: str) -> set[str]:
    """The types that the service's worker reacts to."""
    reactions = reactions_of(service)
    ingress = (topic for topic in TOPICS if topic.name in reactions.ingress)
    return {event.type for event in reactions.events} | {kind for topic in ingress for kind in kinds_of(topic)}


def _operation(action: str, service: str, topic: Topic, kinds: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{kind}"} for kind in kinds],
        "tags": [{"name": service}],
    }


def _messages() -> Iterator[tuple[str, dict[str, Any]]]:
    for topic in TOPICS:
        for kind in kinds_of(topic):
            event = registry.BY_TYPE.get(kind)
            model = event or pos.BODIES[kind]
            yield (
                kind,
                {
                    "name": kind,
                    "title": model.__name__,
                    "summary": _summary(model),
                    "contentType": "application/json",
                    "headers": {"$ref": SCHEMA.format(name="Headers" if event else "TillHeaders")},
                    "payload": {"$ref": SCHEMA.format(name=model.__name__)},
                    "bindings": {"kafka": KAFKA | {"key": (ID if event else TEXT) | {"description": topic.key}}},
                    "examples": [{"name": kind, "payload": _example(kind, event)}],
                },
            )


def _summary(model: type[Any]) -> str:
    # A class without words of its own inherits those of its base.
    words = model.__dict__.get("__doc__") or ""
    return cleandoc(words).partition("\n\n")[0].replace("\n", " ") or model.__name__


def _example(kind: str, event: type[Event] | None) -> Any:
    if event:
        return json.loads(max((SAMPLES / kind).glob("*.json")).read_text())
    samples = [json.loads(path.read_text()) for path in sorted(TILL_SAMPLES.glob("*[a-z].json"))]
    return next(json.loads(each["body"]) for each in samples if each.get("headers", {}).get("ce_type") == kind)


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {
        "Headers": _object(HEADERS, [name for name in HEADERS if name not in OPTIONAL]),
        "TillHeaders": _object(TILL_HEADERS, ["ce_id", "ce_type", "pos_key_id", "pos_signature"]),
    }
    for model in pos.BODIES.values():
        schema = model.model_json_schema(ref_template=SCHEMA.replace("{name}", "{model}"))
        found |= schema.pop("$defs", {}) | {model.__name__: schema}
    return found | registry.components(SCHEMA)


def _object(properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": required}
