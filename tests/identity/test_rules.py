"""Pauses, roles and what a token says."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from pydantic import TypeAdapter, ValidationError

from services.identity.models.accounts import ChangePassword, Login
from services.identity.models.http import ChangeCafe, CreateApiKey, CreateCafe
from services.identity.rules import access
from services.identity.rules import sessions as rules


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
