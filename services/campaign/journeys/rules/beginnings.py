"""Why a journey did not begin for a guest, or ended before its message, in words."""

from collections.abc import Mapping
from typing import Final

TwoLanguages = tuple[str, str]
# What became of a way through a journey that led to no message: English, Persian.
OF_RUNS: Final[Mapping[str, TwoLanguages]] = {
    "claimed": ("The visit was given to the guest later.", "این بازدید بعدتر به نام مهمان ثبت شد."),
    "entered_before": ("The journey has taken the guest before.", "این مسیر پیام پیش‌تر برای مهمان آغاز شده است."),
    "erased": ("The guest was erased.", "مهمان پاک شده است."),
    "journey_disabled": ("The journey was switched off.", "مسیر پیام غیرفعال شد."),
    "too_late": ("It was told of too late.", "خبر آن دیر رسید."),
    "visit_voided": ("The visit was voided.", "بازدید باطل شد."),
}
# By what a guest came into a segment.
BY: Final[Mapping[str, TwoLanguages]] = {
    "definition": ("a changed definition", "تغییر تعریف بخش"),
    "feedback": ("a rating", "ثبت نظر"),
    "points": ("points", "تغییر امتیاز"),
    "profile": ("a change of the profile", "تغییر مشخصات"),
    "rebuild": ("a recount", "بازشماری"),
    "registered": ("being registered by staff", "ثبت به دست کارکنان"),
    "tier": ("a change of tier", "تغییر سطح"),
    "time": ("the passing of time", "گذشت زمان"),
    "unknown": ("what was not kept then", "علتی که آن زمان ثبت نمی‌شد"),
    "visit": ("a visit", "بازدید"),
    "visit_corrected": ("a corrected bill", "اصلاح صورت‌حساب"),
    "visit_voided": ("a voided bill", "ابطال صورت‌حساب"),
}


def of_run(reason: str | None) -> dict[str, str | None]:
    """Why a way through a journey led to no message; nothing where it did, or still may."""
    en, fa = OF_RUNS.get(reason or "", (None, None))
    return {"en": en, "fa": fa}


def not_begun(reason: str) -> dict[str, str]:
    """Why a stay in a segment began no journey."""
    en, fa = BY.get(reason) or BY["unknown"]
    return {
        "en": f"The guest came into the segment by {en}, which did not begin the journey.",
        "fa": f"مهمان با {fa} وارد بخش شد و این، مسیر پیام را آغاز نکرد.",
    }
