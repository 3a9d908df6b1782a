"""Type string -> event class, and the codec of every record on our own topics."""

from collections.abc import Iterable
from inspect import cleandoc
from typing import Any

import msgspec

from shared.events import campaign, customer, feedback, identity, loyalty, visit
from shared.events.base import Event

BY_TYPE: dict[str, type[Event]] = {
    event.type: event for module in (identity, visit, loyalty, customer, campaign, feedback) for event in module.EVENTS
}

_encode = msgspec.json.Encoder().encode
_decoders = {kind: msgspec.json.Decoder(event) for kind, event in BY_TYPE.items()}


def encode(event: Event) -> bytes:
    """The body of the event's record: JSON, money as strings."""
    return _encode(event)


def decode(kind: str, body: bytes) -> Event:
    """The event in `body`, read as class `kind`; unknown fields are ignored.

    Raises `msgspec.ValidationError` or `msgspec.DecodeError` naming the field, `KeyError` for an unknown type.
    """
    return _decoders[kind].decode(body)


def schemas(kinds: Iterable[str] = BY_TYPE) -> dict[str, dict[str, Any]]:
    """The JSON Schema of each event class by its type string, the same under every version of Python."""
    found: dict[str, dict[str, Any]] = {kind: _tidied(msgspec.json.schema(BY_TYPE[kind])) for kind in kinds}
    return found


def components(place: str) -> dict[str, dict[str, Any]]:
    """The JSON Schemas of all event classes and of what stands in them, by the names of the classes, for a document
    that holds them at `place` (a JSON pointer with `{name}` in it)."""
    _, found = msgspec.json.schema_components(BY_TYPE.values(), ref_template=place)
    tidied: dict[str, dict[str, Any]] = _tidied(found)
    return tidied


def _tidied(schema: Any) -> Any:
    # Descriptions are docstrings, which Python 3.13 takes out of their indentation and earlier ones leave in it.
    if isinstance(schema, dict):
        return {
            name: cleandoc(value) if name == "description" and isinstance(value, str) else _tidied(value)
            for name, value in schema.items()
        }
    return [_tidied(each) for each in schema] if isinstance(schema, list | tuple) else schema
