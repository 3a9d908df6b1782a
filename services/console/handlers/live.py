"""The live stream: who sits in it, what each of them is told, and when they have to leave.

Kafka has no walls between cafes, so they stand here: a seat belongs to one person in one cafe, is given only after
identity has said their role, gets the signs of that cafe alone, and is lost when the role is.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import msgspec

from services.console.handlers.rings import Rings
from services.console.models.live import Sign, Traces
from services.console.models.session import Access
from services.console.rules import live
from services.console.store import identity
from services.console.store.upstream import Away, RefusedCall, SignedOut, Upstream
from shared.clock import new_id
from shared.errors import Rejected
from shared.events.identity import Role
from shared.messaging.records import Record, header
from shared.process import telemetry
from shared.security.auth import Staff, session_ended

OF_ONE_PERSON: Final = 8
# An API holds a thousand connections.
OF_ALL: Final = 900
# Of one reader. Who is further behind has stopped reading: they come again and get what they missed from the ring.
MOST_WAITING: Final = 100
ASK_SECONDS: Final = 60.0
ASK_AGAIN_SECONDS: Final = 10.0
# While identity is away nobody new comes in, and who is in stays no longer than this without its word.
UNASKED_SECONDS: Final = 180.0

Verify = Callable[[str], Awaitable[Staff]]


@dataclass(eq=False)
class Seat:
    """One reader. `role` is None until identity has said it, and `unsure` when it changed meanwhile. `over` is why the
    seat ended."""

    staff: Staff
    token: str
    cafe_id: UUID
    role: Role | None = None
    asked_at: float = 0.0
    unsure: bool = False
    over: str | None = None
    waiting: deque[bytes] = field(default_factory=deque)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, message: bytes) -> None:
        """Something to be told. A reader that does not keep up is dropped."""
        if self.over is not None:
            return
        if len(self.waiting) >= MOST_WAITING:
            self.end("slow")
            return
        self.waiting.append(message)
        self.stirred.set()

    def end(self, reason: str) -> None:
        """Nothing more is told. Only who lost their access is told why: anybody else comes again."""
        if self.over is not None:
            return
        self.over = reason
        self.waiting.clear()
        if reason == "access":
            self.waiting.append(live.message(b"{}", event=live.OVER))
        self.stirred.set()
        self.ended.set()

    async def told(self, within_seconds: float) -> bytes:
        """What there is to tell, or a heartbeat when nothing came within that time."""
        if not self.waiting:
            self.stirred.clear()
            try:
                await asyncio.wait_for(self.stirred.wait(), within_seconds)
            except TimeoutError:
                return live.HEARTBEAT
        said = b"".join(self.waiting)
        self.waiting.clear()
        return said


@dataclass
class Hub:
    """All seats. `verify` says whose token it is; it raises `Rejected` for one that does not hold."""

    up: Upstream
    verify: Verify
    rings: Rings = field(default_factory=Rings)
    is_live: bool = False
    closed: bool = False
    by_cafe: dict[UUID, set[Seat]] = field(default_factory=lambda: defaultdict(set))
    by_person: dict[UUID, set[Seat]] = field(default_factory=lambda: defaultdict(set))
    count: int = 0

    async def enter(self, token: str, cafe_id: UUID, place: str) -> Seat:
        """A seat for the person of that token. `place` is where they read up to, or empty.

        Raises:
            Rejected: 401, 404 when the cafe is none of theirs, 429 with too many seats, 503.
        """
        staff = await self.verify(token)
        self._require_room(staff)
        seat = Seat(staff, token, cafe_id)
        # Before the role is asked for: what ends it may be heard while the answer is on its way.
        self.by_cafe[cafe_id].add(seat)
        self.by_person[staff.user_id].add(seat)
        self.count += 1
        try:
            role = await self._role(seat)
            if seat.unsure:
                role = await self._role(seat)
            if role is None or seat.over is not None:
                raise _no_such_cafe()
        except BaseException:
            self.leave(seat)
            raise
        seat.role, seat.asked_at = role, time.monotonic()
        self._catch_up(seat, place)
        return seat

    def leave(self, seat: Seat) -> None:
        """Takes the seat away. Safe to repeat."""
        if seat not in self.by_cafe.get(seat.cafe_id, ()):
            return
        self.count -= 1
        for seats, key in ((self.by_cafe, seat.cafe_id), (self.by_person, seat.staff.user_id)):
            seats[key].discard(seat)
            if not seats[key]:
                del seats[key]

    async def watch(self, seat: Seat) -> None:
        """Asks each minute whether the person may still sit here, until they may not."""
        while seat.over is None:
            late = time.monotonic() - seat.asked_at > ASK_SECONDS
            await asyncio.sleep(ASK_AGAIN_SECONDS if late else ASK_SECONDS)
            try:
                role = await self._role(seat)
            except Rejected as error:
                if error.status == 401:
                    # Run out or ended: their browser comes again by the console, which knows.
                    seat.end("token")
                elif time.monotonic() - seat.asked_at > UNASKED_SECONDS:
                    seat.end("unasked")
                continue
            seat.asked_at = time.monotonic()
            if role != seat.role:
                seat.end("access")

    def hear(self, kind: str, record: Record) -> None:
        """Takes in one record that its publisher vouches for."""
        try:
            traces = msgspec.json.decode(record.value or b"", type=Traces)
            cafe_id = UUID(header(record, "ce_cafeid") or "")
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            telemetry.logger().warning("sign.not_read")
            return
        if kind in live.ENDING:
            self._end(kind, cafe_id, traces)
            return
        sign = Sign(kind, traces.occurred_at, traces.visit_id, traces.customer_id)
        data = live.written(sign)
        place = self.rings.add(cafe_id, kind, data, time.monotonic())
        message = live.message(data, number=place)
        for seat in self.by_cafe.get(cafe_id, ()):
            if seat.role is not None and live.may_know(seat.role, kind):
                seat.offer(message)

    def say_live(self, is_live: bool) -> None:
        """The broker is there, or away."""
        self.is_live = is_live
        for seat in self._all():
            seat.offer(live.state(live=is_live))

    def close(self) -> None:
        """Ends all seats: the process stops, and browsers find another."""
        self.closed = True
        for seat in self._all():
            seat.end("stopping")

    def _all(self) -> list[Seat]:
        return [seat for seats in self.by_cafe.values() for seat in seats]

    def _end(self, kind: str, cafe_id: UUID, traces: Traces) -> None:
        for seat in tuple(self.by_person.get(traces.user_id, ())) if traces.user_id else ():
            if kind == "sessions.ended":
                mine = seat.staff.session_id is not None and seat.staff.session_id == traces.session_id
                if mine or seat.staff.generation < traces.sessions_from:
                    seat.end("access")
            elif seat.cafe_id == cafe_id and kind == "access.granted" and seat.role is None:
                seat.unsure = True
            elif seat.cafe_id == cafe_id and (kind == "access.revoked" or traces.role != seat.role):
                seat.end("access")

    def _catch_up(self, seat: Seat, place: str) -> None:
        assert seat.role is not None
        missed = self.rings.after(seat.cafe_id, place) if place else None
        seat.offer(live.state(live=self.is_live))
        if missed is None:
            # What was before is not known here: the page asks once.
            seat.offer(live.message(b"{}", event=live.OPEN, number=self.rings.end(seat.cafe_id)))
            return
        said = b"".join(
            live.message(each.data, number=number) for number, each in missed if live.may_know(seat.role, each.kind)
        )
        if said:
            seat.offer(said)

    def _require_room(self, staff: Staff) -> None:
        if self.closed or self.count >= OF_ALL:
            raise Rejected(
                "full", "Too many streams are open; try again.", "جریان‌های زنده پر است؛ دوباره تلاش کنید.", status=503
            )
        if len(self.by_person.get(staff.user_id, ())) >= OF_ONE_PERSON:
            raise Rejected(
                "too_many_streams",
                f"At most {OF_ONE_PERSON} pages of one person are live at once.",
                f"هم‌زمان تا {OF_ONE_PERSON} صفحهٔ یک نفر زنده می‌ماند.",
                status=429,
            )

    async def _role(self, seat: Seat) -> Role | None:
        """The person's role in the cafe, as identity says now; None without one. Raises `Rejected`."""
        try:
            caller = await identity.who_am_i(self.up, Access(seat.token, "", new_id()))
        except SignedOut as error:
            raise session_ended() from error
        except Away as error:
            raise Rejected(
                "identity_away", "Roles can't be asked for now.", "پرسیدن نقش‌ها اکنون ممکن نیست.", status=503
            ) from error
        except RefusedCall as error:
            raise Rejected(error.code, error.en, error.fa, status=error.status) from error
        return next((each.role for each in caller.cafes if each.cafe_id == seat.cafe_id), None)


def _no_such_cafe() -> Rejected:
    return Rejected("not_found", "There is nothing at this address.", "در این نشانی چیزی نیست.", status=404)
