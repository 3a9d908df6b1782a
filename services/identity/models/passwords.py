"""Which passwords are refused: those that others try first. Length decides; no kind of character is demanded."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, SecretStr

from services.identity.models import persian_favourites
from shared.inputs.fields import Opaque, fault
from shared.persian.text import latin_digits, search_key

SHORTEST, LONGEST = 10, 128
# What is left of a password after taking away what can be guessed must be more than anybody tries in a row.
_LEAST_LEFT = 5
_SHORTEST_WALK = 4
_ROWS = (
    "1234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "abcdefghijklmnopqrstuvwxyz",
    "ضصثقفغعهخحجچ",
    "شسیبلاتنمکگ",
    "ظطزرذدپو",
    "ابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol",
    "1q2w3e4r5t6y7u8i9o0p",
)
_WALKS = tuple(
    sorted(
        {
            way[start : start + length]
            for row in _ROWS
            for way in (row * 2 if row.isdigit() else row, (row * 2 if row.isdigit() else row)[::-1])
            for length in range(_SHORTEST_WALK, len(way) + 1)
            for start in range(len(way) - length + 1)
        },
        key=lambda walk: (-len(walk), walk),
    )
)
_WALK = re.compile("|".join(_WALKS))
_REPEATED = re.compile(r"(.{1,4}?)\1{2,}")
_PHONE = re.compile(r"(?:\+|00)?(?:98)?0?9[0-9]{9}")
_DATE = re.compile(
    r"(?:1[34][0-9]{2}|19[0-9]{2}|20[0-9]{2})[-/._ ]?(?:0?[1-9]|1[0-2])[-/._ ]?(?:0?[1-9]|[12][0-9]|3[01])"
    r"|(?:0?[1-9]|[12][0-9]|3[01])[-/._ ]?(?:0?[1-9]|1[0-2])[-/._ ]?(?:1[34][0-9]{2}|19[0-9]{2}|20[0-9]{2})"
)
_EDGES = re.compile(r"^[\W\d_]+|[\W\d_]+$")
# Counted by others from public leaks and registers.
_LISTS = ("passwords", "female_names", "male_names", "surnames")
_LEET = str.maketrans("013457@$!", "oieastasi")


def refuse_guessable(password: str, known: Iterable[str] = ()) -> None:
    """Checks that nobody would guess the password.

    Args:
        password: as it was typed.
        known: what anybody knows about the person: their login, their name, the cafe's name.

    Raises:
        PydanticCustomError: it is too short, common, or made of a keyboard's rows, repetitions, phone numbers, dates
            and `known`.
    """
    if len(password) < SHORTEST:
        raise fault("string_too_short", f"At least {SHORTEST} characters.", "گذرواژه دست‌کم ۱۰ نویسه دارد.")
    folded = _folded(password)
    if _is_common(folded) or len(_left_of(folded, known)) < _LEAST_LEFT:
        raise fault(
            "weak_password",
            "others would guess this password; take a few words that do not belong together",
            "این گذرواژه حدس‌زدنی است؛ چند واژهٔ بی‌ربط به هم را کنار هم بگذارید",
        )


def _unguessable(password: SecretStr) -> SecretStr:
    refuse_guessable(password.get_secret_value())
    return password


NewPassword = Annotated[SecretStr, Opaque(LONGEST), AfterValidator(_unguessable)]
AnyPassword = Annotated[SecretStr, Opaque(LONGEST)]


def _folded(text: str) -> str:
    return latin_digits(search_key(unicodedata.normalize("NFKC", text).lower()))


def _is_common(folded: str) -> bool:
    dense = folded.replace(" ", "")
    bare = _EDGES.sub("", dense)
    half = dense[: len(dense) // 2]
    return any(word in _common() for word in (dense, bare, bare.translate(_LEET), dense.translate(_LEET))) or (
        half * 2 == dense and half in _common()
    )


def _left_of(folded: str, known: Iterable[str]) -> str:
    left = folded.replace(" ", "")
    for word in sorted(_words(known), key=len, reverse=True):
        left = left.replace(word, "")
    for pattern in (_PHONE, _DATE, _WALK, _REPEATED):
        left = pattern.sub("", left)
    return "".join(dict.fromkeys(left))


def _words(known: Iterable[str]) -> set[str]:
    words = set()
    for each in map(_folded, known):
        words |= {each.replace(" ", ""), *re.split(r"[\s@._+-]+", each)}
        if each.startswith("+98"):
            words |= {each[3:], "0" + each[3:]}
    return {word for word in words if len(word) >= 3}


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    # Imported when first asked for: half a megabyte of words, which only somebody who chooses a password needs.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415

    words = {word for name in _LISTS for word in FREQUENCY_LISTS[name]} | persian_favourites.WORDS
    return frozenset({*words, *(word.translate(_LEET) for word in words)})
