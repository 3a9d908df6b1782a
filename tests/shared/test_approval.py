"""The one rule of who may do what alone: every policy, every number of people, every size."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec
import pytest

from shared.clock import new_id
from shared.database import db
from shared.events.identity import ApprovalWhen, CafeChanged
from shared.security import access
from shared.security.approval import DEFAULT, Oversight, Policy, Size
from tests.shared.test_access import CAFE, OTHER, REZA, SARA, cafe_changed, granted, react
from tests.support import Databases

ALI, NASRIN, MINA = (new_id() for _ in range(3))
SMALL, LARGE, BOUNDLESS = Size(10, 0, 100), Size(101, 0, 100), Size(None, 0, 100)
LAST_DROP = Size(1, 100, 100)
MESSAGE = Size(10, 0, 100, is_message=True)


def asks(when: ApprovalWhen, managers: set, size: Size, author=ALI) -> str:
    return Oversight(Policy(when), frozenset(managers)).judge([author], size).outcome


@pytest.mark.parametrize(
    ("when", "managers", "waiting"),
    [
        ("always", {ALI}, {"small", "large", "boundless", "last drop", "message"}),
        ("always", {ALI, NASRIN}, {"small", "large", "boundless", "last drop", "message"}),
        ("when_two", {ALI}, set()),
        ("when_two", {ALI, NASRIN}, {"large", "boundless", "last drop", "message"}),
        ("above", {ALI}, {"large", "boundless", "last drop"}),
        ("above", {ALI, NASRIN}, {"large", "boundless", "last drop"}),
    ],
)
def test_what_waits_follows_from_policy_people_and_size(when: ApprovalWhen, managers: set, waiting: set) -> None:
    sizes = {"small": SMALL, "large": LARGE, "boundless": BOUNDLESS, "last drop": LAST_DROP, "message": MESSAGE}
    found = {name for name, size in sizes.items() if asks(when, managers, size) == "waits"}
    assert found == waiting


def test_somebody_below_manager_is_never_alone_where_there_is_a_manager() -> None:
    assert asks("when_two", {ALI}, LARGE, author=MINA) == "waits"
    assert asks("when_two", {ALI}, SMALL, author=MINA) == "alone"


def test_what_counts_is_who_changed_it_last_and_the_last_point_of_a_limit_is_within_it() -> None:
    cafe = Oversight(Policy(), frozenset({ALI}))
    assert cafe.judge([ALI, MINA], LARGE).outcome == "waits"
    assert cafe.judge([MINA, ALI], LARGE).outcome == "alone"
    for when in ("when_two", "above"):
        assert asks(when, {ALI, NASRIN}, Size(10, 90, 100)) == "alone"
        assert asks(when, {ALI, NASRIN}, Size(11, 90, 100)) == "waits"


def test_only_what_is_alone_or_approved_takes_effect() -> None:
    cafe = Oversight(Policy(), frozenset({ALI, NASRIN}))
    assert cafe.judge([ALI], SMALL).passes
    assert cafe.judge([ALI], LARGE, approver=NASRIN).passes
    assert not cafe.judge([ALI], LARGE).passes
    assert not cafe.judge([ALI], LARGE, approver=ALI).passes


def test_sum_of_a_day_begins_at_midnight_of_the_cafe() -> None:
    cafe = Oversight(Policy(), frozenset({ALI}))
    midnight = datetime(2026, 11, 24, 20, 30, tzinfo=UTC)
    assert cafe.day_begins(midnight) == midnight
    assert cafe.day_begins(midnight - timedelta(seconds=1)) == midnight - timedelta(days=1)


def test_a_cafe_nobody_is_known_of_is_not_a_cafe_of_one() -> None:
    assert asks("when_two", set(), LARGE) == "waits"


@pytest.mark.parametrize("when", get_args(ApprovalWhen))
def test_neither_author_nor_last_editor_ever_approves_while_somebody_else_could(when: ApprovalWhen) -> None:
    cafe = Oversight(Policy(when), frozenset({ALI, NASRIN, MINA}))
    for author, editor in itertools.product((ALI, NASRIN), repeat=2):
        assert cafe.judge([author, editor], LARGE, approver=author).outcome == "refused"
        assert cafe.judge([author, editor], LARGE, approver=editor).outcome == "refused"
        assert cafe.judge([author, editor], LARGE, approver=MINA).outcome == "approved"


def test_two_who_both_wrote_it_are_not_alone_and_are_told_what_to_do() -> None:
    verdict = Oversight(Policy(), frozenset({ALI, NASRIN})).judge([ALI, NASRIN], LARGE, approver=ALI)
    assert verdict.outcome == "refused"
    assert "save it anew" in verdict.en


def test_whoever_is_left_alone_may_let_their_own_pass() -> None:
    """The other manager went: what waits must not wait for ever."""
    cafe = Oversight(Policy(), frozenset({ALI}))
    assert cafe.judge([ALI], LARGE, approver=ALI).outcome == "alone"
    assert cafe.judge([NASRIN], LARGE, approver=ALI).outcome == "approved"
    assert cafe.judge([ALI, NASRIN], LARGE, approver=ALI).outcome == "alone"


def test_reason_says_so_where_nobody_else_could_approve() -> None:
    verdict = Oversight(Policy("always"), frozenset({ALI})).judge([ALI], SMALL)
    assert (verdict.outcome, "nobody else" in verdict.en, "کس دیگری" in verdict.fa) == ("waits", True, True)


@pytest.mark.parametrize(
    ("change", "weaker"),
    [
        ({"points": 1_001}, True), ({"amount": 10_000_001}, True), ({"staff_amount": 2_000_001}, True),
        ({"when": "above"}, True), ({"points": 999}, False), ({"when": "always", "points": 10**9}, False), ({}, False),
    ],
)  # fmt: skip
def test_policy_is_weaker_if_anything_passes_that_did_not(change: dict, weaker: bool) -> None:
    assert Policy(**change).is_weaker_than(Policy()) is weaker


def test_leaving_always_is_weaker_whatever_the_limits() -> None:
    for when in ("when_two", "above"):
        assert Policy(when, 0, 0, 0).is_weaker_than(Policy("always"))


async def test_people_see_who_may_approve_in_their_own_cafe_only(database: Databases) -> None:
    pool = await database("visit")
    clerk = new_id()
    async with db.transaction(pool) as conn:
        await react(
            conn,
            [
                cafe_changed(1, "A"), granted(1, "manager"), granted(1, "owner", user=NASRIN),
                granted(1, "staff", user=clerk), granted(1, "owner", cafe=OTHER, user=REZA),
            ],
        )  # fmt: skip
    for person in (SARA, clerk):
        async with db.staff_transaction(pool, person) as conn:
            assert (await access.oversight(conn, CAFE)).managers == {SARA, NASRIN}
            assert (await access.oversight(conn, OTHER)).managers == set()
    async with db.staff_transaction(pool, REZA) as conn:
        assert await conn.fetchval("SELECT count(*) FROM crm.approvers($1)", CAFE) == 0


def test_cafe_that_was_never_told_of_policies_has_the_default_one() -> None:
    told = {field.name: field.default for field in msgspec.structs.fields(CafeChanged)}
    assert Policy(*(told[f"approval_{name}"] for name in ("when", "points", "amount", "staff_amount"))) == DEFAULT
