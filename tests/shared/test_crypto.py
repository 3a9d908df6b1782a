"""Sealed fields open only where they were sealed; look-ups survive a rotation of the secret."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.security import crypto

SECRET = "the first secret of this installation"
NEWER = "a newer secret since the first leaked"
KEYS = crypto.Keys.from_secret(SECRET)
ROW = UUID("00000000-0000-7000-8000-000000000001")
CAFE = UUID("00000000-0000-7000-8000-0000000000ca")


def _seal(keys: crypto.Keys, plaintext: str) -> str:
    return crypto.seal(keys, plaintext, table="customers", column="phone_sealed", row=ROW)


def _unseal(keys: crypto.Keys, envelope: str) -> str:
    return crypto.unseal(keys, envelope, table="customers", column="phone_sealed", row=ROW)


@given(plaintext=st.text())
def test_unseal_returns_what_was_sealed(plaintext: str) -> None:
    envelope = _seal(KEYS, plaintext)
    assert _unseal(KEYS, envelope) == plaintext
    assert envelope.isascii()


def test_seal_never_repeats_itself() -> None:
    assert _seal(KEYS, "+989123456789") != _seal(KEYS, "+989123456789")


@pytest.mark.parametrize(
    "place",
    [
        {"table": "contacts", "column": "phone_sealed", "row": ROW},
        {"table": "customers", "column": "email_sealed", "row": ROW},
        {"table": "customers", "column": "phone_sealed", "row": uuid4()},
        {"table": "customers\0phone_sealed", "column": "", "row": ROW},
    ],
)
def test_unseal_refuses_another_place(place: dict[str, object]) -> None:
    with pytest.raises(crypto.CannotUnseal):
        crypto.unseal(KEYS, _seal(KEYS, "+989123456789"), **place)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda e: e[:-4],
        lambda e: "s0" + e[2:],
        lambda e: e + "=",
        lambda e: e.upper(),
        lambda e: e[:20] + "AAAA" + e[24:],
    ],
)
def test_unseal_refuses_a_damaged_envelope(spoil: object) -> None:
    with pytest.raises(crypto.CannotUnseal):
        _unseal(KEYS, spoil(_seal(KEYS, "+989123456789")))  # type: ignore[operator]


def test_rotated_keys_open_old_envelopes_and_seal_with_the_new_secret() -> None:
    rotated = crypto.Keys.from_secret(NEWER, SECRET)
    old, new = _seal(KEYS, "علی"), _seal(rotated, "علی")
    assert _unseal(rotated, old) == _unseal(rotated, new) == "علی"
    assert rotated.key_id != KEYS.key_id
    with pytest.raises(crypto.CannotUnseal):
        _unseal(KEYS, new)


def test_look_ups_stay_the_same_over_two_rotations() -> None:
    twice = crypto.Keys.from_secret("the third secret, two rotations later", f"{NEWER}, {SECRET}")
    assert crypto.phone_hash(twice, CAFE, "+989123456789") == crypto.phone_hash(KEYS, CAFE, "+989123456789")
    assert _unseal(twice, _seal(crypto.Keys.from_secret(NEWER, SECRET), "علی")) == "علی"


def test_phone_hash_differs_between_cafes_and_numbers() -> None:
    hashes = {
        crypto.phone_hash(KEYS, cafe, number) for cafe in (CAFE, ROW) for number in ("+989123456789", "+989123456780")
    }
    assert len(hashes) == 4
    assert {len(each) for each in hashes} == {32}


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 characters"):
        crypto.Keys.from_secret("short")
    with pytest.raises(ValueError, match="32 characters"):
        crypto.Keys.from_secret(SECRET, "short")


def test_keys_show_no_key_material() -> None:
    shown = repr(KEYS) + str(replace(KEYS))
    assert KEYS.lookup.hex() not in shown
    assert repr(KEYS.lookup) not in shown
    assert shown.count("key_id=") == 2


def test_each_service_has_its_own_password() -> None:
    passwords = {crypto.derive_password(SECRET, service) for service in ("visit", "loyalty")}
    assert len(passwords | {crypto.derive_password(NEWER, "visit")}) == 3
    assert all(len(password) == 43 for password in passwords)
