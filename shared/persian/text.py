"""Persian text: one mapping table, used here and (through `sql_functions`) in PostgreSQL.

Guests' names are typed on Arabic and Persian keyboards, with and without half-spaces, hamzas, vowel marks.
What is stored is `normalize`d; what is compared is a `search_key`, or a `name_key` where spaces do not matter.
"""

import re
import unicodedata
from typing import Literal

# What people can choose to read.
SpokenLanguage = Literal["fa", "en"]

# Other spellings of a letter that Persian readers take for the same letter. Stored text is changed to these.
_SPELLINGS = {
    "\u064a": "\u06cc",  # Arabic yeh
    "\u0649": "\u06cc",  # alef maksura
    "\u06cd": "\u06cc",  # yeh with tail
    "\u06d0": "\u06cc",  # e
    "\u0643": "\u06a9",  # Arabic kaf
    "\u06aa": "\u06a9",  # swash kaf
    "\u06be": "\u0647",  # heh doachashmee
    "\u06c1": "\u0647",  # heh goal
    "\u06d5": "\u0647",  # ae
    **{chr(0x0660 + digit): chr(0x06F0 + digit) for digit in range(10)},
}
# Differences that are right on paper and must not matter in a search. Only keys are changed to these.
_FOLDS = {
    "\u0629": "\u0647",  # teh marbuta
    "\u06c3": "\u0647",  # teh marbuta goal
    "\u0671": "\u0627",  # alef wasla
    **{chr(0x06F0 + digit): str(digit) for digit in range(10)},
    **{chr(ord("A") + letter): chr(ord("a") + letter) for letter in range(26)},
    **dict.fromkeys("\t\n\v\f\r\x85\u2028\u2029\u1680", " "),
}
_TATWEEL = "\u0640"
_ZWNJ = "\u200c"
_HAMZA = "\u0621"
# Invisible characters: they reorder or hide text, and two equal-looking names would differ by them.
INVISIBLE = "\u00ad\u061c\u200b\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
# First and last of each range of combining marks: Latin accents, Arabic vowel marks, Koranic marks.
_MARKS = (
    ("\u0300", "\u036f"),
    ("\u0610", "\u061a"),
    ("\u064b", "\u065f"),
    ("\u0670", "\u0670"),
    ("\u06d6", "\u06dc"),
    ("\u06df", "\u06e4"),
    ("\u06e7", "\u06e8"),
    ("\u06ea", "\u06ed"),
)

# The joiner stays in stored text: it holds one emoji, and letters in abbreviations, together.
_STORED = str.maketrans({**_SPELLINGS, **dict.fromkeys(INVISIBLE.replace("\u200d", "") + _TATWEEL)})
_KEY_MAP = {**{found: _FOLDS.get(kept, kept) for found, kept in _SPELLINGS.items()}, **_FOLDS}
_KEY_DROPPED = INVISIBLE + _TATWEEL + _ZWNJ + _HAMZA
_KEY = str.maketrans({**_KEY_MAP, **dict.fromkeys(_KEY_DROPPED)})
_MARK = re.compile("[" + "".join(f"{first}-{last}" for first, last in _MARKS) + "]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SPACES = re.compile(f"{_ZWNJ}*[ \t\u00a0][ \t\u00a0{_ZWNJ}]*")

# Every digit a phone keyboard in the region produces -> ASCII.
FOREIGN_DIGITS = "".join(chr(zero + digit) for zero in (0x0660, 0x06F0, 0xFF10) for digit in range(10))
_LATIN_DIGITS = str.maketrans(FOREIGN_DIGITS, "0123456789" * 3)
_PERSIAN_DIGITS = str.maketrans({str(digit): chr(0x06F0 + digit) for digit in range(10)})


def normalize(text: str) -> str:
    """Canonical spelling of `text` for storing and showing.

    Persian ye, kaf, heh and digits, NFC, single spaces, no tatweel, no invisible or control characters, and
    half-spaces only where they separate letters. Line breaks and vowel marks stay.
    """
    spelled = unicodedata.normalize("NFC", text).translate(_STORED)
    spaced = _SPACES.sub(" ", _CONTROL.sub("", spelled))
    return re.sub(f"{_ZWNJ}+", _ZWNJ, spaced).strip(f" \n\r{_ZWNJ}")


def search_key(text: str) -> str:
    """Key under which all spellings of `text` meet; one space between words. Same as SQL crm.search_key."""
    folded = unicodedata.normalize("NFKD", text).translate(_KEY)
    return re.sub(" +", " ", _MARK.sub("", folded)).strip(" ")


def name_key(name: str) -> str:
    """`search_key` without spaces, for names written as one word or two. Same as SQL crm.name_key."""
    return search_key(name).replace(" ", "")


def latin_digits(text: str) -> str:
    """`text` with Persian, Arabic and full-width digits as ASCII digits; everything else unchanged."""
    return text.translate(_LATIN_DIGITS)


def persian_digits(text: str) -> str:
    """`text` with ASCII digits as Persian digits; everything else unchanged."""
    return text.translate(_PERSIAN_DIGITS)


def sql_functions() -> str:
    """The SQL of crm.search_key and crm.name_key from the tables above; the migration must contain it."""
    found, kept = "".join(_KEY_MAP), "".join(_KEY_MAP.values())
    marks = "".join(f"{_sql_escape(first)}-{_sql_escape(last)}" for first, last in _MARKS)
    return f"""\
CREATE FUNCTION crm.search_key(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN btrim(
        regexp_replace(
            regexp_replace(
                translate(
                    normalize(value, NFKD),
                    {sql_literal(found + _KEY_DROPPED)},
                    {sql_literal(kept)}
                ),
                U&'[{marks}]',
                '',
                'g'
            ),
            ' +',
            ' ',
            'g'
        ),
        ' '
    );

CREATE FUNCTION crm.name_key(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN replace(crm.search_key(value), ' ', '');
"""


def sql_literal(characters: str) -> str:
    """`characters` as an SQL `U&'...'` constant, over as many lines as it takes."""
    lines = (characters[start : start + 14] for start in range(0, len(characters), 14))
    # Adjacent string constants on separate lines are one constant in SQL.
    joint = "'\n            '"
    return f"U&'{joint.join(''.join(map(_sql_escape, line)) for line in lines)}'"


def _sql_escape(character: str) -> str:
    return character if character.isascii() and character.isprintable() else f"\\{ord(character):04x}"
