"""Where a list of a campaign's messages goes on, as one word that whoever asks gives back as it was."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import msgspec

from services.campaign.campaigns.models.values import MessageBookmark
from shared.errors import Problem, Rejected
from shared.inputs.fields import UNSTORABLE

_LONGEST_REASON = 50


def written(bookmark: MessageBookmark, status: str | None, reason: str | None) -> str:
    """The word for a bookmark in the list of that state and reason."""
    parts = (status, reason, bookmark.reason, bookmark.customer_id.hex)
    return urlsafe_b64encode(msgspec.json.encode(parts)).decode().rstrip("=")


def read(word: str, status: str | None, reason: str | None) -> MessageBookmark:
    """The bookmark again.

    Raises:
        Rejected: status 422 when the word is not of that list.
    """
    try:
        padded = word + "=" * (-len(word) % 4)
        parts = msgspec.json.decode(urlsafe_b64decode(padded), type=tuple[str | None, str | None, str, str])
        bookmark = MessageBookmark(parts[2], UUID(parts[3]))
    except (ValueError, msgspec.MsgspecError) as error:
        raise _no_bookmark() from error
    if parts[:2] != (status, reason) or len(bookmark.reason) > _LONGEST_REASON or UNSTORABLE.search(bookmark.reason):
        raise _no_bookmark()
    return bookmark


def _no_bookmark() -> Rejected:
    said = "is not what this list answered", "پاسخ این فهرست نیست"
    return Rejected(
        "invalid_input",
        "Some fields are not right.",
        "برخی فیلدها درست نیستند.",
        problems=[Problem("after", "no_bookmark", *said)],
    )
