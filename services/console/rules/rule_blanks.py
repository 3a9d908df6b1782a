"""The blanks of a rule's sentence: how a value of the rules is written into one, and read from what was typed."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from services.console.rules.speech import Speech
from shared.inputs.fields import Day
from shared.persian.text import latin_digits

BlankKind = Literal[
    "whole", "toman", "factor", "numbers", "clock", "text", "choice", "weekdays", "branches", "segments", "rules",
    "words", "spans",
]  # fmt: skip
Fields = Mapping[str, tuple[str, ...]]
# Words of the menu by what they name, in the order in which they are shown.
MENU: Final = {"name": "names", "category": "categories", "sku": "skus"}
MOST_SPANS: Final = 50
# The order of a Persian week, which is that of the form.
WEEK: Final = ("sat", "sun", "mon", "tue", "wed", "thu", "fri")
_LARGEST: Final = 10**15
_DAYS: Final = TypeAdapter(Day)
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3])(?:[:٫.]([0-5]\d))?")


@dataclass(frozen=True)
class Blank:
    """A place in a sentence. `path`: of its value below that of the rule; `choices`: what may be chosen."""

    path: str
    kind: BlankKind = "whole"
    choices: tuple[str, ...] = ()


class Wrong(Exception):
    """What stands in a blank is not what it asks for. `fault`: which sentence says so, `at`: in which part."""

    def __init__(self, fault: str, at: str = "") -> None:
        super().__init__(fault)
        self.fault, self.at = fault, at


def written(blank: Blank, value: Any, s: Speech) -> dict[str, tuple[str, ...]]:
    """The fields that say `value`, by what stands behind the blank's own name; none for no value."""
    if blank.kind == "words":
        pairs = [(what, word) for what, name in MENU.items() for word in (value or {}).get(name, ())]
        return {".what": tuple(what for what, _ in pairs), ".word": tuple(word for _, word in pairs)} if pairs else {}
    if blank.kind == "spans":
        days = enumerate(value or ())
        return {
            f".{place}.{end}": (s.day_typed(date.fromisoformat(span[end])),)
            for place, span in days
            for end in ("first", "last")
        }
    if value is None or value in ("", (), []):
        return {}
    return {"": _WRITERS[blank.kind](value, s)}


def read(blank: Blank, fields: Fields, name: str, s: Speech) -> Any:
    """What was typed into the blank of that name, None when nothing was. Raises Wrong."""
    if blank.kind == "words":
        return _words(fields.get(f"{name}.what", ()), fields.get(f"{name}.word", ()))
    if blank.kind == "spans":
        return _spans(fields, name)
    typed = [each for each in fields.get(name, ()) if each.strip()]
    if blank.kind in ("weekdays", "branches", "segments", "rules"):
        return [each for each in dict.fromkeys(typed) if _TICKED[blank.kind](each)] or None
    return _READERS[blank.kind](typed[0].strip(), s) if typed else None


def number(typed: str) -> Decimal | None:
    """The number that somebody typed, in any digits, with or without marks between its thousands."""
    digits = latin_digits(typed).replace("٬", "").replace(",", "").replace("٫", ".").strip()
    try:
        found = Decimal(digits)
    except InvalidOperation:
        return None
    # By its exponent a short text can be a number of a thousand million digits, once it is written out.
    places = found.as_tuple().exponent
    return found if isinstance(places, int) and places >= -9 and 0 <= found < _LARGEST else None


def plain(value: Decimal, s: Speech) -> str:
    """A number without marks between its thousands."""
    text = f"{value.normalize():f}"
    return s.digits(text.replace(".", "٫") if s.language == "fa" else text)


def _whole(typed: str, _: Speech) -> int:
    found = number(typed)
    if found is None or found % 1:
        raise Wrong("whole")
    return int(found)


def _toman(typed: str, s: Speech) -> int:
    amount = _whole(typed, s)
    if amount % _per_toman(s):
        raise Wrong("whole_toman")
    return amount // _per_toman(s)


def _factor(typed: str, _: Speech) -> str:
    found = number(typed)
    if found is None:
        raise Wrong("number")
    return f"{found:f}"


def _numbers(typed: str, s: Speech) -> list[int]:
    return [_whole(each, s) for each in re.split(r"[\s،,;؛]+", typed) if each]


def _clock(typed: str, _: Speech) -> str:
    found = _CLOCK.fullmatch(latin_digits(typed))
    if found is None:
        raise Wrong("clock")
    return f"{int(found[1]):02}:{found[2] or '00'}"


def _text(typed: str, _: Speech) -> str:
    return typed


def _words(what: Sequence[str], words: Sequence[str]) -> dict[str, list[str]] | None:
    found: dict[str, list[str]] = {}
    for kind, word in zip(what, words, strict=False):
        if word.strip() and kind in MENU:
            found.setdefault(MENU[kind], []).append(word)
    return found or None


def _spans(fields: Fields, name: str) -> list[dict[str, str]] | None:
    found = []
    for place in range(MOST_SPANS + 1):
        ends = {end: (fields.get(f"{name}.{place}.{end}") or ("",))[0].strip() for end in ("first", "last")}
        if any(ends.values()):
            found.append({end: _day(typed, f".{place}.{end}") for end, typed in ends.items()})
    return found or None


def _day(typed: str, at: str) -> str:
    try:
        return _DAYS.validate_python(typed).isoformat()
    except ValidationError:
        raise Wrong("day", at) from None


def _is_id(typed: str) -> bool:
    try:
        UUID(typed)
    except ValueError:
        return False
    return True


def _per_toman(s: Speech) -> int:
    return 10 if s.unit == "IRR" else 1


# What is ticked comes from the page; anything else was never on it.
_TICKED: Final[Mapping[str, Callable[[str], bool]]] = {
    "weekdays": WEEK.__contains__, "branches": _is_id, "segments": bool, "rules": bool,
}  # fmt: skip
_READERS: Final[Mapping[str, Callable[[str, Speech], Any]]] = {
    "whole": _whole, "toman": _toman, "factor": _factor, "numbers": _numbers, "clock": _clock, "text": _text,
    "choice": _text,
}  # fmt: skip
_WRITERS: Final[Mapping[str, Callable[[Any, Speech], tuple[str, ...]]]] = {
    "whole": lambda value, s: (s.number(int(value)),),
    "toman": lambda value, s: (s.number(int(value) * _per_toman(s)),),
    "factor": lambda value, s: (plain(Decimal(value), s),),
    "numbers": lambda value, s: (("، " if s.language == "fa" else ", ").join(s.digits(each) for each in value),),
    "clock": lambda value, s: (s.digits(value),),
    "weekdays": lambda value, _: tuple(sorted(value, key=WEEK.index)),
    "branches": lambda value, _: tuple(map(str, value)),
    "segments": lambda value, _: tuple(value),
    "rules": lambda value, _: tuple(value),
    "text": lambda value, _: (value,),
    "choice": lambda value, _: (value,),
}
