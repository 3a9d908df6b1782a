"""Whom a campaign may be for: segments that its cafe has."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from services.campaign.audience.models.values import KnownSegments
from services.campaign.texts.models.values import Remark
from shared.errors import Problem, Rejected

# Every cafe has these from its first moment, before anybody is told of them; they can be switched off, and not deleted.
OF_EVERY_CAFE: Final = frozenset({"new_customers", "regular_customers", "vip_customers"})
GONE: Final = "segment_gone"
# After its date; nobody wants it later.
CAMPAIGN_LIVES: Final = timedelta(days=2)
# An approval that comes later than this finds the occasion gone, or, without a date, nobody who remembers.
OVERDUE: Final = timedelta(minutes=15)
FORGOTTEN: Final = timedelta(days=7)
FAILURES: Final[Mapping[str, Remark]] = {
    GONE: Remark(
        code=GONE,
        en="A segment it was for is not there any more, or is switched off; nothing was sent. Write it anew.",
        fa="بخشی که این کمپین برای آن بود دیگر نیست یا غیرفعال است؛ چیزی فرستاده نشد. آن را دوباره بنویسید.",
    )
}


def segments_of(target: Mapping[str, Any]) -> list[str] | None:
    """The keys of a stored target; None is everybody."""
    keys: list[str] | None = target.get("segments")
    return keys


def is_overdue(campaign: Mapping[str, Any], moment: datetime) -> bool:
    """Whether the date of a scheduled campaign is so long past that the occasion is gone."""
    patience = FORGOTTEN if campaign["at_once"] else OVERDUE
    return bool(campaign["scheduled_date"] < moment - patience)


def lapses_at(campaign: Mapping[str, Any]) -> datetime | None:
    """Until when its messages may leave; None before it has a date, and for those of journeys."""
    date: datetime | None = campaign["scheduled_date"]
    return None if date is None or campaign["journey_id"] is not None else date + CAMPAIGN_LIVES


def missing_segments(wanted: Sequence[str], known: KnownSegments) -> list[str]:
    """Those of the wanted keys that are no segment of the cafe, or one that is switched off."""
    there = {*known.keys, *known.with_members, *OF_EVERY_CAFE} - set(known.off_keys)
    return [key for key in wanted if key not in there]


def require_segments(wanted: Sequence[str], known: KnownSegments) -> None:
    """Does nothing when the cafe has all of them.

    Raises `Rejected` (422), which names those that are missing, and those that there are.
    """
    missing = missing_segments(wanted, known)
    if missing:
        there = ", ".join(sorted({*known.keys, *OF_EVERY_CAFE} - set(known.off_keys)))
        problems = [_problem(wanted.index(key), key, there, is_off=key in known.off_keys) for key in missing]
        raise Rejected("target", "The target is not right.", "مخاطبان درست نیستند.", problems=problems)


def _problem(place: int, key: str, there: str, *, is_off: bool) -> Problem:
    where = f"target.segments.{place}"
    if is_off:
        return Problem(
            where,
            "segment_off",
            f"The segment {key} is switched off and holds nobody; switch it on first.",
            f"بخش {key} غیرفعال است و کسی در آن نیست؛ نخست آن را فعال کنید.",
        )
    return Problem(
        where,
        "unknown_segment",
        f"There is no segment {key}; there is: {there}. A new one is known here after a few seconds.",
        f"بخشی با کلید {key} نیست؛ بخش‌های موجود: {there}. بخش تازه پس از چند ثانیه شناخته می‌شود.",
    )
