"""Logins that look alike are one, and passwords that others try first are refused."""

import pytest
from hypothesis import given, strategies
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from services.identity.handlers import invitations
from services.identity.models.http import AnyLogin, ChangePassword, Login
from services.identity.models.logins import canonical_login, masked_login, spellings
from services.identity.models.passwords import refuse_guessable
from shared.database import db
from shared.settings import Settings
from tests.identity.given import KEYS, PASSWORD, a_cafe, a_person, client, hashed_password, running
from tests.support import Databases


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("sa\u200bra@example.com", "sara@example.com"),
        ("sa\u202era@example.com", "sara@example.com"),
        ("sa\u00adra@exam\u00adple.com", "sara@example.com"),
        ("ｓａｒａ＠example．com", "sara@example.com"),
        ("SARA@EXAMPLE.COM.", "sara@example.com"),
        ("\ufeffsara@example.com\u200f", "sara@example.com"),
        ("ﬁnn@example.com", "finn@example.com"),
        ("ali۱۲@example.com", "ali12@example.com"),
        ("ali١٢@example.com", "ali12@example.com"),
        ("سارا@مثال.ایران", "سارا@مثال.ایران"),
        ("۰۹۱۲\u200c۳۴۵ ۶۷۸۹", "+989123456789"),
        ("\u202a+98 912 345 6789\u202c", "+989123456789"),
    ],
)
def test_spellings_of_one_login_are_one(typed: str, expected: str) -> None:
    assert canonical_login(typed) == expected
    assert canonical_login(expected) == expected


@pytest.mark.parametrize(
    "typed",
    [
        "s\u0430ra@example.com",  # Cyrillic a
        "sara@ex\u0430mple.com",
        "sa\u03c1a@example.com",  # Greek rho
        "sara\u0301\u0323\u0489@example.com",
        "sa\x00ra@example.com",
    ],
)
def test_login_that_can_be_mistaken_for_another_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Login).validate_python(typed)
    assert refused.value.errors()[0]["ctx"]["fa"]


@given(strategies.text(max_size=30))
def test_folding_what_was_folded_changes_nothing(typed: str) -> None:
    for login in (typed, f"{typed}@example.com", f"a@{typed}.com"):
        try:
            folded = canonical_login(login)
        except PydanticCustomError:
            continue
        assert canonical_login(folded) == folded


@pytest.mark.parametrize("typed", ["s\u0430ra@example.com", "sa\u200bra@example.com", "ali۱۲@example.com"])
async def test_account_that_began_with_such_a_login_still_signs_in(
    typed: str, config: Settings, database: Databases
) -> None:
    pool = await database("identity")
    await a_person(pool, "sara@example.org", await a_cafe(pool), "staff")
    async with db.transaction(pool) as conn:
        await invitations.make_account(conn, KEYS, typed, await hashed_password())
    assert TypeAdapter(AnyLogin).validate_python(typed) == typed
    async with running(config) as app, client(app) as http:
        answer = await http.post("/sessions", json={"login": typed, "password": PASSWORD})
    assert answer.status_code == 201


def test_plain_login_has_one_spelling() -> None:
    assert spellings("Sara@example.com ") == ["sara@example.com"]
    assert spellings("09123456789") == ["+989123456789"]


def test_masked_login_shows_who_it_is_to_who_knows() -> None:
    assert masked_login("sara@example.com") == "s•••@example.com"
    assert masked_login("+989123456789") == "••••6789"


@pytest.mark.parametrize(
    "password",
    [
        "tiny pw",
        "password123!",
        "P@ssw0rd2024",
        "passwordpassword",
        "qwertyuiop12",
        "1234567890",
        "۱۲۳۴۵۶۷۸۹۰",
        "1qaz2wsx3edc",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "09123456789",
        "+98 912 345 6789",
        "1370/05/12",
        "13700512 13700512",
        "ضصثقفغعهخحج",
        "سلامسلامسلام",
        "Perspolis1402",
        "mohammadreza",
        "x" * 200,
    ],
)
def test_password_that_others_try_first_is_refused_without_repeating_it(password: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ChangePassword(old_password="any", new_password=password)
    assert password not in str(refused.value)


@pytest.mark.parametrize(
    "password", ["correct horse battery", "kjh2GD9wXq", "فنجان آبی کنار پنجره", "kaveh-lamp-91-tir", "allwithoutdigits"]
)
def test_long_password_needs_no_particular_kind_of_character(password: str) -> None:
    refuse_guessable(password, ["sara@example.com", "کافه نادری"])


@pytest.mark.parametrize(
    ("password", "known"),
    [
        ("nadericafe1402", "Cafe Naderi"),
        ("کافه نادری ۱۲", "کافهٔ نادری"),
        ("shahrzad.example", "shahrzad@example.com"),
        ("shahrzad1370", "shahrzad@example.com"),
        ("9123456789 a", "+989123456789"),
    ],
)
def test_password_made_of_what_is_known_about_a_person_is_refused(password: str, known: str) -> None:
    refuse_guessable("violet teapot marches", [known])
    with pytest.raises(PydanticCustomError):
        refuse_guessable(password, [known])
