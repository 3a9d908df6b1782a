"""How many messages an operator bills for a text."""

from typing import Final

# 3GPP TS 23.038, basic table; the second group takes two places each.
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_DOUBLE: Final = frozenset("\f^{}\\[~]|€")
_GSM_SINGLE_PART, _GSM_PART = 160, 153
_UCS2_SINGLE_PART, _UCS2_PART = 70, 67


def count_parts(text: str) -> int:
    """Parts of one message: Latin 160 (153 each when split), anything else 70 (67 each when split).

    A character of two places is never torn apart, so a part may end one place early.
    """
    if all(letter in _GSM or letter in _GSM_DOUBLE for letter in text):
        sizes = [2 if letter in _GSM_DOUBLE else 1 for letter in text]
        return _fill(sizes, _GSM_SINGLE_PART, _GSM_PART)
    return _fill([2 if ord(letter) > 0xFFFF else 1 for letter in text], _UCS2_SINGLE_PART, _UCS2_PART)


def _fill(sizes: list[int], single: int, part: int) -> int:
    if sum(sizes) <= single:
        return 1
    parts, room = 1, part
    for size in sizes:
        if size > room:
            parts, room = parts + 1, part
        room -= size
    return parts
