"""Which of a guest's answers counts: the same in Python and in SQL, whatever order they come in."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.consent import ASKED, TICK, Answer, counts_at, rank_sql
from tests.support import Databases

NOON = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)
EARLIER, LATER = NOON - timedelta(hours=1), NOON + timedelta(hours=1)
ANSWERS = [
    Answer(granted, source, at)
    for granted in (True, False)
    for source in (TICK, ASKED, "reply", "staff")
    for at in (EARLIER, NOON, LATER)
]


def test_tick_counts_only_while_there_is_no_other_answer() -> None:
    assert Answer(True, TICK, LATER).rank < Answer(False, TICK, EARLIER).rank
    assert Answer(True, TICK, LATER).rank < Answer(True, ASKED, EARLIER).rank
    assert Answer(True, TICK, LATER).rank == Answer(True, TICK, EARLIER).rank


def test_later_answer_counts_and_at_one_moment_the_no() -> None:
    assert Answer(False, "reply", NOON).rank < Answer(True, ASKED, LATER).rank
    assert Answer(True, "staff", NOON).rank < Answer(False, TICK, LATER).rank
    assert Answer(True, "staff", NOON).rank < Answer(False, TICK, NOON).rank


def test_what_is_dated_ahead_counts_from_when_it_was_heard() -> None:
    assert counts_at(LATER, NOON) == NOON
    assert counts_at(EARLIER, NOON) == EARLIER


@given(st.lists(st.sampled_from(ANSWERS), min_size=1), st.randoms(use_true_random=False))
def test_order_in_which_answers_come_decides_nothing(answers: list[Answer], dice: random.Random) -> None:
    def kept(order: list[Answer]) -> bool:
        best = order[0]
        for answer in order[1:]:
            best = answer if best.rank < answer.rank else best
        return best.granted

    assert kept(answers) == kept(dice.sample(answers, len(answers)))


async def test_sql_ranks_answers_as_python_does(database: Databases) -> None:
    pool = await database("visit")
    rows = await pool.fetch(
        f"""
        WITH t AS (
            SELECT * FROM unnest($1::int[], $2::boolean[], $3::text[], $4::timestamptz[])
                AS t (place, granted, source, changed_at)
        )
        SELECT a.place AS one, b.place AS two, {rank_sql("a")} < {rank_sql("b")} AS is_less FROM t a CROSS JOIN t b
        """,
        list(range(len(ANSWERS))),
        [answer.granted for answer in ANSWERS],
        [answer.source for answer in ANSWERS],
        [answer.at for answer in ANSWERS],
    )
    assert len(rows) == len(ANSWERS) ** 2
    for row in rows:
        assert row["is_less"] == (ANSWERS[row["one"]].rank < ANSWERS[row["two"]].rank), row
