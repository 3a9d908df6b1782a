"""What would break a reader or a writer of an event between two of its JSON Schemas."""

from typing import Any

ANNOTATIONS = ("description", "title", "default", "$schema")


def breaking_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Sentences, one per break: a field removed or retyped, a new required field, a value no longer allowed."""
    faults: list[str] = []
    for name, definition in old.get("$defs", {}).items():
        if name not in new.get("$defs", {}):
            faults.append(f"{name} was removed")
            continue
        faults += _object(name, definition, new["$defs"][name])
    return faults


def _object(name: str, old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    faults = [f"{name}.{field} was removed" for field in before.keys() - after.keys()]
    faults += [
        f"{name}.{field} is newly demanded" for field in set(new.get("required", [])) - set(old.get("required", []))
    ]
    for field in before.keys() & after.keys():
        if _kinds(before[field]) - _kinds(after[field]):
            faults.append(f"{name}.{field} was retyped or narrowed")
    return faults


def _kinds(schema: Any) -> set[str]:
    """Every shape a value may have, flattened, so that a wider union is no break and a narrower one is."""
    if "anyOf" in schema:
        return set().union(*(_kinds(option) for option in schema["anyOf"]))
    if "enum" in schema:
        return {f"={value}" for value in schema["enum"]}
    plain = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
    return {repr(sorted(plain.items(), key=str))}
