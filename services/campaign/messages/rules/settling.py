"""What a provider's answer means for a message, and what that adds to the counters."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal

from services.campaign.channels.models.values import DeliveryReceipt, Progress, SendResult
from services.campaign.messages.models.values import Effects, End, Handed, Settled
from services.campaign.messages.rules import pace

UNKNOWN: Final = "outcome_unknown"
BLOCKED: Final = "blocked_by_guest"
_ENDS: Final[Mapping[Progress, Literal["delivered", "failed", "bounced"]]] = {
    "delivered": "delivered",
    "failed": "failed",
    "undelivered": "bounced",
    "blocked": "bounced",
}
_LOST: Final = frozenset({"failed", "bounced"})
_NOTHING: Final = Decimal(0)


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


def after_find(handed: Handed, receipt: DeliveryReceipt | None, moment: datetime) -> Settled | None:
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
    """A sent message about whose delivery the provider gave no answer: it is asked about again later, and in the end no
    more."""
    if handed.status != "sent":
        return None
    again = pace.next_receipt_check(handed.sent_at or handed.sending_at, moment)
    return Settled(handed.id, handed.cafe_id, "sent", check_at=again)


def after_receipt(handed: Handed, receipt: DeliveryReceipt, moment: datetime) -> Settled | None:
    """A sent message after a word about its delivery; None when that changes nothing any more."""
    return _progressed(handed, receipt, moment, accepted=False) if handed.status == "sent" else None


def _progressed(handed: Handed, receipt: DeliveryReceipt, moment: datetime, *, accepted: bool) -> Settled:
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


def ends_of(handed: Handed, settled: Settled) -> dict[End, int]:
    """What the step changes in how messages end that are not sent, or did not arrive; one that was given up may be sent
    after all."""
    ends: dict[End, int] = {}
    if settled.accepted and handed.status == "skipped":
        ends["skipped", handed.reason or "unknown"] = -1
    if settled.status in _LOST:
        is_sent = settled.accepted or handed.status == "sent"
        ends["undelivered" if is_sent else "failed", settled.error_code or "unknown"] = 1
    return ends


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
    # A message that was put back has already given back its reservation and its use of the limits.
    held, place = (handed.cost, 1) if handed.status == "sending" else (_NOTHING, 0)
    if settled.accepted:
        return replace(counts, cost=real, reserved=-held, messages_used=1 - place, cost_used=real - held)
    if settled.status == "failed" and settled.error_code == UNKNOWN:
        # It may have been sent: the budget must not be spent a second time.
        return replace(counts, cost=held, reserved=-held)
    return replace(counts, reserved=-held, messages_used=-place, cost_used=-held)
