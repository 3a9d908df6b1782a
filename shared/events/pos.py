"""The contract of the till: one body for the topic `pos.visits` and for `POST /visits`.

On Kafka the header `ce_type` says which of the three bodies a record holds. JSON is read once, and money never passes
through a binary float: a number may be written as a string or as a JSON number, both are read digit by digit.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Self, TypeVar
from uuid import UUID

import msgspec
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainValidator,
    StrictBool,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from shared.clock import now
from shared.events.base import CurrencyUnit
from shared.inputs.bounds import MOST_OF_UNIT, MOST_POINTS, MOST_RIAL, exact, too_much
from shared.inputs.fields import LARGEST_INTEGER, Free, Identifier, Moments, Phones, Words, fault
from shared.persian.phone import InvalidPhone, canonical
from shared.persian.text import latin_digits

PaymentMethod = Literal["cash", "card", "online", "points", "mixed"]

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
FURTHEST_AHEAD: Final = timedelta(hours=24)
MOST_ITEMS: Final = 500
ATTRIBUTES_BYTES: Final = 8192
ATTRIBUTES_DEPTH: Final = 5
# Devices with this name belong to visits that people enter by hand.
RESERVED_DEVICE: Final = "staff:"

_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d")
_MOST_PIECES: Final = 1_000_000
_CENT: Final = Decimal("0.01")
_GRAM: Final = Decimal("0.001")


def _device(text: str) -> str:
    if text.startswith(RESERVED_DEVICE):
        raise fault(
            "reserved_device",
            f"Device ids that start with '{RESERVED_DEVICE}' are kept for visits entered by people.",
            "شناسهٔ دستگاه با «staff:» برای بازدیدهای دستی کنار گذاشته شده است.",
        )
    return text


def no_refund(code: str, en: str, fa: str) -> PydanticCustomError:
    """Somebody sends a bill below zero to give money back: what a bill has for that are its correction and its void."""
    return fault(
        code,
        f"{en} A bill gives nothing back: correct it as it should have been (POST /visits/corrections,"
        " pos.visit_corrected), or take it back whole (POST /visits/voids, pos.visit_voided; by hand"
        " POST /cafes/{cafe_id}/visits/{visit_id}/void).",
        f"{fa} بازگشت پول صورت‌حساب منفی ندارد: اصلاحیهٔ همان صورت‌حساب را بفرستید (POST /visits/corrections،"
        " pos.visit_corrected) یا آن را باطل کنید (POST /visits/voids، pos.visit_voided؛ دستی"
        " POST /cafes/{cafe_id}/visits/{visit_id}/void).",
    )


# Stripped, not refused: a control character in a dish's name is the till's noise, and no reason to lose a visit.
@dataclass(frozen=True)
class _Shown(Words):
    """Words that come with every visit, such as dishes and waiters: each field remembers its own."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(lru_cache(maxsize=8192)(self.read), handler(source))


@dataclass(frozen=True)
class _Named(_Shown):
    """The same where a text is needed."""

    def read(self, value: Any) -> Any:
        name = super().read(value)
        if name is None:
            raise fault("blank", "A name needs at least one visible character.", "نام نباید خالی باشد.")
        return name

    def document(self) -> dict[str, Any]:
        return {"type": "string", "maxLength": self.most}


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _once_for_each(read: Callable[[Any], Decimal]) -> Callable[[Any], Decimal]:
    """The reader with a memory: a menu has few prices, and reading digits anew was half the cost of a bill."""
    remembered = lru_cache(maxsize=16384)(read)

    def recall(value: Any) -> Decimal:
        is_short = len(value) <= 20 if type(value) is str else type(value) is int and abs(value) <= MOST_RIAL
        return remembered(value) if is_short else read(value)

    return recall


@_once_for_each
def _money(value: Any) -> Decimal:
    number = exact(value)
    cents = number.quantize(_CENT)
    if cents != number:
        raise fault("two_decimals", "At most two decimals.", "حداکثر دو رقم اعشار.")
    return cents + 0  # no negative zero


