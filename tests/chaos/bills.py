"""Bills of a life: what is on them, and what the model hears of them."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from shared.events.base import Item
from shared.events.visit import VisitEvent
from shared.security.ids import menu_code
from tests.chaos.desk import KEYS
from tests.chaos.model import Bill
from tests.loyalty.schemes import BRANCH, MENU, OTHER_BRANCH

# What the codes on bills stand for.
WORDS: dict[tuple[UUID, str | None], str] = {}


def about(event: VisitEvent) -> dict[str, Any]:
    """What every event of a visit says of it."""
    names = ("cafe_id", "customer_id", "visit_id", "occurred_at", "device_id", "receipt_number")
    return {name: getattr(event, name) for name in names}


def bill_of(event: VisitEvent) -> Bill:
    """A visit for the model."""
    toman = Fraction(event.final_amount) / (1 if event.currency_unit == "IRT" else 10)
    asks, names = getattr(event, "points_to_redeem", None) or 0, getattr(event, "redemption_id", None)
    lines = []
    for item in getattr(event, "items", []):
        words = [WORDS.get((event.cafe_id, code)) for code in (item.category_code, item.sku_code, item.name_code)]
        amount = None if item.amount is None else Fraction(item.amount) / (1 if event.currency_unit == "IRT" else 10)
        lines.append((words[0], words[1], words[2], Fraction(item.quantity), amount))
    return Bill(
        event.occurred_at, (event.device_id, event.receipt_number), toman, asks=asks, names=names,
        branch=event.branch_id, lines=lines,
    )  # fmt: skip


def on_the_bill(cafe_id: UUID, visit_id: UUID, money: int) -> dict[str, Any]:
    """Lines and a branch that follow from the bill itself, so that a life that fails shrinks as before."""
    chosen = MENU[(money + visit_id.int) % len(MENU)]
    codes = [word and menu_code(KEYS, cafe_id, word) for word in chosen]
    WORDS.update({(cafe_id, code): word for code, word in zip(codes, chosen, strict=True) if code})
    lines = [
        Item(name="", quantity=Decimal(quantity), amount=amount, category_code=codes[0], sku_code=codes[1],
             name_code=codes[2])
        for quantity, amount in ((1, Decimal(money // 3)), ("0.5", None))[: money % 3]
    ]  # fmt: skip
    return {"items": lines, "branch_id": (None, BRANCH, OTHER_BRANCH)[money % 7 % 3]}


def cents(toman: Fraction) -> Decimal:
    """As the account shows a sum: in hundredths."""
    exact = Decimal(toman.numerator) / toman.denominator
    return exact.quantize(Decimal("0.01"), ROUND_HALF_UP)
