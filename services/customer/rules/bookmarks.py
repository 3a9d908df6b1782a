"""Where a list goes on, as one word that whoever asks gives back as it was."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec

from services.customer.models.values import Bookmark, Direction, GuestSort
from shared.errors import Problem, Rejected

_MOMENT: Final = r"-?infinity|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?\+00"
# What PostgreSQL writes of each key, and no more digits than it reads.
_KEYS: Final[Mapping[GuestSort, re.Pattern[str]]] = {
    "last_visit": re.compile(_MOMENT),
    "points": re.compile("-?[0-9]{1,18}"),
    "spent": re.compile(r"-?[0-9]{1,28}(\.[0-9]{1,2})?"),
    "visits": re.compile("-?[0-9]{1,9}"),
    "created": re.compile(_MOMENT),
}


def written(sort: GuestSort, direction: Direction, bookmark: Bookmark) -> str:
    """The word for a bookmark in a list of that order."""
    parts = (sort, direction, bookmark.key, bookmark.customer_id.hex)
    return urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def read(word: str, sort: GuestSort, direction: Direction) -> Bookmark:
    """The bookmark again.

    Raises:
        Rejected: status 422 when the word is not of a list of that order.
    """
    try:
        parts = msgspec.json.decode(urlsafe_b64decode(word + "=" * (-len(word) % 4)), type=tuple[str, str, str, str])
        bookmark = Bookmark(parts[2], UUID(parts[3]))
    except (ValueError, msgspec.MsgspecError) as error:
        raise _no_bookmark() from error
    if parts[:2] != (sort, direction) or not _KEYS[sort].fullmatch(bookmark.key):
        raise _no_bookmark()
    return bookmark


def _no_bookmark() -> Rejected:
    said = "is not what a list of this order answered", "پاسخ فهرستی با این ترتیب نیست"
    return Rejected(
        "invalid_input",
        "Some fields are not right.",
        "برخی فیلدها درست نیستند.",
        problems=[Problem("after", "no_bookmark", *said)],
    )
