"""What can be wrong with a connection, with the names and parameters of Toxiproxy. Each works on one direction."""

import random
from dataclasses import dataclass
from typing import Literal

# Upstream is from the client to the server, downstream the answer.
Direction = Literal["upstream", "downstream"]


@dataclass(frozen=True)
class Latency:
    """Every piece of data arrives later by `latency` plus or minus `jitter` milliseconds, and keeps its place."""

    latency: float
    jitter: float = 0.0

    def seconds(self, dice: random.Random) -> float:
        """How long the next piece is under way."""
        return max(0.0, self.latency + dice.uniform(-self.jitter, self.jitter)) / 1000


@dataclass(frozen=True)
class Bandwidth:
    """At most `rate` kilobytes a second pass."""

    rate: float


@dataclass(frozen=True)
class SlowClose:
    """The other side hears of the end `delay` milliseconds late."""

    delay: float


@dataclass(frozen=True)
class Timeout:
    """Nothing passes, and after `timeout` milliseconds the connection ends; 0 keeps it open and dead. A connection that
    lost data this way ends when the toxic is taken away."""

    timeout: float = 0.0


@dataclass(frozen=True)
class ResetPeer:
    """`timeout` milliseconds after its first data the connection ends with a reset."""

    timeout: float = 0.0


@dataclass(frozen=True)
class Slicer:
    """Data arrive in pieces of `average_size` bytes, give or take `size_variation`, `delay` microseconds apart."""

    average_size: int
    size_variation: int = 0
    delay: float = 0.0

    def pieces(self, data: bytes, dice: random.Random) -> list[bytes]:
        """`data`, cut."""
        cut, at = [], 0
        while at < len(data):
            size = max(1, self.average_size + dice.randint(-self.size_variation, self.size_variation))
            cut.append(data[at : at + size])
            at += size
        return cut


@dataclass(frozen=True)
class LimitData:
    """The connection ends after `bytes` bytes."""

    bytes: int


Toxic = Latency | Bandwidth | SlowClose | Timeout | ResetPeer | Slicer | LimitData
