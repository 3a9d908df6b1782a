"""What comes from outside, as types: every field of a body and every parameter of a route is one of these.

Each refuses what no database can keep (NUL, halves of characters, the ends of time, numbers beyond 64 bits), takes what
people type (Persian digits, Jalali days, stray spaces), and says in the OpenAPI document what it takes. Amounts and
points have types of their own.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Annotated, Any, Final
from zoneinfo import available_timezones

import msgspec
from pydantic import BaseModel, ConfigDict, SecretStr

from shared.inputs.dates import Birth, Day, Days, Moment, Moments
from shared.inputs.reading import Reader, fault
from shared.persian import phone
from shared.persian.text import INVISIBLE, latin_digits, normalize, persian_digits

__all__ = [
    "LARGEST_INTEGER",
    "UNSTORABLE",
    "Birth",
    "BlankableWords",
    "Command",
    "Count",
    "Cursor",
    "Day",
    "Days",
    "Email",
    "Folded",
    "Free",
    "Identifier",
    "Matching",
    "Moment",
    "Moments",
    "Offset",
    "Opaque",
    "PageSize",
    "Phone",
    "Phones",
    "Reader",
    "Text",
    "Version",
    "Whole",
    "Words",
    "Zones",
    "fault",
    "folded_identifier",
    "one_line",
    "storable",
]

LARGEST_INTEGER: Final = 2**63 - 1

# Lone surrogates are valid JSON escapes and no valid text.
UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
# Nobody sees these, and a text of nothing else is blank. As the inside of a class, in patterns of JSON Schema too.
_BLANK: Final = (
    r"\u0000-\u0020\u007f-\u00a0\u00ad\u034f\u0600-\u0605\u061c\u0640\u06dd\u070f\u0890-\u0891\u08e2\u115f-\u1160\u1680"
    r"\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufeff\uffa0\ufff9-\ufffb"
)
_VISIBLE: Final = re.compile(f"[^{_BLANK}\ud800-\udfff]")
_HIDDEN: Final = re.compile(
    "[\u034f\u115f\u1160\u180e\u2061-\u2064\u206a-\u206f\u3164\uffa0\ufff9-\ufffb]|(?<=\\w)\u200d"
)
_UNSEEN: Final = re.compile(f"[\x00-\x1f\x7f-\x9f{INVISIBLE}\ud800-\udfff]")
_LINES: Final = re.compile(r"\s*[\r\n\u2028\u2029\u0085]\s*")
_NUMBER: Final = re.compile("[+-]?[0-9]{1,20}")


class Command(BaseModel):
    """A request's body: unknown fields are refused, and an error never repeats a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


@dataclass(frozen=True)
class Text(Reader):
    """Words that are needed: at least `least` visible characters, at most `most`, in canonical Persian spelling.

    `line`: a name or a title, on one line and without characters that hide or reorder others.
    """

    most: int
    least: int = 1
    line: bool = False

    def read(self, value: Any) -> Any:
        """Normalized; refused when something in it can't be kept."""
        text = _text(value, self.most)
        storable(text)
        if len(_VISIBLE.findall(text)) < self.least:
            raise fault(
                "string_too_short",
                f"Needs at least {self.least} visible characters.",
                f"دست‌کم {persian_digits(str(self.least))} نویسهٔ دیدنی لازم است.",
            )
        return _text(one_line(text) if self.line else normalize(text), self.most)

    def document(self) -> dict[str, Any]:
        visible = rf"[^\u0000]*[^{_BLANK}]" * self.least
        return {"type": "string", "minLength": self.least, "maxLength": self.most, "pattern": rf"^{visible}[^\u0000]*$"}


@dataclass(frozen=True)
class Words(Reader):
    """Words that may be left out (`str | None`): what can't be kept is dropped, and a blank text is none."""

    most: int
    line: bool = False

    def read(self, value: Any) -> Any:
        """Normalized, or None."""
        if value is None:
            return None
        text = UNSTORABLE.sub("", _text(value, self.most))
        return _text(one_line(text) if self.line else normalize(text), self.most) or None

    def document(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "maxLength": self.most}, {"type": "null"}]}


@dataclass(frozen=True)
class BlankableWords(Words):
    """Words that are kept as an empty text when they are blank."""

    def read(self, value: Any) -> Any:
        """Normalized."""
        return super().read(_text(value, self.most)) or ""

    def document(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.most}