def _amount(value: Any) -> Decimal:
    amount = _money(value)
    if amount < 0:
        raise no_refund("negative", "Not below zero.", "نباید منفی باشد.")
    return amount


@_once_for_each
def _quantity(value: Any) -> Decimal:
    number = exact(value)
    if number < 0:
        raise no_refund("quantity", "Above zero.", "باید بزرگ‌تر از صفر باشد.")
    if not 0 < number <= _MOST_PIECES or number.quantize(_GRAM) != number:
        raise fault(
            "quantity",
            "Above zero, at most a million, with at most three decimals.",
            "بزرگ‌تر از صفر، حداکثر یک میلیون، با حداکثر سه رقم اعشار.",
        )
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()


def _not_back(value: Any) -> Any:
    if type(value) is int and value < 0:
        raise no_refund("greater_than_equal", "At least 0.", "دست‌کم ۰ باید باشد.")
    return value


@dataclass(frozen=True)
class _TillPhones(Phones):
    """A number of any spelling; a blank one is none."""

    def read(self, value: Any) -> Any:
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            try:
                return canonical(str(value)[:64])
            except InvalidPhone:
                pass
        raise fault(
            "phone",
            "Not a phone number. Any spelling of one will do; leave the field out when the guest gave none.",
            "شمارهٔ تلفن درست نیست. هر شکل نوشتن پذیرفته است؛ اگر مهمان شماره نداد، این فیلد را نفرستید.",
        )

    def document(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, {"type": "null"}]}


@dataclass(frozen=True)
class _TillMoments(Moments):
    """Tills send Gregorian dates only: a wrong calendar there is a wrong setting, not somebody's habit."""

    def read(self, value: Any) -> Any:
        if isinstance(value, datetime):
            return value
        if isinstance(value, str) and len(value) <= 40 and _MOMENT.match(digits := latin_digits(value)):
            return digits
        raise fault(
            "moment",
            "Send date and time with a time zone in the Gregorian calendar, such as 2026-11-24T18:30:00+03:30.",
            "تاریخ و ساعت میلادی با منطقهٔ زمانی بفرستید، مانند 2026-11-24T18:30:00+03:30.",
        )

    def document(self) -> dict[str, Any]:
        return {"type": "string", "format": "date-time"}


def _within_reach(value: datetime) -> datetime:
    if value.year < EARLIEST.year:
        raise fault(
            "too_early",
            "Not before the year 2000, in the Gregorian calendar.",
            "تاریخ باید میلادی و از سال ۲۰۰۰ به بعد باشد.",
        )
    if value > now() + FURTHEST_AHEAD:
        raise fault(
            "in_the_future",
            "More than 24 hours in the future; check the clock of the till.",
            "بیش از ۲۴ ساعت در آینده است؛ ساعت صندوق را بررسی کنید.",
        )
    return value.astimezone(UTC)


TillDevice = Annotated[Identifier, AfterValidator(_device)]


def _exact(least: int, most: int, decimals: int) -> WithJsonSchema:
    """As people read it: digits in a string, or a number between both."""
    sign, digits = "[+-]?" if least < 0 else "[+]?", len(str(most))
    text = {"type": "string", "pattern": rf"^{sign}\d{{1,{digits}}}(\.\d{{1,{decimals}}})?$"}
    return WithJsonSchema({"anyOf": [text, {"type": "number", "minimum": least, "maximum": most}]})


# At most so much in Rial; a bill in Toman is held to a tenth of it as a whole.
TillMoney = Annotated[Decimal, PlainValidator(_money), _exact(-MOST_RIAL, MOST_RIAL, 2)]
TillAmount = Annotated[Decimal, PlainValidator(_amount), _exact(0, MOST_RIAL, 2)]
Quantity = Annotated[Decimal, PlainValidator(_quantity), _exact(0, _MOST_PIECES, 3)]
TillPhone = Annotated[str | None, _TillPhones()]
TillMoment = Annotated[AwareDatetime, _TillMoments(), AfterValidator(_within_reach)]
DeviceSequence = Annotated[int, Field(strict=True, ge=0, le=LARGEST_INTEGER)]
Attributes = Annotated[dict[str, Any], Free(ATTRIBUTES_BYTES, ATTRIBUTES_DEPTH, cleans=True)]


