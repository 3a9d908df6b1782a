"""A record as it came from a topic, without the client library: handlers that read raw records stay free of Kafka."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


class Record(Protocol):
    """What is used of a consumed record; aiokafka's `ConsumerRecord` is one.

    `timestamp` in milliseconds: the broker's on our own topics.
    """

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True)
class Refusal:
    """One record and why it was not taken. `code` is a short word for counting; `detail` holds no personal data.

    `guests` are those whose numbers stand in the body, None when that can't be told; see `parked.forget`.
    """

    record: Record
    code: str
    detail: str
    attempts: int = 1
    guests: Collection[UUID] | None = None


def headers(record: Record, names: Collection[str]) -> dict[str, str | None]:
    """The values of those headers, each as `header` gives it."""
    found: dict[str, str | None] = dict.fromkeys(names)
    for key, value in record.headers:
        if key in found and found[key] is None:
            found[key] = str(value or b"", "utf-8", "replace")
    return found


def header(record: Record, name: str) -> str | None:
    """The value of a header, with replacement characters where it is no UTF-8; None when it is missing."""
    for key, value in record.headers:
        if key == name:
            return str(value or b"", "utf-8", "replace")
    return None
