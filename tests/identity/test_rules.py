"""Pauses, roles and what a token says."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from pydantic import TypeAdapter, ValidationError

from services.identity.models.http import ChangeCafe, ChangePassword, CreateApiKey, CreateCafe, Login, SetPolicy
from services.identity.rules import access, policies
from services.identity.rules import sessions as rules
from shared.errors import Rejected
from shared.inputs.bounds import MOST_RIAL, MOST_TOMAN


def test_pause_grows_from_the_fifth_attempt_up_to_a_quarter_of_an_hour() -> None:
    seconds = [rules.pause_after(failures).total_seconds() for failures in (1, 4, 5, 6, 7, 11, 12, 10_000)]
    assert seconds == [0, 0, 15, 30, 60, 900, 900, 900]


@pytest.mark.parametrize(
    ("actor", "roles", "allowed"),
    [
        ("owner", ("staff", "owner"), True),
        ("owner", (None, "owner"), True),
        ("manager", (None, "staff"), True),
        ("manager", ("staff", None), True),
        ("manager", ("staff", "manager"), False),
        ("manager", ("manager", "staff"), False),
        ("manager", ("owner", None), False),
        ("staff", (None, "staff"), False),
    ],
)
def test_nobody_touches_access_at_or_above_their_own(actor, roles, allowed: bool) -> None:
    assert access.may_change_access(actor, *roles) is allowed


A, B = uuid4(), uuid4()


@pytest.mark.parametrize(
    ("actor", "person", "allowed"),
    [
        ({A: "owner"}, {A: "manager"}, True),
        ({A: "owner"}, {A: "owner"}, False),
        ({A: "manager"}, {A: "staff"}, True),
        ({A: "manager"}, {A: "manager"}, False),
        ({A: "staff"}, {A: "staff"}, False),
        # A link for a new password opens every cafe of the person's account.
        ({A: "owner"}, {A: "staff", B: "staff"}, False),
        ({A: "owner", B: "manager"}, {A: "staff", B: "staff"}, True),
        ({A: "owner", B: "staff"}, {A: "staff", B: "staff"}, False),
        ({A: "owner"}, {}, False),
    ],
)
def test_only_who_ranks_above_a_person_everywhere_may_reset_them(actor, person, allowed: bool) -> None:
    assert access.may_reset(actor, person) is allowed


NOON, SECOND = datetime(2026, 11, 24, 8, 30, tzinfo=UTC), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("age", "idle", "is_over"),
    [
        (timedelta(days=30) - SECOND, timedelta(0), False),
        (timedelta(days=30), timedelta(0), True),
        (timedelta(days=8), timedelta(days=7) - SECOND, False),
        (timedelta(days=8), timedelta(days=7), True),
    ],
)
def test_session_ends_by_age_and_by_idleness(age: timedelta, idle: timedelta, is_over: bool) -> None:
    assert rules.session_is_over(NOON - age, NOON - idle, NOON) is is_over


def test_signing_key_is_due_at_its_last_moment() -> None:
    assert rules.signing_key_is_due(NOON - timedelta(days=30), NOON)
    assert not rules.signing_key_is_due(NOON - timedelta(days=30) + SECOND, NOON)


@pytest.mark.parametrize(
    ("address", "shown"),
    [("198.51.100.77", "198.51.100.0"), ("2001:db8:1:2::3", "2001:db8:1::"), ("testclient", ""), ("", "")],
)
def test_address_is_shown_as_its_network(address: str, shown: str) -> None:
    assert rules.shortened_address(address) == shown


@pytest.mark.parametrize(
    ("amount", "written_in", "own_unit", "kept"),
    [
        (5_000, None, "IRT", 5_000),
        (5_000, None, "IRR", 500),
        (5_000, "IRT", "IRR", 5_000),
        (5_000, "IRR", "IRT", 500),
        (5_001, None, "IRR", "whole_toman"),
        (5_001, None, "IRT", 5_001),
        (MOST_TOMAN, None, "IRT", MOST_TOMAN),
        (MOST_TOMAN + 1, None, "IRT", "too_large"),
        (MOST_RIAL, None, "IRR", MOST_TOMAN),
    ],
)
def test_policy_is_kept_in_whole_toman_and_shown_in_the_cafes_unit(amount, written_in, own_unit, kept) -> None:
    wanted = SetPolicy(when="above", points=7, amount=amount, staff_amount=10, currency_unit=written_in)
    if isinstance(kept, str):
        with pytest.raises(Rejected) as refused:
            policies.kept(wanted, own_unit)
        assert [problem.code for problem in refused.value.problems] == [kept]
        return
    assert policies.kept(wanted, own_unit).amount == kept
    shown = policies.shown({"points": 7, "amount": kept, "when": "above"}, written_in or own_unit)
    assert shown == {"points": 7, "amount": amount, "when": "above"}


def test_token_says_who_and_not_what_they_may() -> None:
    moment, user, session, token = datetime(2026, 3, 20, tzinfo=UTC), uuid4(), uuid4(), uuid4()
    assert rules.token_claims(user, session, 3, "https://issuer", "crm", token, moment) == {
        "iss": "https://issuer",
        "aud": "crm",
        "sub": str(user),
        "sid": str(session),
        "gen": 3,
        "jti": str(token),
        "iat": moment,
        "nbf": moment,
        "exp": moment + timedelta(minutes=15),
    }


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (" Sara@Example.COM ", "sara@example.com"),
        ("۰۹۱۲ ۳۴۵ ۶۷۸۹", "+989123456789"),
        ("+98 912 345 6789", "+989123456789"),
    ],
)
def test_login_has_one_spelling(typed: str, expected: str) -> None:
    assert TypeAdapter(Login).validate_python(typed) == expected


@pytest.mark.parametrize("typed", ["", "sara", "sara@", "@example.com", "a b@example.com", "sara@example", "123"])
def test_login_of_neither_kind_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Login).validate_python(typed)
    assert refused.value.errors()[0]["ctx"]["fa"]


@pytest.mark.parametrize("password", ["sh0rt!", "1" * 12, "ab" * 20, "x" * 200])
def test_weak_password_is_refused_without_repeating_it(password: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ChangePassword(old_password="any", new_password=password)
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "‌"},
        {"name": "n" * 101},
        {"name": "n", "time_zone": "Mars/Olympus"},
        {"name": "n", "time_zone": "../etc/passwd"},
        {"name": "n", "calendar": "hijri"},
        {"name": "n", "currency_unit": "USD"},
        {"name": "n", "quiet_from": "24:00"},
        {"name": "n", "quiet_from": "9:00"},
        {"name": "n", "cafe_id": "00000000-0000-7000-8000-0000000000ca"},
    ],
)
def test_cafe_with_a_wrong_field_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        CreateCafe(**fields)


def test_cafe_name_is_stored_in_persian_spelling() -> None:
    assert CreateCafe(name=" كافه  نادري ").name == "کافه نادری"
    assert ChangeCafe(name=None).model_dump(exclude_none=True) == {}


def test_api_key_needs_a_known_scope() -> None:
    for scopes in ([], ["everything"]):
        with pytest.raises(ValidationError):
            CreateApiKey(device_name="till 1", scopes=scopes)
