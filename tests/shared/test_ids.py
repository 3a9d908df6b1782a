"""Derived ids, feedback tokens, till credentials and signatures."""

from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import new_id
from shared.security import ids
from shared.security.crypto import Keys

KEYS = Keys.from_secret("the first secret of this installation")
CAFE = UUID("00000000-0000-7000-8000-0000000000ca")
OTHER = UUID("00000000-0000-7000-8000-0000000000cb")
PHONES = st.from_regex(r"\+98[1-9][0-9]{9}", fullmatch=True)


def test_new_id_is_like_any_other_uuid_and_grows_with_time() -> None:
    first, second = new_id(), new_id()
    plain = UUID(bytes=first.bytes)
    assert (first, hash(first), str(first), first.hex) == (plain, hash(plain), str(plain), plain.hex)
    assert {plain: "found"}[first] == "found"
    assert msgspec.json.encode(first) == msgspec.json.encode(plain)
    assert first.version == 7
    assert first < second


@given(number=PHONES)
def test_customer_id_is_one_valid_uuid8_per_cafe_and_number(number: str) -> None:
    own = ids.customer_id(KEYS, CAFE, number)
    assert own == ids.customer_id(KEYS, CAFE, number)
    assert own != ids.customer_id(KEYS, OTHER, number)
    assert own.version == 8
    assert own.variant == "specified in RFC 4122"


def test_customer_id_of_a_known_guest_never_changes() -> None:
    assert ids.customer_id(KEYS, CAFE, "+989123456789") == UUID("c928cfcd-9900-82a3-9149-2846badab3bb")


def test_feedback_token_is_short_and_belongs_to_one_visit() -> None:
    tokens = {ids.feedback_token(KEYS, cafe, visit) for cafe in (CAFE, OTHER) for visit in (CAFE, OTHER)}
    assert len(tokens) == 4
    assert all(len(token) == 22 for token in tokens)


def test_api_key_survives_its_text_form() -> None:
    key = ids.generate_api_key()
    assert ids.parse_api_key(key.text) == key
    assert len(key.key_id) == 12
    assert len(key.secret) == 43
    assert key.secret not in repr(key)
    assert ids.hash_api_key(key) != ids.hash_api_key(ids.generate_api_key())


@pytest.mark.parametrize("text", ["", "crm__", "crm_short_secret", "Bearer x", "crm_" + "a" * 12 + "_" + "b" * 44])
def test_parse_api_key_refuses_other_forms(text: str) -> None:
    assert ids.parse_api_key(text) is None


@given(body=st.binary(max_size=200))
def test_verify_accepts_only_the_signed_record(body: bytes) -> None:
    key = ids.signing_key("secret")
    signature = ids.sign(key, "e1", "pos.visit_recorded", body)
    assert ids.verify(key, "e1", "pos.visit_recorded", body, signature)
    assert not ids.verify(key, "e2", "pos.visit_recorded", body, signature)
    assert not ids.verify(key, "e1", "pos.visit_voided", body, signature)
    assert not ids.verify(key, "e1", "pos.visit_recorded", body + b" ", signature)
    assert not ids.verify(ids.signing_key("other"), "e1", "pos.visit_recorded", body, signature)
    assert not ids.verify(key, "e1", "pos.visit_recorded", body, "v1,امضا")


def test_sign_follows_the_published_recipe() -> None:
    assert (
        ids.sign(b"k" * 32, "e1", "pos.visit_recorded", b'{"a":1}') == "v1,6bEKJtgLT3xNXfbYreSwvgcgD/XCYX+MJpMi+BHFMpU="
    )
