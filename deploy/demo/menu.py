"""What the demo's cafe serves and what its guests are called: the data set knows products and households by number."""

import zlib
from dataclasses import replace
from typing import Final

from deploy.demo.dataset import Basket, Line

MENU: Final = {
    "قهوه": ("اسپرسو", "لاته", "کاپوچینو", "موکا", "قهوهٔ ترک", "آمریکانو", "آفوگاتو", "قهوهٔ دمی"),
    "نوشیدنی گرم": ("چای ماسالا", "چای ایرانی", "دمنوش به‌لیمو", "هات‌چاکلت", "چای کرک"),
    "نوشیدنی سرد": ("آیس لاته", "لیموناد", "شربت خاکشیر", "موهیتو", "اسموتی توت‌فرنگی", "کلد برو"),
    "کیک و شیرینی": ("کیک شکلاتی", "چیزکیک", "کوکی", "کیک هویج", "باقلوا", "کروسان"),
    "صبحانه": ("املت", "نیمرو", "پنیر و گردو", "عدسی", "پنکیک"),
    "خوراک": ("پاستا آلفردو", "سالاد سزار", "ساندویچ مرغ", "سیب‌زمینی", "پیتزا مارگریتا"),
}
_SERVED: Final = tuple((name, category) for category, names in MENU.items() for name in names)
_FIRST: Final = (
    "سارا", "نسرین", "مینا", "فاطمه", "زهرا", "مریم", "نگار", "الهام", "پریسا", "شیرین", "لیلا", "آرزو", "سحر",
    "نازنین", "ترانه", "رضا", "علی", "محمد", "حسین", "امیر", "مهدی", "سینا", "آرش", "بهرام", "کاوه", "نیما", "پویا",
)  # fmt: skip
_LAST: Final = (
    "احمدی", "محمدی", "حسینی", "رضایی", "کاظمی", "موسوی", "کریمی", "جعفری", "رحیمی", "صادقی", "قاسمی", "نوری", "اکبری",
    "عباسی", "یزدانی", "شریفی", "فرهادی", "بهرامی", "سلطانی", "زمانی", "رستمی", "امینی", "پارسا", "جلالی",
)  # fmt: skip


def name_of(household_id: int) -> str | None:
    """What the till knows a guest by; one in eight never said."""
    if household_id % 8 == 0:
        return None
    mixed = zlib.crc32(str(household_id).encode())
    return f"{_FIRST[mixed % len(_FIRST)]} {_LAST[mixed // len(_FIRST) % len(_LAST)]}"


def served(basket: Basket) -> Basket:
    """The same bill in this cafe's words: amounts, times and guests stay."""
    lines = tuple(_line(line) for line in basket.lines)
    return replace(basket, guest_name=name_of(basket.household_id), lines=lines)


def _line(line: Line) -> Line:
    name, category = _SERVED[zlib.crc32(line.name.encode()) % len(_SERVED)]
    return replace(line, name=name, category=category)
