"""Every spelling of a number is one guest; nothing else becomes a guest."""

import json
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.persian import phone

CASES = json.loads((Path(__file__).parent / "cases" / "phones.json").read_text())
SUBSCRIBERS = st.from_regex("[1-9][0-9]{9}", fullmatch=True)
PREFIXES = st.sampled_from(["", "0", "98", "980", "+98", "+980", "0098", "00980"])


@pytest.mark.parametrize(("raw", "expected"), CASES["same"] + CASES["foreign"])
def test_canonical_folds_spelling(raw: str, expected: str) -> None:
    assert phone.canonical(raw) == expected


@pytest.mark.parametrize("raw", CASES["invalid"])
def test_canonical_rejects_without_repeating_the_text(raw: str) -> None:
    with pytest.raises(phone.InvalidPhone) as caught:
        phone.canonical(raw)
    assert not any(character.isdigit() for character in str(caught.value))


@given(prefix=PREFIXES, subscriber=SUBSCRIBERS)
def test_canonical_agrees_with_the_numbering_plans(prefix: str, subscriber: str) -> None:
    plan = phonenumbers.parse(prefix + subscriber, "IR")
    expected = phonenumbers.format_number(plan, phonenumbers.PhoneNumberFormat.E164)
    assert phone.canonical(prefix + subscriber) == expected == f"+98{subscriber}"


@given(
    subscriber=SUBSCRIBERS, gaps=st.lists(st.sampled_from([" ", "-", "\u200c", "\u200f", ""]), min_size=9, max_size=9)
)
def test_canonical_ignores_separators(subscriber: str, gaps: list[str]) -> None:
    typed = "0" + subscriber[0] + "".join(gap + digit for gap, digit in zip(gaps, subscriber[1:], strict=True))
    assert phone.canonical(typed) == f"+98{subscriber}"


@given(raw=st.text(max_size=40))
def test_canonical_gives_a_stable_number_or_refuses(raw: str) -> None:
    try:
        number = phone.canonical(raw)
    except phone.InvalidPhone:
        return
    assert phone.canonical(number) == number
    assert number.startswith("+")
    assert number[1:].isascii()
    assert 7 <= len(number[1:]) <= 15


def test_canonical_uses_the_region_for_bare_numbers() -> None:
    assert phone.canonical("(415) 555-2671", region="US") == "+14155552671"
    assert phone.canonical("+98 912 345 6789", region="US") == "+989123456789"


@pytest.mark.parametrize(
    ("number", "mobile"), [("+989123456789", True), ("+982122334455", False), ("+14155552671", True)]
)
def test_is_mobile_judges_iranian_numbers_only(number: str, mobile: bool) -> None:
    assert phone.is_mobile(number) is mobile


def test_last_four_shows_the_end() -> None:
    assert phone.last_four("+989123456789") == "6789"
