"""The contract of the till: one body for the topic `pos.visits` and for `POST /visits`.

On Kafka the header `ce_type` says which of the three bodies a record holds. JSON is read once, and money never passes
through a binary float: a number may be written as a string or as a JSON number, both are read digit by digit.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeVar
from uuid import UUID

import msgspec
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from shared.clock import now
from shared.events.base import CurrencyUnit
from shared.persian.phone import InvalidPhone, canonical
from shared.persian.text import INVISIBLE, latin_digits, normalize

PaymentMethod = Literal["cash", "card", "online", "points", "mixed"]

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
FURTHEST_AHEAD: Final = timedelta(hours=24)
MOST_ITEMS: Final = 500
ATTRIBUTES_BYTES: Final = 8192
ATTRIBUTES_DEPTH: Final = 5
# Devices with this name belong to visits that people enter by hand.
RESERVED_DEVICE: Final = "staff:"

_LARGEST_INTEGER: Final = 2**63 - 1
# Lone surrogates are valid JSON escapes and no valid text.
_UNSEEN: Final = re.compile(f"[\x00-\x1f\x7f-\x9f{INVISIBLE}\ud800-\udfff]")
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d")
_DIGITS: Final = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?")
_BELOW: Final = 10**16
_MOST_PIECES: Final = 1_000_000
_CENT: Final = Decimal("0.01")
_GRAM: Final = Decimal("0.001")


def _fault(code: str, en: str, fa: str) -> PydanticCustomError:
    return PydanticCustomError(code, en, {"fa": fa})


def _identifier(text: str) -> str:
    # Refused, not stripped: two receipts must not become one because a till sent a stray byte.
    if _UNSEEN.search(text):
        raise _fault(
            "control_character",
            "An identifier holds no control or invisible characters; send the receipt's own printable number.",
            "شناسه نباید نویسهٔ کنترلی یا نادیدنی داشته باشد؛ همان شمارهٔ چاپ‌شده را بفرستید.",
        )
    return text


def _device(text: str) -> str:
    if text.startswith(RESERVED_DEVICE):
        raise _fault(
            "reserved_device",
            f"Device ids that start with '{RESERVED_DEVICE}' are kept for visits entered by people.",
            "شناسهٔ دستگاه با «staff:» برای بازدیدهای دستی کنار گذاشته شده است.",
        )
    return text


# The same few dishes and waiters come with every visit.
@lru_cache(maxsize=8192)
def _shown(text: str) -> str | None:
    return _written(text)


def _written(text: str) -> str | None:
    # Stripped, not refused: a control character in a dish's name is the till's noise, and no reason to lose a visit.
    return normalize(_UNSTORABLE.sub("", text)) or None


@lru_cache(maxsize=8192)
def _named(text: str) -> str:
    name = _written(text)
    if name is None:
        raise _fault("blank", "A name needs at least one visible character.", "نام نباید خالی باشد.")
    return name


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def _number(value: Any) -> Decimal:
    """An exact number of at most 16 digits before the point; refuses what has been a float or is no number."""
    if type(value) is int:
        value = Decimal(value)
    if isinstance(value, str) and _DIGITS.fullmatch(digits := latin_digits(value).strip().replace("\u066b", ".")):
        value = Decimal(digits)
    if not isinstance(value, Decimal) or not value.is_finite():
        raise _fault(
            "exact_number",
            "Send an exact number: digits in a string or a JSON number, without separators or units.",
            "عدد دقیق بفرستید: رقم‌ها در یک رشته یا عدد JSON، بدون جداکننده و واحد.",
        )
    if abs(value) >= _BELOW:
        raise _fault("too_large", "At most 16 digits before the point.", "عدد بیش از ۱۶ رقم صحیح دارد.")
    return value


def _once_for_each(read: Callable[[Any], Decimal]) -> Callable[[Any], Decimal]:
    """The reader with a memory: a menu has few prices, and reading digits anew was half the cost of a bill."""
    remembered = lru_cache(maxsize=16384)(read)

    def recall(value: Any) -> Decimal:
        is_short = len(value) <= 20 if type(value) is str else type(value) is int and abs(value) < _BELOW
        return remembered(value) if is_short else read(value)

    return recall


@_once_for_each
def _money(value: Any) -> Decimal:
    number = _number(value)
    cents = number.quantize(_CENT)
    if cents != number:
        raise _fault("two_decimals", "At most two decimals.", "حداکثر دو رقم اعشار.")
    return cents + 0  # no negative zero


def _amount(value: Any) -> Decimal:
    amount = _money(value)
    if amount < 0:
        raise _fault("negative", "Not below zero.", "نباید منفی باشد.")
    return amount


@_once_for_each
def _quantity(value: Any) -> Decimal:
    number = _number(value)
    if not 0 < number <= _MOST_PIECES or number.quantize(_GRAM) != number:
        raise _fault(
            "quantity",
            "Above zero, at most a million, with at most three decimals.",
            "بزرگ‌تر از صفر، حداکثر یک میلیون، با حداکثر سه رقم اعشار.",
        )
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()


def _phone(value: Any) -> Any:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        try:
            return canonical(str(value)[:64])
        except InvalidPhone:
            pass
    raise _fault(
        "phone",
        "Not a phone number. Any spelling of one will do; leave the field out when the guest gave none.",
        "شمارهٔ تلفن درست نیست. هر شکل نوشتن پذیرفته است؛ اگر مهمان شماره نداد، این فیلد را نفرستید.",
    )


def _moment(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and len(value) <= 40 and _MOMENT.match(digits := latin_digits(value)):
        return digits
    raise _fault(
        "moment",
        "Send date and time with a time zone in the Gregorian calendar, such as 2026-11-24T18:30:00+03:30.",
        "تاریخ و ساعت میلادی با منطقهٔ زمانی بفرستید، مانند 2026-11-24T18:30:00+03:30.",
    )


def _within_reach(value: datetime) -> datetime:
    if value.year < EARLIEST.year:
        raise _fault(
            "too_early",
            "Not before the year 2000, in the Gregorian calendar.",
            "تاریخ باید میلادی و از سال ۲۰۰۰ به بعد باشد.",
        )
    if value > now() + FURTHEST_AHEAD:
        raise _fault(
            "in_the_future",
            "More than 24 hours in the future; check the clock of the till.",
            "بیش از ۲۴ ساعت در آینده است؛ ساعت صندوق را بررسی کنید.",
        )
    return value.astimezone(UTC)


def _free(value: Any) -> Any:
    """A JSON object that PostgreSQL can hold and that a reader of the event will not choke on."""
    if not isinstance(value, Mapping):
        raise _fault("object", "Send a JSON object.", "باید یک شیء JSON باشد.")
    kept = _free_value(value, ATTRIBUTES_DEPTH)
    if len(msgspec.json.encode(kept)) > ATTRIBUTES_BYTES:
        raise _fault("too_large", f"At most {ATTRIBUTES_BYTES} bytes of JSON.", "بیش از اندازه بزرگ است.")
    return kept


def _free_value(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("", value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int) and abs(value) <= _LARGEST_INTEGER:
        return value
    if isinstance(value, (float, Decimal)) and abs(float(value)) <= _LARGEST_INTEGER:
        return float(value)
    if depth and isinstance(value, Mapping):
        return {_UNSTORABLE.sub("", str(key)): _free_value(each, depth - 1) for key, each in value.items()}
    if depth and isinstance(value, (list, tuple)):
        return [_free_value(each, depth - 1) for each in value]
    raise _fault(
        "free_value",
        f"Free attributes hold plain JSON of at most {ATTRIBUTES_DEPTH} levels and numbers of 64 bits.",
        "ویژگی‌های آزاد تنها JSON ساده با حداکثر ۵ لایه و عددهای ۶۴ بیتی می‌پذیرند.",
    )


Identifier = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(_identifier)
]
Device = Annotated[Identifier, AfterValidator(_device)]
_EXACT: Final = {"anyOf": [{"type": "string", "pattern": r"^[+-]?\d{1,16}(\.\d{1,2})?$"}, {"type": "number"}]}
Money = Annotated[Decimal, PlainValidator(_money), WithJsonSchema(_EXACT)]
Amount = Annotated[Decimal, PlainValidator(_amount), WithJsonSchema(_EXACT)]
Quantity = Annotated[Decimal, PlainValidator(_quantity), WithJsonSchema(_EXACT)]
Phone = Annotated[str | None, BeforeValidator(_phone)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment), AfterValidator(_within_reach)]
DeviceSequence = Annotated[int, Field(strict=True, ge=0, le=_LARGEST_INTEGER)]
Free = Annotated[dict[str, Any], BeforeValidator(_free)]


class _Contract(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class PosItem(_Contract):
    """One line of the bill. `amount` is of the whole line and may be negative: a discount of one line."""

    name: Annotated[str, StringConstraints(max_length=200), AfterValidator(_named)]
    quantity: Quantity = Decimal(1)
    amount: Money | None = None
    sku: Annotated[Identifier | None, BeforeValidator(_blank_is_none)] = None
    category: Annotated[str, StringConstraints(max_length=100), AfterValidator(_shown)] | None = None


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
    in `currency_unit`, IRT (Toman) or IRR (Rial). `attributes` are published with the visit: nothing personal belongs
    there.
    """

    model_config = ConfigDict(json_schema_extra=_with_both_shapes)

    branch: Annotated[Identifier | None, BeforeValidator(_blank_is_none)] = None
    phone: Phone = None
    guest_name: Annotated[str, StringConstraints(max_length=100), AfterValidator(_written)] | None = None
    marketing_consent: StrictBool | None = None
    occurred_at: Moment
    items: Annotated[list[PosItem], Field(max_length=MOST_ITEMS)] = []
    total_items: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] | None = None
    total: Amount
    discount: Amount = Decimal("0.00")
    currency_unit: CurrencyUnit
    payment_method: PaymentMethod | None = None
    points_to_redeem: Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)] = 0
    redemption_id: UUID | None = None
    table_number: Annotated[str, StringConstraints(max_length=10), AfterValidator(_shown)] | None = None
    server_name: Annotated[str, StringConstraints(max_length=100), AfterValidator(_shown)] | None = None
    service_duration: Annotated[int, Field(strict=True, ge=0, le=10_080, description="minutes")] | None = None
    notes: Annotated[str, StringConstraints(max_length=2000), AfterValidator(_written)] | None = None
    # As a plain default it would be copied deeply for every bill.
    attributes: Annotated[Free, Field(default_factory=dict, json_schema_extra={"default": {}})]

    @model_validator(mode="before")
    @classmethod
    def _one_shape_of_items(cls, body: Any) -> Any:
        shape = body.get("items") if isinstance(body, dict) else None
        if not isinstance(shape, dict):
            return body
        if set(shape) - {"items", "total_items"} or "total_items" in body:
            raise _fault(
                "items_shape",
                "items is a list of lines, or an object of total_items and items.",
                "items فهرست سطرهاست، یا شیئی با total_items و items.",
            )
        return {**body, "items": shape.get("items", []), "total_items": shape.get("total_items")}

    @field_validator("discount")
    @classmethod
    def _discount_within_total(cls, discount: Decimal, info: ValidationInfo) -> Decimal:
        if "total" in info.data and discount > info.data["total"]:
            raise _fault("discount_above_total", "The discount is above the total.", "تخفیف از جمع کل بیشتر است.")
        return discount

    @field_validator("points_to_redeem")
    @classmethod
    def _points_have_a_guest(cls, points: int, info: ValidationInfo) -> int:
        if points and info.data.get("phone", "") is None:
            raise _fault(
                "points_without_guest",
                "Points belong to a guest: send the phone as well.",
                "امتیاز از آن مهمان است؛ شمارهٔ تلفن را هم بفرستید.",
            )
        return points


class PosVisit(VisitBody):
    """One bill of one visit.

    `receipt_number` is unique per device for ever: a till that starts its numbering again every day puts the business
    date before the number (`20261124-17`). `device_sequence` counts everything the device sends and never restarts;
    numbers that are missing are noticed.
    """

    device_id: Device
    device_sequence: DeviceSequence | None = None
    receipt_number: Identifier


class PosCorrection(PosVisit):
    """The bill as it should have been, whole, under its device and receipt. The latest `corrected_at` wins.

    The guest must be the one of the record: to move a bill to another guest, void it and record it under a new number.
    """

    corrected_at: Moment


class PosVoid(_Contract):
    """The bill of this device and receipt never was. It can't be brought back."""

    device_id: Device
    device_sequence: DeviceSequence | None = None
    receipt_number: Identifier
    voided_at: Moment
    reason: Annotated[str, StringConstraints(max_length=500), AfterValidator(_written)] | None = None


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
