"""What rules read of a bill, packed into a few bytes to be kept with what it earned, and unpacked."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from uuid import UUID

import msgspec

from services.loyalty.models.earning import BillFacts, BillLine
from shared.events.base import CurrencyUnit, Item
from shared.events.pos import PosItem
from shared.events.visit import VisitCorrected, VisitRecorded

_CODE = re.compile("[0-9a-f]{16}")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(BillFacts).decode
# Thousandths of a Toman in one of the unit.
_THOUSANDTHS = {"IRT": 1000, "IRR": 100}


def pack(bill: VisitRecorded | VisitCorrected) -> bytes:
    """The facts of a bill as they are kept. One that says nothing packs too: nothing said is a fact as well."""
    return pack_lines(bill.items, bill.currency_unit, bill.branch_id, bill.payment_method)


def pack_lines(items: Sequence[Item], unit: CurrencyUnit, branch_id: UUID | None, payment: str | None) -> bytes:
    """The same of a bill that is no event."""
    times = _THOUSANDTHS[unit]
    lines = [
        BillLine(
            number_of(item.category_code) if item.category_code else None,
            number_of(item.sku_code) if item.sku_code else None,
            number_of(item.name_code) if item.name_code else None,
            int(item.quantity * 1000),
            None if item.amount is None else int(item.amount * times),
        )
        for item in items
    ]
    return _encode((branch_id.bytes if branch_id else None, payment, lines))


def line_of(line: PosItem, code: Callable[[str], str]) -> Item:
    """A line as a till sends it, as events have it."""
    return Item(
        name="",
        quantity=line.quantity,
        amount=line.amount,
        name_code=code(line.name),
        sku_code=code(line.sku) if line.sku else None,
        category_code=code(line.category) if line.category else None,
    )


def lines_of(items: Sequence[PosItem], unit: CurrencyUnit, code: Callable[[str], str]) -> Sequence[BillLine]:
    """The lines that a till sends, as rules read them."""
    return unpack(pack_lines([line_of(each, code) for each in items], unit, None, None)).lines


def unpack(packed: bytes | None) -> BillFacts:
    """The facts again; none of a bill of which nothing was kept."""
    return BillFacts() if packed is None else _decode(packed)


# A menu has few words, and they come with every bill.
@lru_cache(maxsize=16_384)
def number_of(code: str) -> int | None:
    """The number behind a menu code; None for what is no such code and therefore in no rule."""
    return int(code, 16) if _CODE.fullmatch(code) else None
