"""Requests that come together are answered by one round, and nobody pays for another's fault."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.web.coalescing import Gathering


class Doubling:
    """Work that notes its rounds and goes on when it is let."""

    def __init__(self) -> None:
        self.rounds: list[tuple[str, list[int]]] = []
        self.go = asyncio.Event()

    async def __call__(self, key: str, asked: Sequence[int]) -> list[int]:
        self.rounds.append((key, list(asked)))
        await self.go.wait()
        if 13 in asked:
            raise ValueError(13)
        if 99 in asked:
            raise ConnectionResetError
        return [2 * each for each in asked]


async def let_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_comes_during_a_round_is_the_next_one() -> None:
    work = Doubling()
    gathering = Gathering(work, most=3)
    first = asyncio.create_task(gathering.ask("a", 1))
    await let_run()
    rest = [asyncio.create_task(gathering.ask("a", number)) for number in range(2, 7)]
    await let_run()
    assert work.rounds == [("a", [1])]
    work.go.set()
    assert await asyncio.gather(first, *rest) == [2, 4, 6, 8, 10, 12]
    assert work.rounds == [("a", [1]), ("a", [2, 3, 4]), ("a", [5, 6])]
    assert await gathering.ask("a", 7) == 14


async def test_keys_do_not_wait_for_each_other() -> None:
    work = Doubling()
    gathering = Gathering(work)
    asked = [asyncio.create_task(gathering.ask(key, 1)) for key in "ab"]
    await let_run()
    assert work.rounds == [("a", [1]), ("b", [1])]
    work.go.set()
    assert await asyncio.gather(*asked) == [2, 2]


async def test_a_fault_stays_with_its_own() -> None:
    work = Doubling()
    work.go.set()
    gathering = Gathering(work)
    asked = [asyncio.create_task(gathering.ask("a", number)) for number in (1, 2, 13, 3)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [answers[0], answers[1], answers[3]] == [2, 4, 6]
    assert isinstance(answers[2], ValueError)


async def test_an_outage_is_everybodys_and_is_not_tried_one_by_one() -> None:
    work = Doubling()
    work.go.set()
    gathering = Gathering(work)
    asked = [asyncio.create_task(gathering.ask("a", number)) for number in (1, 99, 2)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ConnectionResetError] * 3
    assert work.rounds == [("a", [1, 99, 2])]


async def test_who_gave_up_does_not_disturb_the_others() -> None:
    work = Doubling()
    gathering = Gathering(work)
    gone, stays = (asyncio.create_task(gathering.ask("a", number)) for number in (1, 2))
    await let_run()
    gone.cancel()
    work.go.set()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await stays == 4


async def test_rounds_keep_a_pace_unless_the_next_is_full() -> None:
    work = Doubling()
    gathering = Gathering(work, most=2, pace_seconds=3600)
    first = asyncio.create_task(gathering.ask("a", 1))
    await let_run()
    full = [asyncio.create_task(gathering.ask("a", number)) for number in (2, 3)]
    await let_run()
    work.go.set()
    assert await asyncio.gather(first, *full) == [2, 4, 6]
    early = asyncio.create_task(gathering.ask("a", 4))
    assert await gathering.ask("b", 5) == 10
    assert work.rounds == [("a", [1]), ("a", [2, 3]), ("b", [5])]
    early.cancel()