class _Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PosItem(_Contract):
    """One line of the bill. `amount` is of the whole line and may be negative: a discount of one line."""

    name: Annotated[str, _Named(200)]
    quantity: Quantity = Decimal(1)
    amount: TillMoney | None = None
    sku: Annotated[Identifier | None, BeforeValidator(_blank_is_none)] = None
    category: Annotated[str | None, _Shown(100)] = None


def _with_both_shapes(schema: dict[str, Any]) -> None:
    lines = schema["properties"]["items"]
    shape = {
        "type": "object",
        "properties": {"total_items": schema["properties"]["total_items"], "items": dict(lines)},
        "additionalProperties": False,
    }
    schema["properties"]["items"] = {"anyOf": [dict(lines), shape], "default": []}


class VisitBody(_Contract):
    """What a bill says, whoever enters it.

    `phone` may be written in any way. `items` may also be the object `{"total_items": n, "items": [...]}`. Amounts are
    in `currency_unit`, IRT (Toman) or IRR (Rial). `attributes` stay with the visit, sealed like the notes, and go when
    its guest is erased.

    `marketing_consent` false is a no, on whichever bill. True alone is a tick that stands on each bill: it counts only
    while the guest has answered nothing else, and never brings back who said no. When the guest was asked for this very
    answer, send the moment as `consent_asked_at`: then it counts like any answer, the latest one. A moment that lies
    ahead counts as the moment at which the bill came.
    """

    model_config = ConfigDict(json_schema_extra=_with_both_shapes)

    branch: Annotated[Identifier | None, BeforeValidator(_blank_is_none)] = None
    phone: TillPhone = None
    guest_name: Annotated[str | None, Words(100)] = None
    marketing_consent: StrictBool | None = None
    consent_asked_at: TillMoment | None = None
    occurred_at: TillMoment
    items: Annotated[list[PosItem], Field(max_length=MOST_ITEMS)] = []
    total_items: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] | None = None
    total: TillAmount
    discount: TillAmount = Decimal("0.00")
    currency_unit: CurrencyUnit
    payment_method: PaymentMethod | None = None
    points_to_redeem: Annotated[int, Field(strict=True, ge=0, le=MOST_POINTS), BeforeValidator(_not_back)] = 0
    redemption_id: UUID | None = None
    table_number: Annotated[str | None, _Shown(10)] = None
    server_name: Annotated[str | None, _Shown(100)] = None
    service_duration: Annotated[int, Field(strict=True, ge=0, le=10_080, description="minutes")] | None = None
    notes: Annotated[str | None, Words(2000)] = None
    # As a plain default it would be copied deeply for every bill.
    attributes: Annotated[Attributes, Field(default_factory=dict, json_schema_extra={"default": {}})]

    @model_validator(mode="before")
    @classmethod
    def _one_shape_of_items(cls, body: Any) -> Any:
        shape = body.get("items") if isinstance(body, dict) else None
        if not isinstance(shape, dict):
            return body
        if set(shape) - {"items", "total_items"} or "total_items" in body:
            raise fault(
                "items_shape",
                "items is a list of lines, or an object of total_items and items.",
                "items فهرست سطرهاست، یا شیئی با total_items و items.",
            )
        return {**body, "items": shape.get("items", []), "total_items": shape.get("total_items")}

    @field_validator("discount")
    @classmethod
    def _discount_within_total(cls, discount: Decimal, info: ValidationInfo) -> Decimal:
        if "total" in info.data and discount > info.data["total"]:
            raise fault("discount_above_total", "The discount is above the total.", "تخفیف از جمع کل بیشتر است.")
        return discount

    @model_validator(mode="after")
    def _asked_for_an_answer(self) -> Self:
        if self.consent_asked_at and self.marketing_consent is None:
            why = fault(
                "asked_without_answer",
                "Say what the guest answered: send marketing_consent as well, or leave this field out.",
                "پاسخ مهمان را هم در marketing_consent بفرستید، یا این فیلد را نفرستید.",
            )
            found = InitErrorDetails(type=why, loc=("consent_asked_at",), input=None)
            raise ValidationError.from_exception_data(type(self).__name__, [found], hide_input=True)
        return self

    @model_validator(mode="after")
    def _within_the_bound_of_its_unit(self) -> Self:
        most = MOST_OF_UNIT[self.currency_unit]
        # The discount is no more than the total.
        if self.total > most:
            raise _too_much_at("total", of=self)
        for place, line in enumerate(self.items):
            if line.amount is not None and not -most <= line.amount <= most:
                raise _too_much_at("items", place, "amount", of=self)
        return self

    @field_validator("points_to_redeem")
    @classmethod
    def _points_have_a_guest(cls, points: int, info: ValidationInfo) -> int:
        if points and info.data.get("phone", "") is None:
            raise fault(
                "points_without_guest",
                "Points belong to a guest: send the phone as well.",
                "امتیاز از آن مهمان است؛ شمارهٔ تلفن را هم بفرستید.",
            )
        return points


