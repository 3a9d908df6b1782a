"""What became of a campaign's messages, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# What each check, and each of those who take a message back, is called in a sentence: English, Persian.
REASONS: Final[Mapping[str, tuple[str, str]]] = {
    "broken": ("It could not be decided about.", "دربارهٔ آن نمی‌شد تصمیم گرفت."),
    "budget": ("The budget does not hold it.", "بودجه کافی نبود."),
    "cafe": ("The cafe is not active.", "کافه فعال نیست."),
    "campaign": ("The campaign was cancelled or switched off.", "کمپین لغو یا غیرفعال شد."),
    "complaint": ("The guest waits for an answer to a complaint.", "مهمان در انتظار پاسخ به شکایت است."),
    "consent": ("The guest has not agreed to such messages.", "مهمان به این پیام‌ها رضایت نداده است."),
    "contact": ("The guest has no mobile number.", "شمارهٔ همراه مهمان معلوم نیست."),
    "erased": ("The guest was erased.", "مهمان پاک شده است."),
    "expiry": ("It was too late for it.", "زمان آن گذشته بود."),
    "frequency_cap": ("The guest has had enough messages that day.", "مهمان آن روز به اندازهٔ کافی پیام گرفته بود."),
    "left_segment": ("The guest is no longer in the segment.", "مهمان دیگر در بخش نیست."),
    "line": ("The guest had our line blocked.", "مهمان خط ما را بسته است."),
    "paused": ("The campaign rested until it was too late.", "کمپین تا گذشتن زمان پیام متوقف بود."),
    "outcome_unknown": ("Whether it was sent is not known.", "معلوم نیست که فرستاده شده باشد."),
    "provider": ("No account could send it in time.", "هیچ حسابی به‌موقع نتوانست آن را بفرستد."),
    "quiet_hours": ("Quiet hours lasted longer than anybody wants it.", "ساعت سکوت بیش از عمر پیام بود."),
    "status": ("The guest is inactive or blocked.", "مهمان غیرفعال یا مسدود است."),
    "text": ("The text is empty, too long, or has double braces left.", "متن خالی، بلند یا دارای آکولاد است."),
    "visit_voided": ("The visit was voided.", "بازدید باطل شد."),
    "blocked_by_guest": ("The guest had our line blocked when it came.", "مهمان خط ما را بسته بود."),
    "unknown": ("Nobody said why.", "دلیلی گفته نشد."),
}
_OTHER: Final = ("The provider refused it with code {}.", "ارائه‌دهنده آن را با کد {} نپذیرفت.")


@dataclass(frozen=True)
class Sentences:
    """One sentence in both languages."""

    en: str
    fa: str


@dataclass(frozen=True)
class Ended:
    """Messages that were not sent, or not delivered, for one reason."""

    outcome: str
    reason: str
    messages: int
    en: str
    fa: str


@dataclass(frozen=True)
class Results:
    """Everybody whom a campaign was for: `recipients` is the sum of the other four."""

    recipients: int
    sent: int
    failed: int
    skipped: int
    waiting: int
    reasons: Sequence[Ended]


def results_of(campaign: Mapping[str, Any], ended: Sequence[Mapping[str, Any]]) -> Results | None:
    """The results of a campaign; None for one from before they were counted that is still to be counted."""
    if not campaign["is_counted"]:
        return None
    sums = {outcome: sum(each["messages"] for each in ended if each["outcome"] == outcome) for outcome in _OUTCOMES}
    recipients, sent = campaign["recipients"], campaign["messages_sent"]
    return Results(
        recipients=recipients,
        sent=sent,
        failed=sums["failed"],
        skipped=sums["skipped"],
        waiting=recipients - sent - sums["failed"] - sums["skipped"],
        reasons=[ended_of(**each) for each in ended],
    )


_OUTCOMES: Final = ("failed", "skipped")


def explained(reason: str) -> Sentences:
    """What a reason is called: a check's, or a provider's code."""
    return Sentences(*(REASONS.get(reason) or (words.format(reason) for words in _OTHER)))


def in_both(reason: str | None) -> dict[str, str | None]:
    """The same as fields of a view, empty without a reason."""
    words = explained(reason) if reason else None
    return {"en": words.en if words else None, "fa": words.fa if words else None}


def ended_of(outcome: str, reason: str, messages: int) -> Ended:
    """So many messages that ended so, with the reason in words."""
    words = explained(reason)
    return Ended(outcome, reason, messages, words.en, words.fa)
