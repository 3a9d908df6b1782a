"""What a provider's answer means for a message, and what that adds to the counters."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import ROUND_UP, Decimal
from typing import Final, Literal

from services.campaign.models import Effects, Handed, Progress, Receipt, SendResult, Settled
from services.campaign.rules import pace

UNKNOWN: Final = "outcome_unknown"
BLOCKED: Final = "blocked_by_guest"

_ENDS: Final[Mapping[Progress, Literal["delivered", "failed", "bounced"]]] = {
    "delivered": "delivered",
    "failed": "failed",
    "undelivered": "bounced",
    "blocked": "bounced",
}
_NOTHING: Final = Decimal(0)
_CENT: Final = Decimal("0.01")
# Refusals that say something about a number, a text or our own haste, and nothing about the account.
_OF_THE_MESSAGE: Final = frozenset({"411", "413", "422", "451", "out_of_time"})
# What is wrong with an account whoever's messages it carries; anything else may be one cafe's doing.
OF_ALL: Final = frozenset({"unreachable", "unsendable", "401", "403", "407", "418", "429", "431", "432"})


def account_fault(results: Collection[SendResult]) -> tuple[bool, str | None]:
    """Whether the account has shown that it works, and otherwise the code of what is wrong with it; None: neither."""
    if any(result.verdict == "accepted" for result in results):
        return True, None
    codes = (result.code or result.verdict for result in results if result.verdict != "refused_message")
    return False, next((code for code in codes if code not in _OF_THE_MESSAGE), None)


def price_of(charges: Collection[tuple[int, SendResult]], expected: Decimal) -> Decimal | None:
    """What the dearest part of a call cost, of (parts, result); what was expected where the provider does not say, and
    None when it took nothing."""
    accepted = [(parts, result.cost) for parts, result in charges if result.verdict == "accepted"]
    prices = [(cost / parts).quantize(_CENT, ROUND_UP) for parts, cost in accepted if cost is not None]
    return max(prices, default=expected) if accepted else None


def is_of_all(code: str) -> bool:
    """Whether a fault of the installation's account concerns all cafes: its own words, or none at all."""
    return code in OF_ALL or not code.isdecimal()


def after_send(handed: Handed, result: SendResult, moment: datetime) -> Settled | None:
    """The message after a call; None when it was settled in another way meanwhile.

    A message that was put back, or even given up, while a slow call still ran counts as sent when that call says so.
    """
    if result.verdict == "accepted" and handed.status in ("sending", "queued", "skipped"):
        return Settled(
            handed.id,
            handed.cafe_id,
            "sent",
            accepted=True,
            provider_message_id=result.message_id,
            cost=result.cost,
            check_at=pace.next_receipt_check(moment, moment),
        )
    if handed.status != "sending":
        return None
    failed = Settled(handed.id, handed.cafe_id, "failed", error_code=result.code, error_message=result.reason)
    if result.verdict == "refused_message":
        return failed
    if result.verdict == "refused":
        return replace(failed, status="queued", due_at=moment, refused_by=handed.provider_id, unpinned=True)
    if result.verdict == "busy":
        return replace(failed, status="queued", due_at=moment + pace.BUSY_WAIT, unpinned=True)
    return replace(failed, status="sending", error_code=UNKNOWN, check_at=moment + pace.UNKNOWN_AFTER)


def after_find(handed: Handed, receipt: Receipt | None, moment: datetime) -> Settled | None:
    """A message of unknown outcome after a look-up by its local id; `receipt` None: the provider did not answer.

    Only a provider that answers "I do not know it", and within the time for which it would know, lets the message be
    sent again, and then by that same provider. After that time it is never sent again.
    """
    if handed.status != "sending":
        return None
    if receipt is not None and receipt.progress != "missing":
        return _progressed(handed, receipt, moment, accepted=True)
    if moment - handed.sending_at > pace.LOCAL_ID_WINDOW:
        return Settled(handed.id, handed.cafe_id, "failed", error_code=UNKNOWN)
    if receipt is None:
        return None
    return Settled(handed.id, handed.cafe_id, "queued", due_at=moment, error_code=UNKNOWN)


def after_silence(handed: Handed, moment: datetime) -> Settled | None:
    """A sent message about whose delivery the provider did not answer: it is asked again later, and at last no more."""
    if handed.status != "sent":
        return None
    again = pace.next_receipt_check(handed.sent_at or handed.sending_at, moment)
    return Settled(handed.id, handed.cafe_id, "sent", check_at=again)


def after_receipt(handed: Handed, receipt: Receipt, moment: datetime) -> Settled | None:
    """A sent message after a word about its delivery; None when that changes nothing any more."""
    return _progressed(handed, receipt, moment, accepted=False) if handed.status == "sent" else None


def _progressed(handed: Handed, receipt: Receipt, moment: datetime, *, accepted: bool) -> Settled:
    end = _ENDS.get(receipt.progress)
    settled = Settled(
        handed.id, handed.cafe_id, end or "sent", accepted=accepted, provider_message_id=receipt.message_id
    )
    if end is None:
        again = pace.next_receipt_check(handed.sent_at or handed.sending_at, moment)
        return replace(settled, check_at=again)
    if receipt.progress == "blocked":
        # A message stopped by the guest's own block is refunded.
        return replace(settled, error_code=BLOCKED, cost=_NOTHING, blocked=True)
    return settled if end == "delivered" else replace(settled, error_code=receipt.code)


def known_by_its_opening(handed: Handed, settled: Settled) -> Settled:
    """What was opened before the provider's answer came has arrived."""
    if not (handed.is_opened and settled.accepted and settled.status == "sent"):
        return settled
    return replace(settled, status="delivered", check_at=None)


def ends_of(handed: Handed, settled: Settled) -> dict[tuple[Literal["skipped", "failed"], str], int]:
    """What the step changes in how messages end that are not sent; one that was given up may be sent after all."""
    if settled.accepted:
        return {("skipped", handed.reason or "unknown"): -1} if handed.status == "skipped" else {}
    if settled.status == "failed" and handed.status != "sent":
        return {("failed", settled.error_code or "unknown"): 1}
    return {}


def effects_of(handed: Handed, settled: Settled) -> Effects:
    """What the step adds to counters, costs and usage; `handed` as it stood before."""
    counts = Effects(
        sent=int(settled.accepted),
        delivered=int(settled.status == "delivered"),
        failed=int(settled.status in ("failed", "bounced")),
    )
    real = handed.cost if settled.cost is None else settled.cost
    if handed.status == "sent":
        return replace(counts, cost=real - handed.cost, cost_used=real - handed.cost)
    if settled.status == "sending":
        return counts
    # What was put back has given its reservation and its place in the limits back already.
    held, place = (handed.cost, 1) if handed.status == "sending" else (_NOTHING, 0)
    if settled.accepted:
        return replace(counts, cost=real, reserved=-held, messages_used=1 - place, cost_used=real - held)
    if settled.status == "failed" and settled.error_code == UNKNOWN:
        # It may have been sent: the budget must not be spent a second time.
        return replace(counts, cost=held, reserved=-held)
    return replace(counts, reserved=-held, messages_used=-place, cost_used=-held)
