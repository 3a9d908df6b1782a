"""What a guest's answer by SMS asks for. A pure function of its words: people type on many keyboards, and politely."""

import re
import unicodedata
from typing import Final, Literal

from shared.persian.text import latin_digits, search_key

Meaning = Literal["stop", "rejoin", "unclear", "nothing"]
# How many other words may stand beside a word of the line: whoever says it amid more of them means something else.
MOST_OTHER_WORDS: Final = 3


def _folded(words: str) -> frozenset[str]:
    return frozenset(search_key(words).split())


STOP: Final = _folded("لغو کنسل انصراف stop unsubscribe cancel")
REJOIN: Final = _folded("عضویت عضو start join subscribe unstop")
# A number alone is the line's word; beside other words it is a number (a table, an hour, so many guests).
STOP_NUMBERS: Final = _folded("11 یازده")
REJOIN_NUMBERS: Final = _folded("12 دوازده")
# Said to be polite, or to whom; they change nothing.
COURTESY: Final = _folded(
    "لطفا خواهشا خواهشمندم خواهش میکنم می کنم کنید کن بکنید بکن شود بشه بشود سلام درود ممنون مرسی متشکرم تشکر سپاس"
    " با را رو عزیز دوستان جان آقا خانم وقت بخیر اوکی بله please pls plz thanks thank you hi hello dear kindly the ok"
)
# With one of these it is about something else, or the opposite.
OTHER: Final = _folded(
    "سفارش سفارشم سفارشات رزرو رزروم میز ساعت قرار تولد مهمانی جلسه پرداخت فاکتور غذا"
    " نه نکن نکنید نکنین نکنی نکنم نشود نشه نشد نباید نمیخوام نمیخواهم شد شده چطور چرا چگونه کی اگر"
    " by in at don't dont not never no non order table booking reservation reserve meeting when how why if"
)
_WORDS: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+")


def read_reply(text: str) -> Meaning:
    """What the answer asks for: to stop, to be written to again, nothing (no words at all), or what only a person sees.

    A short answer that begins or ends with the word, whatever its spelling, asks for it. An answer that could mean
    something else is unclear: a person reads it.
    """
    words = [word for word in _words(text) if word not in COURTESY]
    if not words:
        return "unclear" if _words(text) else "nothing"
    stops = _asks(words, STOP, STOP_NUMBERS)
    rejoins = _asks(words, REJOIN, REJOIN_NUMBERS)
    if stops and not _says(words, REJOIN_NUMBERS):
        return "stop"
    if rejoins and not _says(words, STOP | STOP_NUMBERS):
        return "rejoin"
    return "unclear"


def _words(text: str) -> list[str]:
    # A joiner parts words here: many type it where others type a space.
    spaced = "".join(
        " " if letter == "\u200c" or unicodedata.category(letter)[0] in "SZC" else letter
        for letter in text.replace("\u2019", "'").replace("\u0640", "")
    )
    return _WORDS.findall(latin_digits(search_key(spaced)))


def _asks(words: list[str], names: frozenset[str], numbers: frozenset[str]) -> bool:
    if all(word in names | numbers for word in words):
        return True
    is_short = sum(word not in names | numbers for word in words) <= MOST_OTHER_WORDS
    begins_or_ends = words[0] in names or words[-1] in names
    return is_short and begins_or_ends and not _says(words, OTHER) and not _has_other_numbers(words, numbers)


def _says(words: list[str], any_of: frozenset[str]) -> bool:
    return any(word in any_of for word in words)


def _has_other_numbers(words: list[str], numbers: frozenset[str]) -> bool:
    return any(word.isdecimal() and word not in numbers for word in words)
