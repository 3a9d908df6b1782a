"""Mutated samples for the two decoders that read what others wrote: only the documented errors may come out."""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import uuid5

import msgspec
from pydantic import ValidationError

from services.visit.handlers.tills import command_of
from shared.events import pos, registry
from tests.shared.records import CAFE

CONTRACT: Final = Path(__file__).parents[1] / "contract"
# What `shared.messaging.consumer` parks as undecodable, and what `pos.read` promises.
EVENT_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
TILL_ERRORS: Final = (ValidationError,)
HOW_MANY: Final = (1, 1, 1, 1, 2, 4)
WORDS: Final = (
    b"null", b"true", b"-1", b"1e999", b"-1e-999", b"1e9999999999999999999", b"NaN", b"Infinity",
    b"9" * 400, b"18446744073709551616", b'""', b'"\\u0000"', b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\xff"', b"[]",
    b"{}", b"[[[[]]]]", b"[" * 2000, b"{" + b'"a":{' * 2000,
    b'"0001-01-01T00:00:00+14:00"', b'"9999-12-31T23:59:59-14:00"',
    b'"2026-03-21T12:30:00.123456789+23:59"', b'"2016-12-31T23:59:60Z"', b'"-0"', b'"1E+999999"', b'"sNaN"',
    b'"\xdb\xb1\xdb\xb2"', b'"x' + b"x" * 70_000 + b'"',
)  # fmt: skip


def samples() -> dict[str, list[bytes]]:
    """Every committed sample by its type."""
    found = {
        kind: [path.read_bytes() for path in (CONTRACT / "samples" / kind).glob("*.json")] for kind in registry.BY_TYPE
    }
    for path in sorted((CONTRACT / "pos").glob("*.json")):
        if not path.name.endswith(".schema.json"):
            example = json.loads(path.read_text())
            found.setdefault(example["headers"]["ce_type"], []).append(example["body"].encode())
    return found


def mutated(body: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """The body after some changes of the dice, mostly one: what is quite broken never comes far."""
    for _ in range(dice.choice(HOW_MANY)):
        body = dice.choice(CHANGES)(body, others, dice)
    return body


def _flip_bits(body: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    spoiled = bytearray(body or b"\0")
    for _each in range(dice.randint(1, 8)):
        spoiled[dice.randrange(len(spoiled))] ^= 1 << dice.randrange(8)
    return bytes(spoiled)


def _cut_short(body: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    return body[: dice.randint(0, len(body))]


def _cut_out(body: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    start = dice.randint(0, len(body))
    return body[:start] + body[start + dice.randint(0, 40) :]


def _say_twice(body: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    start = dice.randint(0, len(body))
    end = start + dice.randint(0, 200)
    return body[:end] + body[start:]


def _splice(body: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    other = dice.choice(others)
    return body[: dice.randint(0, len(body))] + other[dice.randint(0, len(other)) :]


def _put_in_word(body: bytes, _: Sequence[bytes], dice: random.Random) -> bytes:
    at = dice.randint(0, len(body))
    return body[:at] + dice.choice(WORDS) + body[at:]


def _swap_value(body: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """Keeps the JSON whole: one value becomes a word of the list, or a value of another sample."""
    try:
        fields: Any = json.loads(body)
    except (ValueError, RecursionError):
        return _put_in_word(body, others, dice)
    if not isinstance(fields, dict) or not fields:
        return body
    mark = "@here@"
    fields[dice.choice(list(fields))] = mark
    try:
        donor = json.loads(dice.choice(others))
        worn = json.dumps(dice.choice(list(donor.values()))).encode()
        written = json.dumps(fields).encode()
    except (ValueError, RecursionError, AttributeError, IndexError):
        return body
    return written.replace(json.dumps(mark).encode(), dice.choice([worn, *WORDS]), 1)


# Most changes keep the JSON whole.
CHANGES: Final = (_flip_bits, _cut_short, _cut_out, _say_twice, _splice, _put_in_word, *[_swap_value] * 6)


def read_event(kind: str, body: bytes) -> None:
    """As the consumer reads it; what was taken can be written and read again."""
    event = registry.decode(kind, body)
    registry.encode(event)
    _ = event.key


def read_bill(kind: str, body: bytes) -> None:
    """As the till's records are read, up to the command."""
    read = pos.read(pos.BODIES[kind], body)
    command_of(CAFE, read, event_id=uuid5(CAFE, "fuzz"), correlation_id=CAFE)


def fuzz(dice: random.Random, count: int) -> Counter[str]:
    """Counts what became of so many mutated samples.

    Raises AssertionError with the body when an error comes out that nobody expects.
    """
    bodies = samples()
    every = [body for each in bodies.values() for body in each]
    kinds, ends = sorted(bodies), Counter[str]()
    for _ in range(count):
        kind = dice.choice(kinds)
        ends[end_of(kind, mutated(dice.choice(bodies[kind]), every, dice))] += 1
    return ends


def end_of(kind: str, body: bytes) -> str:
    """ "taken", or "refused" with a documented error.

    Raises AssertionError with the body for any other.
    """
    is_bill = kind in pos.BODIES
    try:
        (read_bill if is_bill else read_event)(kind, body)
    except Exception as error:
        if isinstance(error, TILL_ERRORS if is_bill else EVENT_ERRORS):
            return "refused"
        raise AssertionError(f"{kind}: {type(error).__name__} from {body[:2000]!r}") from error
    return "taken"


def told(ends: Mapping[str, int]) -> str:
    """The counts in words."""
    return f"{sum(ends.values()):,} bodies: " + ", ".join(f"{count:,} {end}" for end, count in sorted(ends.items()))
