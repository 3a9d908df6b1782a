"""How often one address may try, kept in memory: it slows guessing down and keeps floods from the database."""

import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

LIMIT = 20
WINDOW_SECONDS = 60.0
REMEMBERED = 10_000


def network_of(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the /64 that one line is given of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if isinstance(parsed, IPv6Address) else str(parsed)


class Tries:
    """Counts tries per caller in a window that begins with the first. Forgets the oldest callers when it is full."""

    def __init__(
        self,
        limit: int = LIMIT,
        window_seconds: float = WINDOW_SECONDS,
        remembered: int = REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._window, self._remembered, self._clock = limit, window_seconds, remembered, clock
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, address: str) -> None:
        """One try by this address."""
        caller, moment = network_of(address), self._clock()
        began, tries = self._seen.pop(caller, (moment, 0))
        if moment - began >= self._window:
            began, tries = moment, 0
        self._seen[caller] = (began, tries + 1)
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)

    def used_up(self, address: str) -> bool:
        """Whether the address has had all its tries for now."""
        began, tries = self._seen.get(network_of(address), (0.0, 0))
        return tries >= self._limit and self._clock() - began < self._window
