"""Work for many cafes at once: what fails in one cafe is put aside, and everything else is done."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from shared.database.db import Connection, Pool
from shared.jobs import by_cafe
from shared.jobs.by_cafe import ByCafe
from shared.process.telemetry import JOB_CAFE_FAILURES, JOB_CAFES_ASIDE

Item = tuple[UUID, int]


class Due:
    """Items that are due, and a job's work on them that fails in some cafes."""

    def __init__(self, counts: dict[UUID, int], failing: dict[UUID, Exception]) -> None:
        self.left = [(cafe_id, number) for cafe_id, count in counts.items() for number in range(count)]
        self.failing = failing
        self.chunks: list[int] = []

    async def pick(self, _: Connection, aside: Sequence[UUID]) -> list[Item]:
        return [item for item in self.left if item[0] not in aside][:100]

    async def work(self, _: Connection, items: Sequence[Item]) -> int:
        self.chunks.append(len(items))
        for cafe_id, _number in items:
            if cafe_id in self.failing:
                raise self.failing[cafe_id]
        self.left = [item for item in self.left if item not in items]
        return len(items)


@pytest.fixture
async def pool(database: Callable[[str], Awaitable[Pool]]) -> Pool:
    return await database("visit")


async def run_until_done(job: ByCafe, pool: Pool, due: Due) -> None:
    while await job.run(pool, due.pick, due.work):
        pass


async def test_cafe_that_fails_is_put_aside_and_all_others_are_worked_off(pool: Pool) -> None:
    cafes = [uuid4() for _ in range(64)]
    due = Due({cafe_id: 1 + place % 3 for place, cafe_id in enumerate(cafes)}, {cafes[7]: ValueError("row: 0912")})
    job = ByCafe("visit", "test.one")
    with capture_logs() as lines:
        await run_until_done(job, pool, due)
    assert Counter(cafe_id for cafe_id, _ in due.left) == {cafes[7]: 2}
    assert job.aside() == [cafes[7]]
    # Halved by cafes: the cost of one that fails grows with the logarithm of how many there are.
    assert len(due.chunks) <= 2 + 2 * 6 + 2
    assert JOB_CAFE_FAILURES.labels("visit", "test.one")._value.get() == 1
    assert JOB_CAFES_ASIDE.labels("visit", "test.one")._value.get() == 1
    [line] = lines
    assert (line["event"], line["cafe_id"], line["error"]) == ("job.cafe_put_aside", str(cafes[7]), "ValueError")
    assert "0912" not in repr(line["exc_info"])


async def test_pauses_grow_and_end_when_the_cafe_succeeds(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    cafe_id, clock = uuid4(), [1000.0]
    monkeypatch.setattr(by_cafe.time, "monotonic", lambda: clock[0])
    due, job = Due({cafe_id: 1}, {cafe_id: ValueError()}), ByCafe("visit", "test.pauses")
    pauses = []
    for _ in range(12):
        assert await job.run(pool, due.pick, due.work) == 1
        assert await job.run(pool, due.pick, due.work) == 0
        begin = clock[0]
        while job.aside():
            clock[0] += 5.0
        pauses.append(clock[0] - begin)
    assert pauses[:3] == [by_cafe.FIRST_PAUSE_SECONDS * factor for factor in (1, 2, 4)]
    assert pauses[-1] == by_cafe.LONGEST_PAUSE_SECONDS
    due.failing.clear()
    assert await job.run(pool, due.pick, due.work) == 1
    due.left.append((cafe_id, 1))
    due.failing[cafe_id] = ValueError()
    await job.run(pool, due.pick, due.work)
    clock[0] += by_cafe.FIRST_PAUSE_SECONDS
    assert job.aside() == []


async def test_cafe_whose_statement_takes_too_long_is_put_aside(pool: Pool) -> None:
    slow, quick = uuid4(), uuid4()
    due, job = Due({slow: 1, quick: 1}, {slow: TimeoutError()}), ByCafe("visit", "test.slow")
    await run_until_done(job, pool, due)
    assert (job.aside(), due.left) == ([slow], [(slow, 0)])


@pytest.mark.parametrize("outage", [ConnectionResetError(), OSError()])
async def test_outage_is_nobodys_fault(pool: Pool, outage: Exception) -> None:
    first, second = uuid4(), uuid4()
    due, job = Due({first: 1, second: 1}, {first: outage}), ByCafe("visit", "test.outage")
    with pytest.raises(type(outage)):
        await job.run(pool, due.pick, due.work)
    assert job.aside() == []
    with pytest.raises(type(outage)):
        async with job.alone(first):
            raise outage


async def test_what_fails_alone_is_put_aside_and_a_cancelled_job_ends() -> None:
    cafe_id, job = uuid4(), ByCafe("visit", "test.alone")
    async with job.alone(cafe_id):
        raise ValueError
    assert job.aside() == [cafe_id]
    async with job.alone(cafe_id):
        pass
    assert job.aside() == []
    with pytest.raises(asyncio.CancelledError):
        async with job.alone(cafe_id):
            raise asyncio.CancelledError
    assert job.aside() == []
