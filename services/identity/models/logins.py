"""Logins: spellings that look alike are one login, or are refused with what to do."""

import re
import unicodedata

from pydantic_core import PydanticCustomError

from shared.inputs.fields import fault
from shared.persian import phone
from shared.persian.text import latin_digits

_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)+")
_IN_NO_LOGIN = ("Cc", "Cs", "Co", "Cn", "Mn", "Me", "Zl", "Zp")


def canonical_login(typed: str) -> str:
    """An e-mail address in lower case, or a phone number as E.164. Folding what came out changes nothing.

    Full-width letters, Persian digits, invisible characters and a dot at the end are folded away. Letters of several
    alphabets in one word are refused: `а` of the Cyrillic alphabet looks like `a`.

    Raises:
        PydanticCustomError: it is neither, or can be mistaken for another.
    """
    address = _folded(typed)
    if not _EMAIL.fullmatch(address):
        try:
            return phone.canonical(typed)
        except phone.InvalidPhone:
            raise _neither() from None
    if any(_is_ambiguous(word) for word in (address.partition("@")[0], *address.partition("@")[2].split("."))):
        raise fault(
            "ambiguous_login",
            "letters of different alphabets look alike; write each part of the address in one alphabet",
            "حروف الفباهای گوناگون به هم می‌مانند؛ هر بخش نشانی را با یک الفبا بنویسید",
        )
    return address


def spellings(typed: str) -> list[str]:
    """The logins that may be meant, the likeliest first: as it is folded now, and as it was when older accounts began.

    Raises:
        PydanticCustomError: there is none.
    """
    found = []
    try:
        found.append(canonical_login(typed))
    except PydanticCustomError:
        if (earlier := _as_it_was(typed)) is None:
            raise
        return [earlier]
    earlier = _as_it_was(typed)
    return found if earlier in (None, *found) else [*found, str(earlier)]


def masked_login(login: str) -> str:
    """Enough to recognize one's own: `s•••@example.com`, `••••6789`."""
    name, at, domain = login.partition("@")
    return f"{name[:1]}•••@{domain}" if at else f"••••{phone.last_four(login)}"


def _folded(typed: str) -> str:
    # Twice, because what NFKC unfolds may hold what the first pass drops, and the other way round.
    folded = typed
    for _ in range(2):
        folded = unicodedata.normalize("NFKC", latin_digits(folded)).lower()
        folded = "".join(each for each in folded if unicodedata.category(each) != "Cf")
    return unicodedata.normalize("NFKC", folded).strip().rstrip(".").rstrip()


def _as_it_was(typed: str) -> str | None:
    address = unicodedata.normalize("NFKC", typed).strip().lower()
    readable = not any(unicodedata.category(each) in ("Cc", "Cs") for each in address)
    return address if readable and _EMAIL.fullmatch(address) else None


def _is_ambiguous(word: str) -> bool:
    if any(unicodedata.category(each) in _IN_NO_LOGIN for each in word):
        return True
    # The first word of a letter's name is its alphabet: LATIN SMALL LETTER A.
    return len({unicodedata.name(each, "?").split()[0] for each in word if each.isalpha()}) > 1


def _neither() -> PydanticCustomError:
    return fault("login", "neither an e-mail address nor a phone number", "نه نشانی ایمیل است و نه شمارهٔ تلفن")
