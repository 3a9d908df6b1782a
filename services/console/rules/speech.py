"""Numbers, money, days and times as a person of one cafe reads them: their language, the cafe's calendar and unit."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

from persiantools.jdatetime import JalaliDate

from shared.persian.calendar import Calendar
from shared.persian.text import SpokenLanguage, latin_digits, persian_digits

_MONTHS = {
    ("fa", "jalali"): "فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند",
    ("en", "jalali"): "Farvardin Ordibehesht Khordad Tir Mordad Shahrivar Mehr Aban Azar Dey Bahman Esfand",
    ("fa", "gregorian"): "ژانویه فوریه مارس آوریل مه ژوئن ژوئیه اوت سپتامبر اکتبر نوامبر دسامبر",
    ("en", "gregorian"): "January February March April May June July August September October November December",
}
# Monday first, as `date.weekday` counts.
_WEEKDAYS = {
    "fa": "دوشنبه سه‌شنبه چهارشنبه پنجشنبه جمعه شنبه یکشنبه",
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
}
_UNITS = {("fa", "IRT"): "تومان", ("fa", "IRR"): "ریال", ("en", "IRT"): "Toman", ("en", "IRR"): "Rial"}
_AGO = {
    "fa": ("همین حالا", "{} دقیقه پیش", "{} ساعت پیش", "{} روز پیش"),
    "en": ("just now", "{} min ago", "{} h ago", "{} d ago"),
}
_LEFT_TO_RIGHT = "\u200e"
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Speech:
    """How one person of one cafe is spoken to. `unit`: IRT or IRR."""

    language: SpokenLanguage = "fa"
    calendar: Calendar = "jalali"
    time_zone: str = "Asia/Tehran"
    unit: str = "IRT"

    @property
    def direction(self) -> str:
        """For the `dir` of the page."""
        return "rtl" if self.language == "fa" else "ltr"

    def digits(self, text: object) -> str:
        """Any text with the digits of the language."""
        return persian_digits(str(text)) if self.language == "fa" else latin_digits(str(text))

    def number(self, value: Decimal | int) -> str:
        """A number with its thousands apart; at most two decimals, none when they are zero."""
        rounded = Decimal(value).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        whole = rounded == rounded.to_integral_value()
        written = f"{rounded.to_integral_value():,}" if whole else f"{rounded:,}"
        if self.language == "fa":
            written = written.replace(",", "٬").replace(".", "٫")
        return self.digits(written)

    def tenths(self, value: Decimal) -> str:
        """A number with at most one decimal, as of a percentage."""
        written = f"{value.quantize(Decimal('0.1'), ROUND_HALF_EVEN):,}".removesuffix(".0")
        return self.digits(written.replace(",", "٬").replace(".", "٫") if self.language == "fa" else written)

    def signed(self, value: int) -> str:
        """A difference, with its sign before it also where one reads from the right (Unicode's U+200E)."""
        sign = "+" if value > 0 else "−" if value < 0 else ""
        return f"{_LEFT_TO_RIGHT if self.language == 'fa' and sign else ''}{sign}{self.number(abs(value))}"

    def unit_name(self, unit: str | None = None) -> str:
        """The name of a unit of money; without one, the cafe's."""
        return _UNITS[self.language, unit or self.unit]

    def money(self, amount: Decimal, unit: str | None = None) -> str:
        """An amount with its unit."""
        return f"{self.number(amount)} {self.unit_name(unit)}"

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(self.time_zone))

    def local_day(self, moment: datetime) -> date:
        """The day on the cafe's wall."""
        return self._local(moment).date()

    def clock(self, moment: datetime) -> str:
        """The time on the cafe's wall."""
        return self.digits(self._local(moment).strftime("%H:%M"))

    def day(self, when: date | datetime, *, year: bool = True) -> str:
        """A day in words, as `8 Azar 1405`."""
        number_of_year, month, day = self._parts(when)
        name = _MONTHS[self.language, self.calendar].split()[month - 1]
        return self.digits(f"{day} {name} {number_of_year}" if year else f"{day} {name}")

    def day_typed(self, when: date | datetime) -> str:
        """A day as it is typed, as `1405/09/08`."""
        year, month, day = self._parts(when)
        return self.digits(f"{year:04}/{month:02}/{day:02}")

    def weekday(self, when: date | datetime) -> str:
        """The name of the day of the week."""
        day = self._local(when).date() if isinstance(when, datetime) else when
        return _WEEKDAYS[self.language].split()[day.weekday()]

    def weekday_from_saturday(self, number: int) -> str:
        """The name of a day of the week, by its number from Saturday (0) to Friday (6)."""
        return _WEEKDAYS[self.language].split()[(number + 5) % 7]

    def month(self, when: date, *, year: bool = True) -> str:
        """The name of a day's month, as `Azar 1405`."""
        number_of_year, month, _ = self._parts(when)
        name = _MONTHS[self.language, self.calendar].split()[month - 1]
        return self.digits(f"{name} {number_of_year}" if year else name)

    def moment(self, when: datetime) -> str:
        """Day and time."""
        return f"{self.day(when)}{'،' if self.language == 'fa' else ','} {self.clock(when)}"

    def ago(self, moment: datetime, now: datetime) -> str:
        """How long ago, of at most a month; before that the day."""
        passed = now - moment
        now_word, minutes, hours, days = _AGO[self.language]
        if passed < _MINUTE:
            return now_word
        if passed < _HOUR:
            return minutes.format(self.number(passed // _MINUTE))
        if passed < _DAY:
            return hours.format(self.number(passed // _HOUR))
        if passed < 31 * _DAY:
            return days.format(self.number(passed // _DAY))
        return self.day(moment)

    def phone(self, e164: str) -> str:
        """A number as people of the country write it."""
        if not e164.startswith("+98"):
            return self.digits(e164)
        local = f"0{e164[3:]}"
        return self.digits(f"{local[:4]} {local[4:7]} {local[7:]}")

    def _parts(self, when: date | datetime) -> tuple[int, int, int]:
        day = self._local(when).date() if isinstance(when, datetime) else when
        if self.calendar == "jalali":
            jalali = JalaliDate(day)  # type: ignore[no-untyped-call]
            return jalali.year, jalali.month, jalali.day
        return day.year, day.month, day.day
