"""What pydantic finds wrong, in words that a person can act on, in both languages."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from shared.errors import Problem
from shared.persian.money import format_count

_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,60}|\[key\]")

# pydantic's error types in words a person can act on; anything else keeps pydantic's own sentence.
PERSIAN_REASONS = {
    "missing": "این فیلد لازم است",
    "extra_forbidden": "این فیلد شناخته نیست؛ آن را بردارید",
    "uuid_parsing": "باید یک شناسهٔ UUID باشد",
    "uuid_type": "باید یک شناسهٔ UUID باشد",
    "int_parsing": "باید عدد صحیح باشد",
    "int_type": "باید عدد صحیح باشد",
    "int_from_float": "باید عدد صحیح باشد",
    "decimal_parsing": "باید عدد باشد",
    "decimal_type": "باید عدد باشد (رشته یا عدد صحیح)",
    "decimal_max_digits": "عدد بیش از اندازه بزرگ است",
    "decimal_max_places": "بیش از دو رقم اعشار دارد",
    "decimal_whole_digits": "عدد بیش از اندازه بزرگ است",
    "greater_than_equal": "کوچک‌تر از اندازهٔ مجاز است",
    "greater_than": "کوچک‌تر از اندازهٔ مجاز است",
    "less_than_equal": "بزرگ‌تر از اندازهٔ مجاز است",
    "less_than": "بزرگ‌تر از اندازهٔ مجاز است",
    "string_too_long": "متن بیش از اندازه بلند است",
    "string_too_short": "متن بیش از اندازه کوتاه است",
    "string_type": "باید متن باشد",
    "string_pattern_mismatch": "شکل درستی ندارد",
    "literal_error": "مقدار مجاز نیست",
    "union_tag_invalid": "مقدار مجاز نیست",
    "union_tag_not_found": "این فیلد لازم است",
    "model_attributes_type": "باید یک شیء باشد",
    "enum": "مقدار مجاز نیست",
    "datetime_parsing": "باید تاریخ و ساعت با منطقهٔ زمانی باشد، مانند 2026-11-24T18:30:00+03:30",
    "datetime_from_date_parsing": "باید تاریخ و ساعت با منطقهٔ زمانی باشد، مانند 2026-11-24T18:30:00+03:30",
    "timezone_aware": "منطقهٔ زمانی لازم است، مانند +03:30",
    "date_parsing": "باید تاریخ باشد، مانند 2026-11-24",
    "bool_parsing": "باید true یا false باشد",
    "bool_type": "باید true یا false باشد",
    "too_long": "بیش از اندازه است",
    "too_short": "کمتر از اندازه است",
    "json_invalid": "JSON درستی نیست",
    "list_type": "باید فهرست باشد",
    "dict_type": "باید یک شیء باشد",
    "model_type": "باید یک شیء باشد",
}


# Where pydantic keeps the limit that was passed, and how it is said.
LIMITS = {
    "ge": "دست‌کم {}",
    "gt": "بزرگ‌تر از {}",
    "le": "حداکثر {}",
    "lt": "کوچک‌تر از {}",
    "max_length": "حداکثر {}",
    "min_length": "دست‌کم {}",
}


def _persian(kind: str, context: Mapping[str, Any]) -> str:
    if "fa" in context:
        return str(context["fa"])
    reason = PERSIAN_REASONS.get(kind, "مقدار درست نیست")
    limits = [
        words.format(format_count(int(limit)))
        for name, words in LIMITS.items()
        if isinstance(limit := context.get(name), (int, Decimal)) and limit == int(limit)
    ]
    return "؛ ".join([reason, *limits])


def problems_of(errors: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """pydantic's errors as problems that name the field and the fix in both languages, without the offending value."""
    return [
        Problem(
            field=".".join(_named(part) for part in error["loc"] if part not in ("body", "query", "path")) or "body",
            code=str(error["type"]),
            en=str(error["msg"]).removeprefix("Value error, "),
            fa=_persian(error["type"], error.get("ctx") or {}),
        )
        for error in errors
    ]


def _named(part: int | str) -> str:
    # Keys that a sender made up are values too.
    return str(part) if isinstance(part, int) or _PLAIN.fullmatch(part) else "?"
