"""Links to guests' own pages: nobody makes one up, and each ends."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.security.crypto import Keys
from shared.security.guest_links import LIVES, WrongGuestLink, guest_page_address, guest_token, read_guest_token

KEYS = Keys.from_secret("a-secret-that-only-these-tests-know-of")
OTHERS = Keys.from_secret("another-secret-that-these-tests-know-of")
MADE = datetime(2026, 11, 30, 12, 5, tzinfo=UTC)
MOMENTS = st.integers(0, 29 * 365 * 24 * 3600).map(lambda seconds: datetime.fromtimestamp(1_767_225_600 + seconds, UTC))


@given(st.uuids(), st.uuids(), MOMENTS)
def test_link_says_whose_it_is_and_since_when(cafe_id: UUID, customer_id: UUID, made_at: datetime) -> None:
    link = read_guest_token(KEYS, guest_token(KEYS, cafe_id, customer_id, made_at))
    assert (link.cafe_id, link.customer_id) == (cafe_id, customer_id)
    assert link.made_at == made_at.replace(second=0, microsecond=0)


def test_link_is_the_same_within_a_minute_and_hides_whose_it_is() -> None:
    cafe_id, guest = uuid4(), uuid4()
    address = guest_page_address(KEYS, "https://cafe.example/", cafe_id, guest, MADE)
    assert address == guest_page_address(KEYS, "https://cafe.example", cafe_id, guest, MADE + timedelta(seconds=50))
    assert address.startswith("https://cafe.example/g/")
    assert len(address) == len("https://cafe.example/g/") + 68
    assert guest.hex not in address
    assert guest_token(KEYS, cafe_id, uuid4(), MADE)[:22] != address.rpartition("/")[2][:22]


def test_another_secret_opens_nothing() -> None:
    token = guest_token(KEYS, uuid4(), uuid4(), MADE)
    with pytest.raises(WrongGuestLink):
        read_guest_token(OTHERS, token)
    rotated = Keys.from_secret("a-newer-secret-that-these-tests-know-of", "a-secret-that-only-these-tests-know-of")
    assert read_guest_token(rotated, token).made_at == MADE


@given(st.integers(0, 67), st.sampled_from("AQgw19_-"))
def test_no_letter_can_be_changed(place: int, letter: str) -> None:
    token = guest_token(KEYS, UUID(int=1), UUID(int=2), MADE)
    if token[place] == letter:
        return
    with pytest.raises(WrongGuestLink):
        read_guest_token(KEYS, token[:place] + letter + token[place + 1 :])


@pytest.mark.parametrize("token", ["", "x", "x" * 68, "x" * 1000, "ب" * 68, "é" * 68, "=" * 68])
def test_what_is_no_link_is_none(token: str) -> None:
    with pytest.raises(WrongGuestLink):
        read_guest_token(KEYS, token)


def test_link_ends_and_one_of_the_far_future_is_not_yet() -> None:
    link = read_guest_token(KEYS, guest_token(KEYS, uuid4(), uuid4(), MADE))
    assert not link.is_over(MADE)
    assert not link.is_over(MADE + LIVES - timedelta(minutes=1))
    assert link.is_over(MADE + LIVES)
    assert not link.is_over(MADE - timedelta(days=1))
    assert link.is_over(MADE - timedelta(days=3))
