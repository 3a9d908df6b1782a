"""Points given or taken by hand: at once, or after a second manager agreed."""

from typing import Any
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.handlers import redemptions
from services.loyalty.handlers.guests import plans_of, save
from services.loyalty.handlers.redemptions import insufficient
from services.loyalty.models.accounts import Account, Adjustment, EntryDraft, Lot, Posting, Redemption
from services.loyalty.rules import announcing, counting, lapsing, tiers
from services.loyalty.rules import ledger as ledger_rules
from services.loyalty.rules import lots as lot_rules
from services.loyalty.rules.announcing import DESCRIPTIONS
from services.loyalty.store import accounts, adjustments, ledger
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound, Rejected
from shared.security import access
from shared.security.approval import Size, require_pass


async def adjust(conn: Connection, wanted: Adjustment, correlation_id: UUID) -> Adjustment:
    """Posts the adjustment, or keeps it pending when its author may not give so much in a day alone.

    Raises Rejected when the guest has less than is to be taken, or the id belongs to another adjustment.
    """
    await access.take_turn(conn, wanted.cafe_id, wanted.created_by)
    account = await _lock(conn, wanted)
    known = await adjustments.find(conn, wanted.cafe_id, wanted.adjustment_id)
    if known is not None:
        return _same(known, wanted)
    adjustment = await _keep(conn, wanted)
    if adjustment.state == "posted":
        await _post(conn, account, adjustment, adjustment.created_by, correlation_id)
    return adjustment


async def give_back(
    conn: Connection, cafe_id: UUID, redemption_id: UUID, author: UUID, correlation_id: UUID
) -> tuple[Redemption, int | None]:
    """Gives the points of a redemption back by hand, once: points given like any others. The redemption and the balance
    after it; None while it waits for another manager.

    Raises Rejected when it was refused, or another manager declined to give it back.
    """
    await access.take_turn(conn, cafe_id, author)
    redemption = await redemptions.show(conn, cafe_id, redemption_id)
    known = await adjustments.find(conn, cafe_id, redemption_id)
    if known is None and redemption.state == "completed":
        wanted = Adjustment(
            adjustment_id=redemption_id,
            cafe_id=cafe_id,
            customer_id=redemption.customer_id,
            type="adjustment_add",
            points=redemption.points,
            reason=None,
            state="pending",
            created_by=author,
            created_at=now(),
            redemption_id=redemption_id,
        )
        known = await _keep(conn, wanted)
    if known is not None and known.state == "pending":
        return redemption, None
    if known is not None and known.state == "declined":
        raise _already_decided()
    return await redemptions.reverse(conn, cafe_id, redemption_id, correlation_id)


async def decide(
    conn: Connection, cafe_id: UUID, adjustment_id: UUID, decider: UUID, *, approve: bool, correlation_id: UUID
) -> Adjustment:
    """The second manager's answer to a pending adjustment. An author who is alone meanwhile may give it as well.

    Raises Rejected when the decider is its author, or it was decided otherwise before.
    """
    pending = await adjustments.find(conn, cafe_id, adjustment_id)
    if pending is None:
        raise NotFound("adjustment", "چنین اصلاحی")
    state = "posted" if approve else "declined"
    if pending.state == state:
        return pending
    if pending.state != "pending":
        raise _already_decided()
    oversight = await access.oversight(conn, cafe_id)
    require_pass(oversight.judge([pending.created_by], Size(), approver=decider))
    if approve and pending.redemption_id:
        await redemptions.reverse(conn, cafe_id, pending.redemption_id, correlation_id)
    elif approve:
        account = await _lock(conn, pending)
        await _post(conn, account, pending, decider, correlation_id)
    is_other = pending.created_by != decider
    decided = replace(
        pending, state=state, decided_by=decider if is_other else None, decided_at=now() if is_other else None
    )
    await adjustments.decide(conn, decided)
    return decided


async def _keep(conn: Connection, wanted: Adjustment) -> Adjustment:
    """The adjustment as it is kept: posted when its author may give it alone, after all that they gave on that day."""
    plan = (await plans_of(conn, [wanted.cafe_id]))[wanted.cafe_id]
    oversight = await access.oversight(conn, wanted.cafe_id)
    today = oversight.day_begins(wanted.created_at)
    size = Size(
        asked=wanted.points,
        done=await adjustments.done_alone(conn, wanted.cafe_id, wanted.created_by, today),
        limit=min(oversight.policy.points, tiers.in_force(plan, wanted.created_at).approval_above),
    )
    passes = oversight.judge([wanted.created_by], size).passes
    adjustment = replace(wanted, state="posted" if passes else "pending")
    if not await adjustments.insert(conn, adjustment):
        raise _taken()
    return adjustment


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
    draft = EntryDraft(
        type=adjustment.type,
        change=-adjustment.points if takes else adjustment.points,
        # From when the guest has the points: if they waited, since they were approved.
        occurred_at=moment,
        description=DESCRIPTIONS[adjustment.type],
        notes=f"adjustment {adjustment.adjustment_id}",
        campaign_id=adjustment.campaign_id,
        order_reference=adjustment.order_reference,
        created_by=approved_by,
    )
    plan = (await plans_of(conn, [account.cafe_id]))[account.cafe_id]
    held = (await ledger.load_lots(conn, [account.guest], []))[account.guest]
    if takes:
        lots = lot_rules.spend(held, adjustment.points, moment)[0]
    else:
        expires_at = lapsing.expiry(plan, tiers.in_force(plan, moment), moment)
        gained = Lot(draft.entry_id, adjustment.points, adjustment.points, moment, expires_at)
        lots = lot_rules.add(held, gained, account.customer_id, moment)
    posted, entries = ledger_rules.post(account, [draft])
    after = counting.ranked(plan, posted, account.standing, moment)
    about: dict[str, Any] = {"correlation_id": correlation_id}
    outcome = Posting(
        before=account,
        after=after,
        entries=entries,
        lots=counting.changed_lots(held, lots),
        events=[
            *(announcing.points_change(after, entry, None, about) for entry in entries),
            *announcing.tier_change(account, after, moment, about),
        ],
    )
    await save(conn, [outcome])


def _same(known: Adjustment, wanted: Adjustment) -> Adjustment:
    asked = (wanted.customer_id, wanted.type, wanted.points, wanted.redemption_id)
    if (known.customer_id, known.type, known.points, known.redemption_id) != asked:
        raise _taken()
    return known


def _already_decided() -> Rejected:
    return Rejected("already_decided", "It was decided before.", "پیش‌تر دربارهٔ آن تصمیم گرفته شده است.", status=409)


def _taken() -> Rejected:
    return Rejected(
        "adjustment_id_taken",
        "That adjustment id belongs to another adjustment; make up a new one.",
        "این شناسه از آنِ اصلاح دیگری است؛ شناسهٔ تازه‌ای بسازید.",
        status=409,
    )
