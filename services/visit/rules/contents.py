"""What a bill says: its lines, its branch, and what is left of it without its guest and words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec

from services.visit.models.values import BillDraft
from shared.errors import Problem, Rejected
from shared.events.base import Item
from shared.events.pos import VisitBody
from shared.persian.text import latin_digits

_encode = msgspec.json.Encoder(order="deterministic").encode


def lines_of(body: VisitBody) -> list[Item]:
    """The bill's lines as the events carry them."""
    return [
        Item(name=line.name, quantity=line.quantity, amount=line.amount, sku=line.sku, category=line.category)
        for line in body.items
    ]


def without_words(draft: BillDraft) -> BillDraft:
    """The bill without anything that somebody wrote; its amounts, and that it is the same bill, stay."""
    emptied: dict[str, Any] = {
        "guest_name": None, "marketing_consent": None, "consent_asked_at": None, "table_number": None,
        "server_name": None, "notes": None, "attributes": {},
    }  # fmt: skip
    return replace(
        draft,
        command=replace(draft.command, body=draft.command.body.model_copy(update=emptied)),
        lines=[Item(name="", quantity=line.quantity, amount=line.amount) for line in draft.lines],
    )


def of_nobody(draft: BillDraft) -> BillDraft:
    """The bill; if it is from before its guest was erased, it is nobody's, and without words."""
    if not is_nobodys(draft):
        return draft
    bare = without_words(draft)
    nobodys: dict[str, Any] = {"phone": None, "points_to_redeem": 0, "redemption_id": None}
    body = bare.command.body.model_copy(update=nobodys)
    return replace(bare, command=replace(bare.command, body=body), phone_hash=None)


def is_nobodys(draft: BillDraft) -> bool:
    """Whether the guest whom the bill names was erased since."""
    erased_at = draft.found.erased_at
    return erased_at is not None and draft.own_id is not None and draft.command.body.occurred_at <= erased_at


def item_count(body: VisitBody) -> int:
    """How many pieces were ordered: the sum of the quantities, a begun one (350 grams of nuts) counting whole.

    `total_items` counts only where the till does not list its lines.
    """
    if not body.items:
        return body.total_items or 0
    return int(sum((line.quantity for line in body.items), Decimal(0)).to_integral_value(ROUND_CEILING))


def content_of(body: VisitBody, lines: Sequence[Item]) -> bytes:
    """All that makes two bills the same bill, whatever the spelling of the phone or the order of keys."""
    # A field that came later to the contract counts only if a bill has it, so that earlier bills keep their
    # fingerprints.
    later = (body.consent_asked_at,) if body.consent_asked_at else ()
    return _encode(
        (
            body.branch, body.phone, body.guest_name, body.marketing_consent, body.occurred_at, lines, body.total_items,
            body.total, body.discount, body.currency_unit, body.payment_method, body.points_to_redeem,
            body.redemption_id, body.table_number, body.server_name, body.service_duration, body.notes,
            body.attributes, *later,
        )
    )  # fmt: skip


def branch_names(branches: Iterable[tuple[UUID, UUID, str]]) -> dict[UUID, dict[str, UUID]]:
    """Cafe -> its branches by code and by id, from (cafe, branch, code)."""
    names: dict[UUID, dict[str, UUID]] = {}
    for cafe_id, branch_id, code in branches:
        own = names.setdefault(cafe_id, {})
        own[_branch_key(code)] = own[str(branch_id)] = branch_id
    return names


def branch_of(text: str | None, names: Mapping[str, UUID]) -> UUID | Rejected | None:
    """The branch that a till names by code or by id, whatever its keyboard; None when it names none or the cafe has
    none."""
    if text is None or not names:
        return None
    return names.get(_branch_key(text)) or unknown_branch()


def _branch_key(text: str) -> str:
    return latin_digits(text).strip().casefold()


def redemption_of(asked: int, redeemed: int, refusal: str | None) -> Literal["none", "pending", "completed", "refused"]:
    """What became of the points that a bill asks to spend; loyalty's answer comes a moment after the bill."""
    if not asked:
        return "none"
    if refusal is not None:
        return "refused"
    return "completed" if redeemed >= asked else "pending"


def unknown_branch() -> Rejected:
    """The cafe has branches, and this is none of them."""
    en = "This cafe has no branch with that code or id; leave the field out or send a code that the cafe knows."
    fa = "این کافه شعبه‌ای با این کد یا شناسه ندارد؛ این فیلد را نفرستید یا کد شعبه را درست کنید."
    return Rejected("unknown_branch", en, fa, problems=[Problem("branch", "unknown_branch", en, fa)])