@dataclass(frozen=True)
class Matching(Reader):
    """A word of a fixed shape, such as a code or a colour. Persian digits are taken; `fa` says what is wanted."""

    pattern: str
    most: int
    fa: str = "شکل درستی ندارد"

    def read(self, value: Any) -> Any:
        """With ASCII digits."""
        text = latin_digits(_text(_revealed(value), self.most)).strip()
        if not re.fullmatch(self.pattern, text):
            raise fault("string_pattern_mismatch", f"Must look like {self.pattern}", self.fa)
        return text

    def document(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.most, "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True)
class Folded(Reader):
    """An identifier that somebody else made: receipts «۱۲» and "12" are one (NFKC, ASCII digits; case is kept).

    Refused, not stripped, when there is a character in it that nobody sees: two receipts must not become one because
    a till sent a stray byte.
    """

    most: int

    def read(self, value: Any) -> Any:
        """Folded."""
        text = _text(value, self.most + 64).strip()
        if not text:
            raise fault("string_too_short", "An identifier needs at least one character.", "شناسه نباید خالی باشد.")
        if _UNSEEN.search(folded := folded_identifier(text)):
            raise fault(
                "control_character",
                "An identifier holds no control or invisible characters; send the receipt's own printable number.",
                "شناسه نباید نویسهٔ کنترلی یا نادیدنی داشته باشد؛ همان شمارهٔ چاپ‌شده را بفرستید.",
            )
        return _text(folded, self.most)

    def document(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1, "maxLength": self.most}


@dataclass(frozen=True)
class Whole(Reader):
    """A whole number from `least` to `most`, also as text in any digits. 4.5 and true are none."""

    least: int
    most: int

    def read(self, value: Any) -> Any:
        """The number."""
        if isinstance(value, str) and _NUMBER.fullmatch(digits := latin_digits(value[:64]).strip()):
            value = int(digits)
        if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
            # To JSON 4.0 and 4 are one number.
            value = int(value)
        if type(value) is not int:
            raise fault("int_type", "Must be a whole number.", "باید عدد صحیح باشد.")
        if value < self.least:
            raise fault(
                "greater_than_equal", f"At least {self.least}.", f"دست‌کم {persian_digits(str(self.least))} باید باشد."
            )
        if value > self.most:
            raise fault(
                "less_than_equal", f"At most {self.most}.", f"حداکثر {persian_digits(str(self.most))} مجاز است."
            )
        return value

    def document(self) -> dict[str, Any]:
        return {"anyOf": [self.number(), {"type": "string", "pattern": self._digits()}]}

    def number(self) -> dict[str, Any]:
        """The number alone, as JSON Schema."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def _digits(self) -> str:
        # Narrower than what is taken: as many digits as surely fit.
        if self.most < 10:
            return f"^[{max(self.least, 0)}-{self.most}]$"
        if self.least > 1:
            digits = len(str(self.least - 1))
            return f"^(?:{self.least}|[1-9][0-9]{{{digits},{max(digits, len(str(self.most)) - 2)}}}|{self.most})$"
        lead = "0|" if self.least <= 0 else ""
        return f"^(?:{lead}[1-9][0-9]{{0,{len(str(self.most)) - 2}}})$"


@dataclass(frozen=True)
class Count(Whole):
    """A `Whole` in a query or a path, where everything is text."""

    def document(self) -> dict[str, Any]:
        return self.number()


@dataclass(frozen=True)
class Phones(Reader):
    """A phone number in any spelling, as E.164."""

    def read(self, value: Any) -> Any:
        """The canonical number."""
        try:
            return phone.canonical(_text(value, 40))
        except phone.InvalidPhone:
            raise fault(
                "phone",
                "Not a phone number, such as 09123456789; any spelling will do.",
                "شمارهٔ تلفن درست نیست؛ مانند ۰۹۱۲۳۴۵۶۷۸۹، به هر شکلی که بنویسید.",
            ) from None

    def document(self) -> dict[str, Any]:
        return {
            "type": "string",
            "maxLength": 40,
            "pattern": r"^(?:\+98|0098|98|0)?9[0-9]{2}[ -]?[0-9]{3}[ -]?[0-9]{4}$",
            "description": "an Iranian number in any spelling and any digits; others begin with + and are taken too",
        }


@dataclass(frozen=True)
class Zones(Reader):
    """An IANA time zone."""

    def read(self, value: Any) -> Any:
        """The zone's name."""
        if _text(value, 64) not in _zones():
            raise fault(
                "time_zone", "Not an IANA time zone such as Asia/Tehran.", "منطقهٔ زمانی شناخته نیست؛ مانند Asia/Tehran"
            )
        return value

    def document(self) -> dict[str, Any]:
        return {"type": "string", "enum": sorted(_zones())}


@dataclass(frozen=True)
class Free(Reader):
    """A JSON object of the sender's own making that PostgreSQL can hold and no reader will choke on.

    At most `most` bytes of JSON, `depth` levels, numbers of 64 bits. `cleans`: what can't be kept of a text is dropped,
    and not refused.
    """

    most: int = 8192
    depth: int = 5
    cleans: bool = False

    def read(self, value: Any) -> Any:
        """The object as it can be kept."""
        if not isinstance(value, Mapping):
            raise fault("object", "Send a JSON object.", "باید یک شیء JSON باشد.")
        kept = self._kept(value, self.depth)
        if len(msgspec.json.encode(kept)) > self.most:
            raise fault("too_large", f"At most {self.most} bytes of JSON.", "بیش از اندازه بزرگ است.")
        return kept

    def document(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": True}

    def _text(self, text: str) -> str:
        return UNSTORABLE.sub("", text) if self.cleans else storable(text)

    def _kept(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int) and abs(value) <= LARGEST_INTEGER:
            return value
        if not isinstance(value, int) and hasattr(value, "__float__") and abs(float(value)) <= LARGEST_INTEGER:
            return float(value)
        if depth and isinstance(value, Mapping):
            return {self._text(str(key)): self._kept(each, depth - 1) for key, each in value.items()}
        if depth and isinstance(value, (list, tuple)):
            return [self._kept(each, depth - 1) for each in value]
        raise fault(
            "free_value",
            f"Plain JSON of at most {self.depth} levels and numbers of 64 bits.",
            f"تنها JSON ساده با حداکثر {persian_digits(str(self.depth))} لایه و عددهای ۶۴ بیتی پذیرفته می‌شود.",
        )


@dataclass(frozen=True)
class Opaque(Reader):
    """A text that is only compared or hashed, never stored or shown: a token, a password, somebody's key."""

    most: int
    least: int = 1

    def read(self, value: Any) -> Any:
        """As it is."""
        secret = _revealed(value)
        if len(_text(secret, self.most)) < self.least:
            raise fault(
                "string_too_short",
                f"At least {self.least} characters.",
                f"دست‌کم {persian_digits(str(self.least))} نویسه لازم است.",
            )
        storable(secret)
        return value

    def document(self) -> dict[str, Any]:
        return {"type": "string", "minLength": self.least, "maxLength": self.most, "pattern": r"^[^\u0000]*$"}


Phone = Annotated[str, Phones()]
Identifier = Annotated[str, Folded(64)]
Email = Annotated[
    str, Matching(r"[!-?A-~]{1,64}@[0-9A-Za-z-]{1,60}(\.[0-9A-Za-z-]{1,60})+", 254, "نشانی ایمیل درست نیست")
]
PageSize = Annotated[int, Count(1, 200)]
# Where a page begins: the number that the page before ended with.
Cursor = Annotated[int, Count(1, LARGEST_INTEGER)]
Offset = Annotated[int, Count(0, 100_000)]
Version = Annotated[int, Whole(0, 2**31 - 1)]


@lru_cache(maxsize=8192)
def folded_identifier(text: str) -> str:
    """The one spelling of an identifier: NFKC and ASCII digits. The case is kept."""
    return text if text.isascii() else latin_digits(unicodedata.normalize("NFKC", text)).strip()


def one_line(text: str) -> str:
    """`text` normalized, on one line, without what hides or reorders other characters."""
    return normalize(_HIDDEN.sub("", normalize(_LINES.sub(" ", text))))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def storable(text: str) -> str:
    """The text itself.

    Raises:
        PydanticCustomError: it holds what no database can keep.
    """
    if UNSTORABLE.search(text):
        raise fault(
            "unstorable",
            "Holds a NUL or half of a character; send valid text.",
            "نویسه‌ای دارد که نمی‌توان نگه داشت؛ متن درست بفرستید.",
        )
    return text


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str):
        raise fault("string_type", "Must be a text.", "باید متن باشد.")
    if len(value) > most:
        raise fault(
            "string_too_long", f"At most {most} characters.", f"حداکثر {persian_digits(str(most))} نویسه مجاز است."
        )
    return value


def _revealed(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
