"""What the fields of a form may hold; the APIs say whether it is right."""

import re
from datetime import date, datetime, time
from typing import Annotated, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Form
from pydantic import TypeAdapter, ValidationError

from services.console.models.http import VisitFilter
from services.console.store.upstream import RefusedCall, RefusedField
from shared.inputs.fields import Day
from shared.persian.calendar import day_bounds
from shared.persian.text import latin_digits

Typed = Annotated[str, Form(max_length=300)]
Prose = Annotated[str, Form(max_length=2000)]
FormId = Annotated[UUID, Form()]

_DAYS: Final = TypeAdapter(Day)
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3])[:٫.]?([0-5]\d)?")


def visits_wanted(asked: VisitFilter, zone: str) -> dict[str, Any]:
    """What the visit service is asked for.

    Raises:
        RefusedCall: status 422 for what is no day and no branch.
    """
    wanted: dict[str, Any] = {"customer_id": asked.guest, "with_voided": asked.voided or None}
    wanted |= {"receipt_number": asked.receipt.strip() or None, "unknown_guest": asked.nameless or None}
    if asked.since:
        wanted["since"] = day_bounds(typed_day("since", asked.since), zone)[0].isoformat()
    if asked.until:
        wanted["before"] = day_bounds(typed_day("until", asked.until), zone)[1].isoformat()
    if asked.before:
        wanted |= {"before": asked.before, "before_id": asked.before_id}
    if asked.branch:
        wanted["branch_id"] = asked.branch
    return wanted


def typed_day(field: str, typed: str) -> date:
    """The day that somebody typed, in any digits and either calendar.

    Raises:
        RefusedCall: status 422; it names the field and says how a day is written.
    """
    try:
        return _DAYS.validate_python(typed.strip())
    except ValidationError as error:
        wrong = error.errors()[0]
        raise _wrong(field, wrong["msg"], wrong["ctx"]["fa"]) from None


def typed_moment(day_field: str, day: str, clock_field: str, clock: str, zone: str) -> datetime:
    """The moment of a typed day and a typed clock time on the wall of a cafe in that time zone.

    Raises:
        RefusedCall: status 422; it names the field and says how it is written.
    """
    found = _CLOCK.fullmatch(latin_digits(clock).strip())
    if found is None:
        raise _wrong(clock_field, "Write a time, as 18:30.", "ساعت را مانند ۱۸:۳۰ بنویسید.")
    wall = time(int(found[1]), int(found[2] or 0))
    return datetime.combine(typed_day(day_field, day), wall, ZoneInfo(zone))


def _wrong(field: str, en: str, fa: str) -> RefusedCall:
    return RefusedCall(422, "validation_error", en, fa, (RefusedField(field, en, fa),), 0)
