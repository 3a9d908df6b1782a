"""Persian text: spellings that readers take for the same are the same."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.persian import text

CASES = json.loads((Path(__file__).parent / "cases" / "texts.json").read_text())
PERSIAN = st.text(st.sampled_from("علیيرضاكک مةهآأ‌ـ\u064e۱1١ \n\u202e"), max_size=30)


@pytest.mark.parametrize(("raw", "expected"), CASES["search_key"])
def test_search_key_meets(raw: str, expected: str) -> None:
    assert text.search_key(raw) == expected


@pytest.mark.parametrize(("raw", "expected"), CASES["normalize"])
def test_normalize_keeps_what_is_read(raw: str, expected: str) -> None:
    assert text.normalize(raw) == expected


@pytest.mark.parametrize("spelling", ["علی رضا", "علی‌رضا", "عليرضا", "علی  رضا"])
def test_name_key_ignores_where_a_name_is_split(spelling: str) -> None:
    assert text.name_key(spelling) == "علیرضا"


@given(raw=st.one_of(PERSIAN, st.text(max_size=30)))
def test_normalize_is_stable_and_changes_no_key(raw: str) -> None:
    stored = text.normalize(raw)
    assert text.normalize(stored) == stored
    assert not any(
        unicodedata.category(character) == "Cc" for character in stored.replace("\n", "").replace("\r", "")
    ), repr(stored)
    visible = "".join(character for character in raw if unicodedata.category(character) != "Cc")
    assert text.search_key(text.normalize(visible)) == text.search_key(visible)


def test_digits_are_folded_both_ways() -> None:
    assert text.latin_digits("۱۲٣٤５ الف") == "12345 الف"
    assert text.persian_digits("12,345 الف") == "۱۲,۳۴۵ الف"
