"""The newest signs of each cafe, in bounded memory: so that who was away for a moment misses nothing."""

import re
import secrets
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

OF_ONE_CAFE: Final = 200
OF_ALL: Final = 100_000
IDLE_SECONDS: Final = 15 * 60.0
_NUMBER: Final = re.compile("[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class Kept:
    """One sign in a ring: its place, what kind it is, and how it is written."""

    number: int
    kind: str
    data: bytes


@dataclass
class Ring:
    """Of one cafe. `mark` is another for each ring that was ever made, so that a place in one is none in another."""

    signs: deque[Kept] = field(default_factory=lambda: deque(maxlen=OF_ONE_CAFE))
    mark: str = field(default_factory=lambda: secrets.token_hex(6))
    newest: int = 0
    written_at: float = 0.0

    def place(self, number: int) -> str:
        """How a reader names a place in it."""
        return f"{self.mark}-{number}"


@dataclass
class Rings:
    """Of all cafes. Those that are idle go first, and the longest silent ones when there are too many signs."""

    rings: OrderedDict[UUID, Ring] = field(default_factory=OrderedDict)
    total: int = 0

    def add(self, cafe_id: UUID, kind: str, data: bytes, now: float) -> str:
        """Keeps a sign; its place. `now` in seconds of any clock that does not go back."""
        ring = self.rings.setdefault(cafe_id, Ring())
        self.rings.move_to_end(cafe_id)
        self.total += len(ring.signs) < OF_ONE_CAFE
        ring.newest, ring.written_at = ring.newest + 1, now
        ring.signs.append(Kept(ring.newest, kind, data))
        self._forget(now)
        return ring.place(ring.newest)

    def after(self, cafe_id: UUID, place: str) -> list[tuple[str, Kept]] | None:
        """What came after that place; None when that can't be told: it is of another ring, or has fallen out."""
        ring = self.rings.get(cafe_id)
        mark, _, number = place.partition("-")
        if ring is None or mark != ring.mark or not _NUMBER.fullmatch(number):
            return None
        since = int(number)
        if since > ring.newest or since < ring.signs[0].number - 1:
            return None
        return [(ring.place(each.number), each) for each in ring.signs if each.number > since]

    def end(self, cafe_id: UUID) -> str:
        """The place of the newest sign; an empty text for a cafe of which nothing was heard."""
        ring = self.rings.get(cafe_id)
        return ring.place(ring.newest) if ring else ""

    def _forget(self, now: float) -> None:
        for cafe_id in list(self._too_many(now)):
            self.total -= len(self.rings.pop(cafe_id).signs)

    def _too_many(self, now: float) -> Iterator[UUID]:
        left = self.total
        for cafe_id, ring in self.rings.items():
            if left <= OF_ALL and now - ring.written_at <= IDLE_SECONDS:
                return
            left -= len(ring.signs)
            yield cafe_id
