"""Rate limits, kept in memory: they slow guessing down and keep floods from the database."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from shared.errors import Rejected

REMEMBERED = 10_000


class Tries:
    """A fixed-window rate limit for each caller; the window begins with the first try. Forgets the oldest callers when
    it is full.

    A caller is whatever counts as one: `client_address(request)`, a link, a pair of both.
    """

    def __init__(
        self,
        limit: int,
        window_seconds: float = 60.0,
        remembered: int = REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit, self._window, self._remembered, self._clock = limit, window_seconds, remembered, clock
        self._seen: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def count(self, caller: Hashable) -> None:
        """One try by this caller."""
        moment = self._clock()
        began, tries = self._seen.pop(caller, (moment, 0))
        if moment - began >= self._window:
            began, tries = moment, 0
        self._seen[caller] = (began, tries + 1)
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)

    def used_up(self, caller: Hashable) -> bool:
        """Whether the caller has had all its tries for now."""
        began, tries = self._seen.get(caller, (0.0, 0))
        return tries >= self._limit and self._clock() - began < self._window

    def refuse_flood(self, caller: Hashable) -> None:
        """Does nothing while the caller has tries left.

        Raises:
            Rejected: status 429 when they are used up.
        """
        if self.used_up(caller):
            raise Rejected(
                "too_many_tries",
                "Too many tries; wait a minute.",
                "تلاش‌های زیادی رسیده است؛ یک دقیقه صبر کنید.",
                status=429,
                retry_after=int(self._window),
            )
