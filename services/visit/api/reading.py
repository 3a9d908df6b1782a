"""Bodies read from their bytes, so that no number in them is ever a binary float."""

from typing import Any, TypeVar

import msgspec
from fastapi import Request
from pydantic import BaseModel, ValidationError

from services.visit.models.http import Batch
from shared.errors import Problem, Rejected
from shared.events import pos
from shared.web.http import invalid

LARGEST_BILL = 1024 * 1024
MOST_BILLS = 1000
REFERENCE = "#/components/schemas/{model}"
B = TypeVar("B", bound=BaseModel)
_frame = msgspec.json.Decoder(Batch)


async def read_one(request: Request, model: type[B]) -> B:
    """The request's body as that model.

    Raises `Rejected`: 413 for more than a mebibyte, 422 with the faulty fields.
    """
    body = await request.body()
    if len(body) > LARGEST_BILL:
        en, fa = f"One bill has at most {LARGEST_BILL} bytes.", "یک صورت‌حساب بیش از اندازه بزرگ است."
        raise Rejected("too_large", en, fa, status=413)
    return parse(model, body)


async def read_batch(request: Request) -> list[msgspec.Raw]:
    """The bills of a batch, unread.

    Raises `Rejected` when the frame is wrong or holds too many.
    """
    try:
        bills = _frame.decode(await request.body()).visits
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        en = f'Send {{"visits": [...]}} with the bodies of POST /visits ({pos.why_no_json(error)}).'
        fa = 'بدنهٔ درخواست باید {"visits": [...]} با همان بدنه‌های POST /visits باشد.'
        raise Rejected("invalid_input", en, fa, problems=[Problem("visits", "json_invalid", en, fa)]) from None
    if len(bills) > MOST_BILLS:
        en, fa = f"At most {MOST_BILLS} visits in one call.", "در هر درخواست حداکثر ۱۰۰۰ بازدید."
        raise Rejected("invalid_input", en, fa, problems=[Problem("visits", "too_long", en, fa)])
    return bills


def parse(model: type[B], body: bytes | msgspec.Raw) -> B:
    """The bytes as that model; raises `Rejected` naming the faulty fields."""
    try:
        return pos.read(model, body)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_input=False)) from None


def documented(model: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of a route that reads its body itself."""
    return _body(model.model_json_schema(ref_template=REFERENCE))


def documented_batch() -> dict[str, Any]:
    """`openapi_extra` of the batch route."""
    bill = pos.PosVisit.model_json_schema(ref_template=REFERENCE)
    one = {"$ref": REFERENCE.format(model="PosVisit")}
    definitions = bill.pop("$defs", {}) | {"PosVisit": bill}
    return _body(
        {
            "title": "PosBatch",
            "type": "object",
            "required": ["visits"],
            "properties": {
                "visits": {
                    "type": "array",
                    "maxItems": MOST_BILLS,
                    "items": one,
                }
            },
            "additionalProperties": False,
            "$defs": definitions,
        }
    )


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
