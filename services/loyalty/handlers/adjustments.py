"""Points given or taken by hand: at once, or after a second manager agreed."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.handlers import guests as common
from services.loyalty.handlers.guests import DESCRIPTIONS
from services.loyalty.handlers.redemptions import insufficient
from services.loyalty.models.accounts import Account, Adjustment, Draft, Lot, Outcome
from services.loyalty.rules import ledger as ledger_rules
from services.loyalty.rules import lots as lot_rules
from services.loyalty.rules import tiers
from services.loyalty.store import accounts, adjustments, ledger
from shared.clock import now
from shared.db import Connection
from shared.errors import NotFound, Rejected


async def adjust(conn: Connection, wanted: Adjustment, correlation_id: UUID) -> Adjustment:
    """Posts the adjustment, or keeps it pending when it is larger than the program lets one manager give alone.

    Raises Rejected when the guest has less than is to be taken, or the id belongs to another adjustment.
    """
    account = await _lock(conn, wanted)
    known = await adjustments.find(conn, wanted.cafe_id, wanted.adjustment_id)
    if known is not None:
        return _same(known, wanted)
    plan = (await common.plans_of(conn, [wanted.cafe_id]))[wanted.cafe_id]
    is_large = wanted.points > tiers.in_force(plan, wanted.created_at).approval_above
    adjustment = replace(wanted, state="pending" if is_large else "posted")
    if not await adjustments.insert(conn, adjustment):
        raise _taken()
    if not is_large:
        await _post(conn, account, adjustment, adjustment.created_by, correlation_id)
    return adjustment


async def decide(
    conn: Connection, cafe_id: UUID, adjustment_id: UUID, decider: UUID, *, approve: bool, correlation_id: UUID
) -> Adjustment:
    """The second manager's answer to a pending adjustment.

    Raises Rejected when the decider is its author, or it was decided otherwise before.
    """
    pending = await adjustments.find(conn, cafe_id, adjustment_id)
    if pending is None:
        raise NotFound("adjustment", "چنین اصلاحی")
    state = "posted" if approve else "declined"
    if pending.state == state:
        return pending
    if pending.state != "pending":
        raise Rejected("already_decided", "It was decided before.", "پیش‌تر دربارهٔ آن تصمیم گرفته شده است.", status=409)
    if pending.created_by == decider:
        raise Rejected(
            "another_manager_needed",
            "An adjustment of this size is decided by a manager who did not write it.",
            "دربارهٔ اصلاحی به این بزرگی مدیر دیگری تصمیم می‌گیرد.",
            status=403,
        )
    moment = now()
    if approve:
        account = await _lock(conn, pending)
        await _post(conn, account, pending, decider, correlation_id)
    await adjustments.decide(conn, pending, state, decider, moment)
    return replace(pending, state=state, decided_by=decider, decided_at=moment)


async def _lock(conn: Connection, adjustment: Adjustment) -> Account:
    guest = (adjustment.cafe_id, adjustment.customer_id)
    account = (await accounts.lock_existing(conn, [guest])).get(guest)
    if account is None:
        raise NotFound("customer", "چنین مهمانی")
    return account


async def _post(
    conn: Connection, account: Account, adjustment: Adjustment, approved_by: UUID, correlation_id: UUID
) -> None:
    moment = now()
    takes = adjustment.type == "adjustment_subtract"
    if takes and account.balance < adjustment.points:
        raise insufficient(account.balance)
    draft = Draft(
        type=adjustment.type,
        change=-adjustment.points if takes else adjustment.points,
        occurred_at=adjustment.created_at,
        description=DESCRIPTIONS[adjustment.type],
        notes=f"adjustment {adjustment.adjustment_id}",
        campaign_id=adjustment.campaign_id,
        order_reference=adjustment.order_reference,
        created_by=approved_by,
    )
    plan = (await common.plans_of(conn, [account.cafe_id]))[account.cafe_id]
    held = (await ledger.load_lots(conn, [account.guest], []))[account.guest]
    if takes:
        lots = lot_rules.spend(held, adjustment.points)[0]
    else:
        days = tiers.in_force(plan, moment).points_expire_days
        expires_at = moment + timedelta(days=days) if days else None
        gained = Lot(draft.entry_id, adjustment.points, adjustment.points, moment, expires_at)
        lots = lot_rules.add(held, gained, account.customer_id, moment)
    posted, entries = ledger_rules.post(account, [draft])
    after = common.ranked(plan, posted, account.standing, moment)
    about: dict[str, Any] = {"correlation_id": correlation_id}
    outcome = Outcome(
        before=account,
        after=after,
        entries=entries,
        lots=common.changed_lots(held, lots),
        events=[
            *(common.points_change(after, entry, None, about) for entry in entries),
            *common.tier_change(account, after, moment, about),
        ],
    )
    await common.save(conn, [outcome])


def _same(known: Adjustment, wanted: Adjustment) -> Adjustment:
    asked = (wanted.customer_id, wanted.type, wanted.points)
    if (known.customer_id, known.type, known.points) != asked:
        raise _taken()
    return known


def _taken() -> Rejected:
    return Rejected(
        "adjustment_id_taken",
        "That adjustment id belongs to another adjustment; make up a new one.",
        "این شناسه از آنِ اصلاح دیگری است؛ شناسهٔ تازه‌ای بسازید.",
        status=409,
    )
