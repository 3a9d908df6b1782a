"""The work of a rehearsal: all guests of a cafe from one snapshot, in as many processes as the machine has cores.

It only reads. Each process has a range of the guests, and takes some hundred of them at a time, so that what it holds
does not grow with the cafe.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from typing import Final
from uuid import UUID

import msgspec

from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.accounts import Account, Counted, Plan, Program, Redemption
from services.loyalty.models.rehearsals import GuestBooks, PointEntry, RehearsalMode, RehearsalReport
from services.loyalty.rules.announcing import DESCRIPTIONS
from services.loyalty.rules.rehearsal_sums import CafeMonths, GuestSums, packed, report
from services.loyalty.rules.rehearsing import Trial, rehearse_guest, trial
from services.loyalty.rules.stays import named_by, placed_all
from services.loyalty.store import programs, redemptions, rehearsals, stays
from shared.crashpoints import crashpoint
from shared.database import db
from shared.database.db import Connection
from shared.process.memory import rarely_collect

GUESTS_AT_ONCE: Final = 500
_END: Final = UUID(int=2**128 - 1)


class Wanted(msgspec.Struct, frozen=True):
    """What is rehearsed: the draft as it counts, what a point of it is worth, and as of when."""

    cafe_id: UUID
    draft: Program
    price: int | None
    mode: RehearsalMode
    valid_from: datetime | None
    moment: datetime


class Found(msgspec.Struct, frozen=True):
    """What was found; the guests' rows are packed, some hundred to a part."""

    report: RehearsalReport
    guests: Sequence[bytes]


class _Task(msgspec.Struct, frozen=True):
    """Guests for one process: from each of `edges` to the next."""

    snapshot: str
    trial: Trial
    cafe_id: UUID
    edges: Sequence[UUID]


class Broken(Exception):
    """One of the processes has ended without an answer."""


def rehearse(dsn: str, wanted: Wanted, processes: int, *, forked: Callable[[], None] = lambda: None) -> Found:
    """The rehearsal, in that many processes beside this one. This one must have neither threads nor an event loop when
    it is called; `forked` is called once that matters no more.

    Raises Broken when one of them fails.
    """
    if processes == 1:
        forked()
        return asyncio.run(_alone(dsn, wanted))
    hands = [_Hand(dsn) for _ in range(processes)]
    try:
        forked()
        return asyncio.run(_lead(dsn, wanted, hands))
    finally:
        for hand in hands:
            hand.end()


async def rehearse_here(conn: Connection, wanted: Wanted) -> Found:
    """The same in this process, in a transaction that sees one moment."""
    started = time.monotonic()
    task, present_price, waits = await _prepare(conn, wanted)
    sums, rows = await _work(conn, task)
    return _found(task.trial, [(sums, rows)], (present_price, wanted.price), waits, started)


