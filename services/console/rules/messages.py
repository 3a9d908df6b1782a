"""What goes out by itself, as people read and write it: texts with their fallbacks inside, delays and amounts."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from services.console.rules.speech import Speech
from shared.persian.money import in_unit
from shared.persian.text import latin_digits

# What a text may ask for, by its occasion; without one, in the library: what any may.
VARIABLES: Final[Mapping[str | None, tuple[str, ...]]] = {
    "visit.recorded": ("name", "cafe", "link", "page"),
    "segment.entered": ("name", "cafe", "page"),
    "case.opened": ("cafe", "rating", "table"),
    "feedback.responded": ("name", "cafe", "link", "page"),
    None: ("name", "cafe", "link", "page", "rating", "table"),
}
# Of these something must stand where they are not known.
FALLBACKS: Final[Mapping[str, str]] = {"name": "مهمان", "table": "یک مهمان"}
_VARIABLE: Final = re.compile(r"\{\{ *([a-z_]{1,30}) *\}\}")
_WRITTEN: Final = re.compile(r"\{\{[^{}]*\}\}")
_PERSIAN: Final = re.compile("[\u0600-\u06ff]")
_MINUTES_OF_AN_HOUR, _MINUTES_OF_A_DAY = 60, 1440


def whole_text(content: str, fallbacks: Mapping[str, str]) -> str:
    """The text with each fallback beside its variable, as it is written: {{name|guest}}."""

    def written(found: re.Match[str]) -> str:
        name = found[1]
        return f"{{{{{name}|{fallbacks[name]}}}}}" if fallbacks.get(name) else found[0]

    return _VARIABLE.sub(written, content)


def direction(content: str) -> str:
    """In which direction a text is read, whatever its variables are called; empty for one without letters."""
    words = _WRITTEN.sub("", content)
    return "rtl" if _PERSIAN.search(words) else "ltr" if any(letter.isalpha() for letter in words) else ""


def insertions(trigger: str | None) -> tuple[tuple[str, str], ...]:
    """The variables that the text of that occasion may ask for, and how each is written."""
    return tuple(
        (name, f"{{{{{name}|{FALLBACKS[name]}}}}}" if name in FALLBACKS else f"{{{{{name}}}}}")
        for name in VARIABLES[trigger]
    )


def delay(minutes: int) -> tuple[str, int]:
    """A delay as people say it: the key of its words, and the number in them."""
    if minutes == 0:
        return "at_once", 0
    if minutes % _MINUTES_OF_A_DAY == 0:
        return "days", minutes // _MINUTES_OF_A_DAY
    if minutes % _MINUTES_OF_AN_HOUR == 0:
        return "hours", minutes // _MINUTES_OF_AN_HOUR
    return "minutes", minutes


def price(amount: Decimal, unit: str, s: Speech) -> str:
    """An amount that providers bill in Rial, in the cafe's own unit."""
    return s.money(own(amount, unit, s))


def own(amount: Decimal, unit: str, s: Speech) -> Decimal:
    """The same as a number."""
    return in_unit(amount, unit, s.unit)  # type: ignore[arg-type]


def bare_price(amount: Decimal | None, unit: str, s: Speech) -> str:
    """The same as it stands in a form: digits of the cafe's own unit."""
    return "" if amount is None else s.digits(f"{own(amount, unit, s).normalize():f}")


def typed_number(typed: str) -> str:
    """Digits as the APIs read them, from any digits with or without marks between thousands; empty for nothing."""
    return latin_digits(typed).replace("٬", "").replace(",", "").replace("٫", ".").strip()


def whole_number(typed: str) -> int | str | None:
    """A number, None for nothing; what is none is handed on for the API to refuse by its field."""
    digits = typed_number(typed)
    return int(digits) if digits.isdecimal() and len(digits) < 12 else digits or None


def amount(typed: str) -> str | None:
    """An amount, None for nothing."""
    digits = typed_number(typed)
    try:
        Decimal(digits or "0")
    except InvalidOperation:
        return typed
    return digits or None
