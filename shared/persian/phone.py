"""Phone numbers in any spelling -> E.164, the identity of a guest.

There is no list of operator prefixes: numbers are ported, and new prefixes appear before any list knows them.
"""

import re
from contextlib import suppress
from itertools import islice

import phonenumbers

from shared.persian.text import FOREIGN_DIGITS, INVISIBLE, sql_literal

# What people put between the digits, and what copying from a right-to-left page leaves there.
_SEPARATORS = " \t\r\n\u00a0().-_/\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u0640\u200c" + INVISIBLE
_FOLD = str.maketrans(
    {**dict(zip(FOREIGN_DIGITS, "0123456789" * 3, strict=True)), "\uff0b": "+", **dict.fromkeys(_SEPARATORS)}
)
_DIALLED = re.compile(r"\+?[0-9]{5,20}")
# The numbering plan of Iran: ten digits, after any of +98, 0098, 98, 0 or nothing. Settling it here instead
# of in the library takes 2 microseconds instead of 28, on the path of every visit.
_IRANIAN = re.compile("(?:(?:[+]|00)?980?|0)?([1-9][0-9]{9})")
_IRAN = 98
_DIGITS = str.maketrans(dict(zip(FOREIGN_DIGITS, "0123456789" * 3, strict=True)))
_IN_TEXT = re.compile(rf"[+]?[0-9](?:[{re.escape(_SEPARATORS)}]{{0,2}}[0-9]){{9,13}}")
MOST_PHONES = 20


class InvalidPhone(ValueError):
    """The text is no phone number. The message never repeats the number."""


def canonical(raw: str, region: str = "IR") -> str:
    """E.164 form (`+989123456789`) of a phone number typed by a person.

    Accepts Persian and Arabic digits, spaces, dashes, brackets, half-spaces and direction marks, and the
    prefixes `0`, `98`, `0098`, `+98` or none. Numbers without a country prefix belong to `region` (ISO 3166).

    Raises:
        InvalidPhone: the text has other characters, or its length does not fit a subscriber's number.
    """
    dialled = raw.translate(_FOLD)
    iranian = _IRANIAN.fullmatch(dialled) if region == "IR" else None
    if iranian:
        return f"+98{iranian[1]}"
    if not _DIALLED.fullmatch(dialled):
        raise InvalidPhone("a phone number has digits only, with an optional leading plus")
    return _by_numbering_plan(dialled, region)


def phones_in(text: str) -> set[str]:
    """E.164 form of what may be phone numbers in a text of any kind, of the first `MOST_PHONES` at most."""
    phones = set()
    for match in islice(_IN_TEXT.finditer(text.translate(_DIGITS)), MOST_PHONES):
        with suppress(InvalidPhone):
            phones.add(canonical(match[0]))
    return phones


def is_mobile(e164: str) -> bool:
    """Whether an Iranian number can receive SMS; True for foreign numbers, whose plan we do not judge."""
    return not e164.startswith("+98") or e164.startswith("+989")


def last_four(e164: str) -> str:
    """The last four digits, which a till may show to tell two guests apart."""
    return e164[-4:]


def masked(last_four: str) -> str:
    """A number of which only the end is shown, whatever its length was."""
    return f"•••• {last_four}"


def sql_function() -> str:
    """The SQL of crm.canonical_phone from the same tables; the migration must contain it.

    It answers for Iranian numbers and is null for all others: only the library knows foreign numbering plans.
    """
    found, kept = f"{FOREIGN_DIGITS}\uff0b{_SEPARATORS}", "0123456789" * 3 + "+"
    return f"""\
CREATE FUNCTION crm.canonical_phone(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN '+98' || substring(
        translate(
            value,
            {sql_literal(found)},
            '{kept}'
        )
        FROM '^{_IRANIAN.pattern}$'
    );
"""


def _by_numbering_plan(dialled: str, region: str) -> str:
    try:
        number = phonenumbers.parse(dialled, region)
    except phonenumbers.NumberParseException as error:
        raise InvalidPhone("not a phone number") from error
    if not _may_be_a_subscriber(number):
        raise InvalidPhone("the phone number is too short or too long")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def _may_be_a_subscriber(number: phonenumbers.PhoneNumber) -> bool:
    if number.country_code == _IRAN:
        # The library also knows service numbers of four to seven digits; no guest answers those.
        return len(str(number.national_number)) == 10 and not number.italian_leading_zero
    return phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
