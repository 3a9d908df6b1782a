"""Days and moments as people and programs write them, in the years that a database, a calendar and a cafe know."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final

from persiantools.jdatetime import JalaliDate
from pydantic import AwareDatetime
from pydantic_core import PydanticCustomError

from shared.inputs.reading import Reader, fault
from shared.persian.text import latin_digits, persian_digits

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2100
FIRST_BIRTH: Final = 1900
_MOMENT: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)([Tt ]\d\d.*)")
_DAY: Final = re.compile(r"(\d{4})([-/.])(\d\d?)\2(\d\d?)")
# Jalali years of our centuries; no Gregorian year that we accept is among them.
_JALALI_YEARS: Final = range(1278, 1480)

# For brevity the patterns leave out the leap days of February and Esfand, which are accepted all the same.
_GREGORIAN: Final = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
)
_JALALI: Final = r"(?:0[1-6]-(?:0[1-9]|[12]\d|3[01])|(?:0[7-9]|1[01])-(?:0[1-9]|[12]\d|30)|12-(?:0[1-9]|1\d|2\d))"
_CLOCK: Final = r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d)"


@dataclass(frozen=True)
class Days(Reader):
    """A day of the years given (both included). Years of the 13th to 15th century are Jalali."""

    first: int
    last: int = LAST_YEAR

    def read(self, value: Any) -> Any:
        """The day, in the Gregorian calendar."""
        if not isinstance(value, date) or isinstance(value, datetime):
            value = _day(value)
        if not self.first <= value.year <= self.last:
            raise fault(
                "day_out_of_range",
                f"From {self.first} to {self.last}, or the same years of the Jalali calendar.",
                f"سال {persian_digits(f'{self.first} تا {self.last}')} میلادی، یا همان سال‌ها به شمسی.",
            )
        return value

    def document(self) -> dict[str, Any]:
        centuries = "(?:19|20)" if self.first < FIRST_YEAR else "20"
        years = r"1(?:3\d|4[0-6])\d" if self.first < FIRST_YEAR else r"1(?:39|4[0-6])\d"
        return {
            "type": "string",
            "pattern": rf"^(?:{centuries}\d\d-{_GREGORIAN}|{years}-{_JALALI})$",
            "examples": ["2026-11-24", "1405-09-03"],
        }


@dataclass(frozen=True)
class Moments(Reader):
    """A moment with its time zone, from 2000 to 2100, as UTC. The day may be Jalali."""

    def read(self, value: Any) -> Any:
        """The moment as UTC."""
        if isinstance(value, str):
            value = _moment(value)
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise _no_moment()
        if not FIRST_YEAR <= value.year <= LAST_YEAR:
            raise fault("moment_out_of_range", "From 2000 to 2100.", "از سال ۲۰۰۰ تا ۲۱۰۰ میلادی.")
        return value.astimezone(UTC)

    def document(self) -> dict[str, Any]:
        pattern = rf"^(?:20\d\d-{_GREGORIAN}|14[0-6]\d-{_JALALI}){_CLOCK}$"
        return {"type": "string", "pattern": pattern, "examples": ["2026-11-24T18:30:00+03:30"]}


Moment = Annotated[AwareDatetime, Moments()]
Day = Annotated[date, Days(FIRST_YEAR)]
Birth = Annotated[date, Days(FIRST_BIRTH)]


def _day(value: Any) -> date:
    typed = latin_digits(value[:64]).strip() if isinstance(value, str) else ""
    if found := _DAY.fullmatch(typed):
        year, _, month, day = found.groups()
        if (made := _civil(int(year), int(month), int(day))) is not None:
            return made
    raise fault(
        "date_parsing",
        "Must be a day, such as 2026-11-24, or 1405-09-03 in the Jalali calendar.",
        "باید تاریخ باشد، مانند ۱۴۰۵-۰۹-۰۳ یا 2026-11-24.",
    )


def _moment(value: str) -> datetime:
    found = _MOMENT.fullmatch(latin_digits(value[:64]).strip())
    if found is None:
        raise _no_moment()
    year, month, day, clock = found.groups()
    made = _civil(int(year), int(month), int(day))
    try:
        return datetime.fromisoformat(f"{made}{clock.upper()}")
    except ValueError:
        raise _no_moment() from None


def _civil(year: int, month: int, day: int) -> date | None:
    try:
        if year in _JALALI_YEARS:
            made: date = JalaliDate(year, month, day).to_gregorian()  # type: ignore[no-untyped-call]
            return made
        return date(year, month, day)
    except ValueError:
        return None


def _no_moment() -> PydanticCustomError:
    return fault(
        "moment",
        "Send date and time with a time zone, such as 2026-11-24T18:30:00+03:30.",
        "تاریخ و ساعت با منطقهٔ زمانی بفرستید، مانند 2026-11-24T18:30:00+03:30.",
    )
