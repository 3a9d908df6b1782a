"""Writes the schema of every event class and a first sample of each new one. Never rewrites a released sample."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from shared.events import registry
from shared.events.base import Event

HERE = Path(__file__).parent
VALUES: dict[type, Any] = {
    UUID: UUID("01890a5d-ac96-774b-bcce-b302099a8057"),
    datetime: datetime(2026, 3, 21, 12, 30, tzinfo=UTC),
    date: date(2026, 3, 21),
    Decimal: Decimal("185000.00"),
    str: "sample",
    int: 7,
    bool: True,
}


def sample_of(kind: type[Event]) -> Event:
    """An event with every field filled by a plain value of its type."""
    hints = get_type_hints(kind)
    return kind(**{field.name: _value(hints[field.name]) for field in msgspec.structs.fields(kind)})


def _value(hint: Any) -> Any:
    if get_origin(hint) is Literal:
        return get_args(hint)[0]
    if get_origin(hint) is list:
        return [_value(get_args(hint)[0])]
    if get_origin(hint) is dict:
        return {"service": 5} if get_args(hint)[1] is int else {"table": "3"}
    if get_args(hint):
        return _value(next(option for option in get_args(hint) if option is not type(None)))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint(**{field.name: _value(get_type_hints(hint)[field.name]) for field in msgspec.structs.fields(hint)})
    return VALUES[hint]


def main() -> None:
    """Writes what is missing."""
    for kind, schema in registry.schemas().items():
        path = HERE / "schemas" / f"{kind}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n")
        folder = HERE / "samples" / kind
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            body = msgspec.json.format(registry.encode(sample_of(registry.BY_TYPE[kind])), indent=1)
            (folder / "1.json").write_bytes(body + b"\n")


if __name__ == "__main__":
    main()
