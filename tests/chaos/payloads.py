"""Bodies and headers that no reader should ever see, made from one that is right."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from uuid import UUID

from shared.clock import new_id
from shared.messaging.signing import HEADER
from tests.shared.records import FakeRecord, signed

TEN_MEGABYTES: Final = 10 * 1024 * 1024
LARGE: Final = 100 * 1024
DEEP: Final = 10_000
SAMPLE_ID: Final = "01890a5d-ac96-774b-bcce-b302099a8057"

# parked: kept with a reason; passed_over: nothing happens; taken: as if it were good. What only its reader can judge is
# "judged": taken or parked, and never both or neither.
Fate = Literal["parked", "passed_over", "taken", "judged"]
Body = dict[str, Any]
Make = Callable[[bytes], FakeRecord]


@dataclass(frozen=True)
class Payload:
    """One record of the list and what must become of it. `event_id` is None where nothing can be taken."""

    name: str
    record: FakeRecord
    fate: Fate
    event_id: UUID | None = None


def written(body: Body) -> bytes:
    """JSON as a till or a relay writes it."""
    return json.dumps(body, ensure_ascii=False).encode()


def broken_bodies(right: bytes, largest: int) -> dict[str, bytes]:
    """What is no JSON object at all, or not one of the body's kind. `largest` in bytes."""
    return {
        "empty": b"",
        "not UTF-8": right.replace(b'": "', b'": "\xff\xfe', 1),
        "UTF-16": right.decode().encode("utf-16"),
        "large": b"[" + b"1," * (largest // 2) + b"1]",
        "deep": right[:-1] + b', "deep": ' + b"[" * DEEP + b"]" * DEEP + b"}",
        "NaN": right[:-1] + b', "nan": NaN}',
        "cut off": right[: len(right) // 2],
        "twice": right + right,
        "a list": b"[" + right + b"]",
        "a string": json.dumps(right.decode()).encode(),
        "null": b"null",
        "zero bytes": bytes(64),
    }


WORSE: Final[Mapping[str, tuple[Any, ...]]] = {
    "number": (
        -1, 2**63, -(2**63), 10**30, 0, "NaN", "sNaN", "Infinity", "1E+999", "1E-999", "-0", "0.001", True, [], {}
    ),
    "text": ("", "\u0000", "a\u0000b", "\u202e" * 8, "x" * 100_000, 7, None, [], {}),
    "moment": (
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-03-21T12:30:00", "2026-02-30T00:00:00Z", 0, ""
    ),
    "id": ("", "not-an-id", "00000000-0000-0000-0000-000000000000", 7, None, "\u0000"),
    "list": (None, "x", [None], [[]], [{"name": "x", "quantity": "-1"}], [{"name": "x" * 1000}] * 100, {"a": 1}),
    "object": (None, [], {"a": "\u0000"}, {"\u0000": 1}, {"a": 1e308}, {"a": 2**64}),
    "yes or no": (None, "yes", 2),
}  # fmt: skip


def worse_fields(right: Body) -> Iterator[tuple[str, Body]]:
    """The body with one field after the other gone, or of another kind, size or sign."""
    for name, value in right.items():
        yield f"{name} is missing", {each: kept for each, kept in right.items() if each != name}
        for bad in WORSE[_kind(value)]:
            changed = copy.deepcopy(right)
            changed[name] = bad
            yield f"{name} is {str(bad)[:40]!r}", changed
    if "discount_amount" in right:
        yield "discount above total", right | {"discount_amount": "999999.00", "total_amount": "1.00"}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "yes or no"
    if isinstance(value, list):
        return "list"
    if isinstance(value, dict):
        return "object"
    if isinstance(value, int) or (isinstance(value, str) and value.replace(".", "", 1).isdigit()):
        return "number"
    if value == SAMPLE_ID or (isinstance(value, str) and len(value) == len(SAMPLE_ID) and value.count("-") == 4):
        return "id"
    return "moment" if isinstance(value, str) and value[:2] == "20" and "T" in value else "text"


def of_event(topic: str, kind: str, fresh: Callable[[], Body], largest: int = LARGE) -> list[Payload]:
    """The list for one of our own event types; `fresh` makes bodies that are right, each of another event."""
    found = [
        Payload(name, _record(topic, kind, body), "parked")
        for name, body in broken_bodies(written(fresh()), largest).items()
    ]
    for name, body in worse_fields(fresh()):
        # Two different wrongs of one event would look like one that came twice.
        own = body if name.startswith("event_id") else body | {"event_id": str(new_id())}
        found.append(Payload(name, _record(topic, kind, written(own)), "judged", _id_of(own)))
    return found + _strange_headers(topic, kind, fresh)


def _strange_headers(topic: str, kind: str, fresh: Callable[[], Body]) -> list[Payload]:
    found = []
    for name, headers, key, fate in (
        ("no type", (), b"key", "parked"),
        ("type of nobody", [("ce_type", b"guest.dreamt")], b"key", "passed_over"),
        ("type of the future", [("ce_type", f"{kind}.v2".encode())], b"key", "passed_over"),
        ("type is no text", [("ce_type", b"\xff\xfe")], b"key", "passed_over"),
        ("wrong content type", [("ce_type", kind.encode()), ("content-type", b"image/png")], b"key", "taken"),
        ("header without value", [("ce_type", kind.encode()), ("traceparent", None)], b"key", "taken"),
        ("no key", [("ce_type", kind.encode())], None, "taken"),
        ("key of somebody else", [("ce_type", kind.encode())], str(new_id()).encode(), "taken"),
        ("key is no text", [("ce_type", kind.encode())], b"\xff\x00", "taken"),
    ):
        body = fresh()
        record = _record(topic, kind, written(body))
        found.append(Payload(name, signed(replace(record, headers=headers, key=key)), fate, _id_of(body)))
    body = fresh()
    tombstone = signed(replace(_record(topic, kind, written(body)), headers=(), value=None))
    found.append(Payload("tombstone", tombstone, "passed_over", _id_of(body)))
    body = fresh()
    doubled = written(body)[:-1] + b', "cafe_id": "' + SAMPLE_ID.encode() + b'"}'
    found.append(Payload("a field twice", _record(topic, kind, doubled), "taken", _id_of(body)))
    return found + _of_strangers(topic, kind, fresh)


def _of_strangers(topic: str, kind: str, fresh: Callable[[], Body]) -> list[Payload]:
    good = _record(topic, kind, written(fresh()))
    elsewhere = signed(replace(good, topic=f"{'visit' if topic.startswith('loyalty') else 'loyalty'}.events"))
    return [
        Payload("unsigned", replace(good, headers=good.headers[:-1]), "parked"),
        Payload("unsigned tombstone", replace(good, headers=(), value=None), "parked"),
        Payload("changed after signing", replace(good, value=(good.value or b"") + b" "), "parked"),
        Payload("moved to another key", replace(good, key=str(new_id()).encode()), "parked"),
        Payload("moved from another topic", replace(elsewhere, topic=topic), "parked"),
        Payload("type changed after signing", replace(good, headers=[*good.headers, ("ce_type", b"")]), "parked"),
        Payload("an empty signature", replace(good, headers=[*good.headers[:-1], (HEADER, b"")]), "parked"),
        Payload("a signature that is no text", replace(good, headers=[*good.headers, (HEADER, b"\xff.1.")]), "parked"),
    ]


def _record(topic: str, kind: str, body: bytes) -> FakeRecord:
    return signed(FakeRecord(topic, body, [("ce_type", kind.encode()), ("ce_id", str(new_id()).encode())]))


def _id_of(body: Body) -> UUID | None:
    try:
        return UUID(str(body.get("event_id")))
    except ValueError:
        return None


def of_till(right: Body, sign: Callable[[bytes], FakeRecord]) -> list[Payload]:
    """The list for `pos.visits`; `sign` makes a record of a body as the till itself would."""
    found = [Payload(name, sign(body), "parked") for name, body in broken_bodies(written(right), TEN_MEGABYTES).items()]
    for name, body in worse_fields(right):
        found.append(Payload(name, sign(written(body | _own_receipt(body, name))), "judged"))
    good = sign(written(right | {"receipt_number": str(new_id())}))
    unsigned = {"ce_id", "ce_type", "pos_key_id", "pos_signature"}
    found += [
        Payload(f"no {name}", replace(good, headers=[each for each in good.headers if each[0] != name]), "parked")
        for name in sorted(unsigned)
    ]
    found += [
        Payload("tombstone", replace(good, value=None), "parked"),
        Payload("no headers", replace(good, headers=()), "parked"),
        Payload("changed after signing", replace(good, value=(good.value or b"") + b" "), "parked"),
        Payload("another cafe in the body", sign(written(right | {"cafe_id": str(new_id())})), "parked"),
        Payload("exponent of 19 digits", sign(written(right)[:-1] + b', "total": 1e9999999999999999999}'), "parked"),
        Payload("no key", replace(sign(written(right | {"receipt_number": "without a key"})), key=None), "taken"),
    ]
    return found


def _own_receipt(body: Body, name: str) -> Body:
    return (
        {} if name.startswith("receipt_number") or "receipt_number" not in body else {"receipt_number": str(new_id())}
    )