class _Hand:
    """A process that waits for its part of the guests and answers with their sums."""

    def __init__(self, dsn: str) -> None:
        # Forked before anything is connected: what is imported is shared, and nothing else.
        context = get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(dsn, theirs, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()

    def answer(self, task: _Task) -> tuple[GuestSums, list[bytes]]:
        """Has the task done."""
        try:
            self.pipe.send(task)
            sums, rows = self.pipe.recv()
        except (EOFError, OSError) as error:
            raise Broken from error
        return sums, rows

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


def _serve(dsn: str, pipe: Pipe, parent: int) -> None:
    rarely_collect()
    task = pipe.recv()
    pipe.send(asyncio.run(_serve_task(dsn, task, parent)))


async def _serve_task(dsn: str, task: _Task, parent: int) -> tuple[GuestSums, list[bytes]]:
    async with _reading(dsn, task.snapshot) as conn:
        return await _work(conn, task, parent)


async def _alone(dsn: str, wanted: Wanted) -> Found:
    async with _reading(dsn) as conn:
        return await rehearse_here(conn, wanted)


async def _lead(dsn: str, wanted: Wanted, hands: Sequence[_Hand]) -> Found:
    started = time.monotonic()
    async with _reading(dsn) as conn:
        whole, present_price, waits = await _prepare(conn, wanted)
        size = -(-(len(whole.edges) - 1) // len(hands))
        parts = [whole.edges[place : place + size + 1] for place in range(0, len(whole.edges) - 1, size or 1)]
        tasks = [msgspec.structs.replace(whole, edges=edges) for edges in parts]
        waiting = [asyncio.to_thread(hand.answer, task) for hand, task in zip(hands, tasks, strict=False)]
        answers = await asyncio.gather(*waiting)
    return _found(whole.trial, answers, (present_price, wanted.price), waits, started)


async def _prepare(conn: Connection, wanted: Wanted) -> tuple[_Task, int | None, bool]:
    cafe_id, moment = wanted.cafe_id, wanted.moment
    present: Plan = (await plans_of(conn, [cafe_id]))[cafe_id]
    compared = trial(present, wanted.draft, wanted.mode, wanted.valid_from, moment)
    edges = [*await rehearsals.edges(conn, cafe_id, GUESTS_AT_ONCE), _END]
    task = _Task(await rehearsals.export_snapshot(conn), compared, cafe_id, edges)
    price = await programs.price_of_point(conn, cafe_id, moment)
    return task, price, await rehearsals.recount_waits(conn, cafe_id, moment)


def _found(
    compared: Trial,
    answers: Sequence[tuple[GuestSums, list[bytes]]],
    prices: tuple[int | None, int | None],
    recount_waits: bool,
    started: float,
) -> Found:
    whole = GuestSums()
    for sums, _ in answers:
        whole.add(sums)
    months, seconds = CafeMonths(compared.present, compared.moment), time.monotonic() - started
    found = report(compared, whole, months, recount_waits=recount_waits, prices=prices, seconds=seconds)
    return Found(found, [rows for _, parts in answers for rows in parts])


async def _work(conn: Connection, task: _Task, parent: int | None = None) -> tuple[GuestSums, list[bytes]]:
    sums, parts = GuestSums(), list[bytes]()
    months = CafeMonths(task.trial.present, task.trial.moment)
    entries = _Entries(conn, task.cafe_id, task.edges[0], task.edges[-1])
    for first, end in zip(task.edges, task.edges[1:], strict=False):
        if parent is not None and os.getppid() != parent:
            raise Broken
        crashpoint("rehearsal.between_guests")
        outcomes = []
        async for books in _books(conn, task, (first, end), entries):
            tried = rehearse_guest(task.trial, books)
            sums.take(tried, books.account.balance, months)
            outcomes.append(tried.outcome)
        parts.append(packed(outcomes))
    return sums, parts


async def _books(
    conn: Connection, task: _Task, of: tuple[UUID, UUID], entries: "_Entries"
) -> AsyncIterator[GuestBooks]:
    accounts = await rehearsals.accounts_of_range(conn, task.cafe_id, *of)
    histories = await rehearsals.visits_of_range(conn, task.cafe_id, *of)
    if keys := named_by(task.trial.present) | named_by(task.trial.draft):
        for (_, guest), moves in (await stays.load(conn, [each.guest for each in accounts], keys)).items():
            histories[guest] = placed_all(histories.get(guest, {}), moves)
    known = await _redemptions(conn, task.cafe_id, accounts, histories)
    for account in accounts:
        guest = account.customer_id
        yield GuestBooks(account, histories.get(guest, {}), known.get(guest, {}), await entries.of(guest))


async def _redemptions(
    conn: Connection, cafe_id: UUID, accounts: Sequence[Account], histories: dict[UUID, dict[UUID, Counted]]
) -> dict[UUID, dict[UUID, Redemption]]:
    """Each guest's own, and those of others that the bills name."""
    known: dict[UUID, dict[UUID, Redemption]] = {}
    for each in await redemptions.list_of_guests(conn, [account.guest for account in accounts]):
        known.setdefault(each.customer_id, {})[each.redemption_id] = each
    named = {
        (guest, each.visit.redemption_id)
        for guest, history in histories.items()
        for each in history.values()
        if each.visit.redemption_id and each.visit.redemption_id not in known.get(guest, {})
    }
    others = await redemptions.find(conn, [(cafe_id, name) for _, name in named]) if named else {}
    for guest, name in named:
        if (cafe_id, name) in others:
            known.setdefault(guest, {})[name] = others[cafe_id, name]
    return known


class _Entries:
    """What came and went apart from bills, read in the order of the guests beside their bills."""

    def __init__(self, conn: Connection, cafe_id: UUID, first: UUID, end: UUID) -> None:
        self._rows = rehearsals.entries_of_range(conn, cafe_id, first, end, DESCRIPTIONS["forgiven"])
        self._next: tuple[UUID, PointEntry] | None = None
        self._is_begun = False

    async def of(self, guest: UUID) -> list[PointEntry]:
        """Those of a guest; guests come in the order of their ids."""
        if not self._is_begun:
            self._is_begun = True
            await self._step()
        found = []
        while self._next is not None and self._next[0] <= guest:
            if self._next[0] == guest:
                found.append(self._next[1])
            await self._step()
        return found

    async def _step(self) -> None:
        self._next = await anext(self._rows, None)


@asynccontextmanager
async def _reading(dsn: str, snapshot: str | None = None) -> AsyncIterator[Connection]:
    """A transaction that sees one moment and can write nothing."""
    conn = await db.connect(dsn, name="rehearsal")
    try:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            if snapshot is not None:
                await rehearsals.see_snapshot(conn, snapshot)
            yield conn
    finally:
        await conn.close()
