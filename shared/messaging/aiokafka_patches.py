"""Reads batches in which a header's name is no UTF-8, as a till that is not written in Python may send.

aiokafka decodes names while it iterates, so that one such name would hold up its partition for ever. `install` puts a
reader in its place that replaces what can't be read and gives the record on; whoever takes it in decides about it.
"""

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.codec import gzip_decode
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

# Kafka's record batch, version 2: where its length, its attributes and its records are.
LENGTH, ATTRIBUTES, COUNT, RECORDS = 8, 21, 57, 61
UP_TO_LENGTH = 12
CODEC, GZIP = 0x07, 0x01


def install() -> None:
    """Lets every consumer of this process read through `ForgivingRecords`."""
    fetcher.MemoryRecords = ForgivingRecords


class ForgivingRecords:
    """What aiokafka's fetcher uses of `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._records, self._data, self._at = MemoryRecords(data), data, 0

    def size_in_bytes(self) -> int:
        """Of all batches, a last incomplete one included."""
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        """Whether another whole batch follows."""
        found: bool = self._records.has_next()
        return found

    def next_batch(self) -> Any:
        """The next batch; None after the last."""
        batch, start = self._records.next_batch(), self._at
        if batch is None:
            return None
        self._at += UP_TO_LENGTH + int.from_bytes(self._data[start + LENGTH : start + UP_TO_LENGTH])
        return _Batch(batch, self._data[start : self._at])


class _Batch:
    def __init__(self, batch: Any, data: bytes) -> None:
        self._batch, self._data = batch, data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        given = 0
        try:
            for record in self._batch:
                yield record
                given += 1
        except UnicodeDecodeError:
            records = list(DefaultRecordBatch(with_readable_names(self._data)))
            yield from records[given:]


def with_readable_names(batch: bytes) -> bytes:
    """The batch, unpacked, with every byte that spoils a header's name replaced by a question mark."""
    attributes, count = (struct.unpack_from(form, batch, at)[0] for form, at in ((">h", ATTRIBUTES), (">i", COUNT)))
    packed = attributes & CODEC == GZIP
    records = bytearray(gzip_decode(batch[RECORDS:]) if packed else batch[RECORDS:])
    at = 0
    for _ in range(count):
        at = _mend_record(records, at)
    head = bytearray(batch[:RECORDS])
    struct.pack_into(">i", head, LENGTH, RECORDS + len(records) - UP_TO_LENGTH)
    struct.pack_into(">h", head, ATTRIBUTES, attributes & ~CODEC)
    return bytes(head + records)


def _mend_record(records: bytearray, at: int) -> int:
    """Mends the names of the record that begins at `at`; returns where the next begins."""
    length, at = decode_varint(records, at)
    end = at + length
    at += 1  # attributes
    for _ in ("timestamp", "offset"):
        _, at = decode_varint(records, at)
    for _ in ("key", "value"):
        at = _after_bytes(records, at)
    headers, at = decode_varint(records, at)
    for _ in range(headers):
        length, at = decode_varint(records, at)
        records[at : at + length] = _readable(bytes(records[at : at + length]))
        at = _after_bytes(records, at + length)
    return int(end)


def _after_bytes(records: bytearray, at: int) -> int:
    # A length of -1 is null.
    length, at = decode_varint(records, at)
    return int(at + max(0, length))


def _readable(name: bytes) -> bytes:
    try:
        name.decode()
    except UnicodeDecodeError:
        return bytes(byte if byte < 0x80 else ord("?") for byte in name)
    return name