def _too_much_at(*where: str | int, of: VisitBody) -> ValidationError:
    found = InitErrorDetails(type=too_much(), loc=where, input=None)
    return ValidationError.from_exception_data(type(of).__name__, [found], hide_input=True)


class PosVisit(VisitBody):
    """One bill of one visit.

    `receipt_number` is unique per device for ever: a till that starts its numbering again every day puts the business
    date before the number (`20261124-17`). `device_sequence` counts everything the device sends and never restarts;
    numbers missing between the lowest and the highest one that came are noticed, in whatever order they come. Numbers
    below the lowest one that ever came are not missed: a device may begin anywhere.
    """

    device_id: TillDevice
    device_sequence: DeviceSequence | None = None
    receipt_number: Identifier


class PosCorrection(PosVisit):
    """The bill as it should have been, whole, under its device and receipt. The latest `corrected_at` wins.

    The guest must be the one of the record: to move a bill to another guest, void it and record it under a new number.
    A bill of nobody becomes the guest's whom a correction names within 7 days of the visit: the first one that is
    heard, for good. Later corrections of it may name that guest or nobody.
    """

    corrected_at: TillMoment


class PosVoid(_Contract):
    """The bill of this device and receipt never was. It can't be brought back."""

    device_id: TillDevice
    device_sequence: DeviceSequence | None = None
    receipt_number: Identifier
    voided_at: TillMoment
    reason: Annotated[str | None, Words(500)] = None


# ce_type of a record on `pos.visits` -> its body.
BODIES: Final[Mapping[str, type[PosVisit] | type[PosVoid]]] = {
    "pos.visit_recorded": PosVisit,
    "pos.visit_corrected": PosCorrection,
    "pos.visit_voided": PosVoid,
}

B = TypeVar("B", bound=BaseModel)


def _exactly(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        # An exponent beyond what Decimal holds: no number to us, so the rules of its field refuse it by name.
        return Decimal("NaN")


_json = msgspec.json.Decoder(float_hook=_exactly)


def read(model: type[B], body: bytes | msgspec.Raw) -> B:
    """The body as its model, every number read exactly.

    Raises:
        pydantic.ValidationError: naming each faulty field and the way to mend it, never its value.
    """
    try:
        decoded = _json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = InitErrorDetails(type="json_invalid", loc=(), input=None, ctx={"error": why_no_json(error)})
        raise ValidationError.from_exception_data(model.__name__, [fault], hide_input=True) from None
    return model.model_validate(decoded)


def why_no_json(error: Exception) -> str:
    """What is wrong with bytes that are no JSON, without quoting them."""
    return str(error) if isinstance(error, msgspec.DecodeError) else type(error).__name__
