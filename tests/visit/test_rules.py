"""Pure decisions: counting, numbering, fingerprints, branches, sequences."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.visit.models.values import SequenceSpan
from services.visit.rules import contents, numbering, verdicts
from shared.clock import new_id
from shared.errors import Rejected
from tests.visit.given import CAFE, OTHER_CAFE, record


@pytest.mark.parametrize(
    ("items", "count"),
    [
        ([], 0),
        ([{"name": "چای"}], 1),
        ([{"name": "چای", "quantity": 2}, {"name": "کیک", "quantity": "3"}], 5),
        ([{"name": "آجیل", "quantity": "0.350"}], 1),
        ([{"name": "آجیل", "quantity": "0.25"}, {"name": "گز", "quantity": 0.75}], 1),
        ({"total_items": 7, "items": []}, 7),
        ({"total_items": 7}, 7),
        ({"total_items": 7, "items": [{"name": "چای", "quantity": 2}]}, 2),
    ],
)
def test_item_count_is_the_sum_of_quantities_in_both_shapes(items: Any, count: int) -> None:
    assert contents.item_count(record(items=items).body) == count


def content(**changes: Any) -> bytes:
    body = record(**changes).body
    return contents.content_of(body, contents.lines_of(body))


@pytest.mark.parametrize(
    "spelling",
    [
        {"phone": "+98 912 345 6789"},
        {"total": 185000},
        {"total": "۱۸۵۰۰۰٫۰۰"},
        {"occurred_at": "2026-03-21T15:30:00+03:30"},
        {"discount": "0.0"},
        {"device_sequence": 9},
    ],
)
def test_bills_that_differ_only_in_spelling_are_the_same(spelling: dict[str, Any]) -> None:
    assert content(**spelling) == content()


def test_order_of_keys_in_attributes_does_not_matter() -> None:
    assert content(attributes={"a": 1, "b": {"c": 2, "d": 3}}) == content(attributes={"b": {"d": 3, "c": 2}, "a": 1})


def test_branches_are_found_by_id_and_by_code_of_their_own_cafe() -> None:
    first, second = new_id(), new_id()
    names = contents.branch_names([(CAFE, first, "Vanak۱"), (OTHER_CAFE, second, "Tajrish")])
    assert contents.branch_of("VANAK1", names[CAFE]) == first
    assert contents.branch_of(str(first).upper(), names[CAFE]) == first
    assert contents.branch_of(None, names[CAFE]) is None
    assert isinstance(contents.branch_of(str(second), names[CAFE]), Rejected)
    assert contents.branch_of("Tajrish", {}) is None


numbers = st.lists(st.integers(0, 60), min_size=1, max_size=40)


@given(st.lists(numbers, min_size=1, max_size=6))
@settings(deadline=None)
def test_gaps_are_exactly_what_was_never_sent(batches: list[list[int]]) -> None:
    span: SequenceSpan = (None, None)
    gaps: list[tuple[int, int]] = []
    sent: set[int] = set()
    for batch in batches:
        span, skipped, late = numbering.follow_sequence(span, batch)
        gaps = numbering.without(gaps, late) + skipped
        sent |= set(batch)
    missing = {number for start, end in gaps for number in range(start, end + 1)}
    assert span == (min(sent), max(sent))
    assert missing == set(range(min(sent), max(sent))) - sent
    assert len(missing) == sum(end - start + 1 for start, end in gaps)


def test_a_huge_jump_is_one_gap() -> None:
    assert numbering.follow_sequence((1, 1), [2**62]) == ((1, 2**62), [(2, 2**62 - 1)], [])
    assert numbering.follow_sequence((2**62, 2**62), [1]) == ((1, 2**62), [(2, 2**62 - 1)], [])


def test_event_id_belongs_to_the_first_receipt_of_its_cafe() -> None:
    event_id = UUID(int=7)
    mine = [record(event_id=event_id, receipt_number=number) for number in ("1", "2", "1")]
    theirs = record(event_id=event_id, receipt_number="2", cafe_id=OTHER_CAFE)
    assert verdicts.event_ids_reused([*mine, theirs, record(receipt_number="3")]) == {(CAFE, "till-1", "2")}


def test_lines_keep_exact_amounts() -> None:
    lines = contents.lines_of(record(items=[{"name": "x", "amount": "999999999999.99", "quantity": "0.001"}]).body)
    assert (lines[0].amount, lines[0].quantity) == (Decimal("999999999999.99"), Decimal("0.001"))
