"""Points spent at the asking of a till or of staff."""

from typing import Any
from uuid import UUID

from services.loyalty.handlers import rewards
from services.loyalty.handlers.guests import plans_of, save
from services.loyalty.models.accounts import Account, EntryDraft, Posting, Redemption
from services.loyalty.models.rewards import Occasion
from services.loyalty.rules import announcing, counting, spending
from services.loyalty.rules import ledger as ledger_rules
from services.loyalty.rules import lots as lot_rules
from services.loyalty.rules.lots import Lots
from services.loyalty.store import accounts, ledger, redemptions
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound, Problem, Rejected
from shared.persian.money import format_count


async def redeem(
    conn: Connection, wanted: Redemption, correlation_id: UUID, occasion: Occasion | None = None
) -> tuple[Redemption, int]:
    """Spends the points once, however often it is asked for; the redemption and the balance after it. What a reward
    costs and is comes from the reward, on that `occasion`.

    Raises Rejected with code INSUFFICIENT_POINTS, when the guest can't have the reward, or when the id belongs to a
    redemption of something else.
    """
    guest = (wanted.cafe_id, wanted.customer_id)
    account = (await accounts.lock_existing(conn, [guest])).get(guest)
    key = (wanted.cafe_id, wanted.redemption_id)
    known = (await redemptions.find(conn, [key])).get(key)
    balance = account.balance if account else 0
    if known is not None:
        return _same(known, wanted, balance), balance
    if wanted.reward_id is not None:
        plan = (await plans_of(conn, [wanted.cafe_id]))[wanted.cafe_id]
        wanted = await rewards.priced(conn, wanted, account, occasion or Occasion(at=wanted.created_at), plan)
    if account is None or balance < wanted.points:
        raise insufficient(balance)
    held = (await ledger.load_lots(conn, [guest], []))[guest]
    waiting = lot_rules.waiting(held, wanted.created_at)
    if balance - waiting < wanted.points:
        raise insufficient(balance, waiting)
    after, redemption, draft = spending.take(held, wanted, wanted.created_at)
    changed = await _save(conn, account, held, after, redemption, draft, correlation_id)
    return redemption, changed.balance


async def show(conn: Connection, cafe_id: UUID, redemption_id: UUID) -> Redemption:
    """The redemption.

    Raises NotFound when the cafe has none with that id.
    """
    key = (cafe_id, redemption_id)
    known = (await redemptions.find(conn, [key])).get(key)
    if known is None:
        raise NotFound("redemption", "چنین استفاده‌ای")
    return known


async def reverse(conn: Connection, cafe_id: UUID, redemption_id: UUID, correlation_id: UUID) -> tuple[Redemption, int]:
    """Gives the points of a redemption back, once; the redemption and the balance after it. Whether somebody may has
    been decided before."""
    account, known = await _hold(conn, cafe_id, redemption_id)
    if known.state == "reversed":
        return known, account.balance
    return await _give_back(conn, account, known, correlation_id)


async def cancel(
    conn: Connection, cafe_id: UUID, redemption_id: UUID, correlation_id: UUID, *, till_key_id: str | None = None
) -> tuple[Redemption, int]:
    """Gives back what is reserved, once; the redemption and the balance after it. With `till_key_id` only what that
    till has reserved.

    Raises NotFound, and Rejected when it is no reservation, or not of that till.
    """
    account, known = await _hold(conn, cafe_id, redemption_id)
    if till_key_id is not None and known.till_key_id != till_key_id:
        raise Rejected(
            "reserved_by_another",
            "Another till has reserved these points: cancel it there, or let the staff do it.",
            "این امتیاز را صندوق دیگری نگه داشته است: همان‌جا یا به دست کارکنان لغو کنید.",
            status=403,
        )
    if known.state == "reversed":
        return known, account.balance
    if known.reserved_until is None:
        raise Rejected(
            "redemption_used",
            "These points are spent: a bill has named them, or staff spent them. Correct or void the bill, or let a"
            " manager give them back.",
            "این امتیاز خرج شده است: صورت‌حساب را اصلاح یا باطل کنید، یا مدیر آن را برگرداند.",
            status=409,
        )
    return await _give_back(conn, account, known, correlation_id)


async def _hold(conn: Connection, cafe_id: UUID, redemption_id: UUID) -> tuple[Account, Redemption]:
    """The redemption and its guest's account, which is locked."""
    known = await show(conn, cafe_id, redemption_id)
    guest = (cafe_id, known.customer_id)
    account = (await accounts.lock(conn, [guest]))[guest]
    # Somebody else may have given it back while we waited for the account.
    known = (await redemptions.find(conn, [(cafe_id, redemption_id)]))[cafe_id, redemption_id]
    if known.state == "refused":
        raise Rejected(
            "redemption_refused",
            "That redemption was refused: there is nothing to give back.",
            "آن استفاده پذیرفته نشده بود و چیزی برای بازگرداندن نیست.",
            status=409,
        )
    return account, known


async def _give_back(
    conn: Connection, account: Account, known: Redemption, correlation_id: UUID
) -> tuple[Redemption, int]:
    guest = account.guest
    held = (await ledger.load_lots(conn, [guest], [lot_id for lot_id, _ in known.drawn], [guest]))[guest]
    after, redemption, draft = spending.give_back(held, known, now())
    changed = await _save(conn, account, held, after, redemption, draft, correlation_id)
    return redemption, changed.balance


def insufficient(balance: int, waiting: int = 0) -> Rejected:
    """The answer to spending more than there is, or more than does not wait."""
    en, fa = f"The balance is {balance} points.", f"موجودی {format_count(balance)} امتیاز است."
    problems = [Problem("points", "balance", str(balance), format_count(balance))]
    if waiting:
        en += f" Of these, {waiting} can't be spent yet."
        fa += f" {format_count(waiting)} امتیاز از آن هنوز قابل استفاده نیست."
        problems.append(Problem("points", "waiting", str(waiting), format_count(waiting)))
    return Rejected("INSUFFICIENT_POINTS", en, fa, status=409, problems=problems)


async def _save(
    conn: Connection,
    account: Account,
    held: Lots,
    lots: Lots,
    redemption: Redemption,
    draft: EntryDraft,
    correlation_id: UUID,
) -> Account:
    moment = now()
    plan = (await plans_of(conn, [account.cafe_id]))[account.cafe_id]
    posted, entries = ledger_rules.post(account, [draft])
    after = counting.ranked(plan, posted, account.standing, moment)
    about: dict[str, Any] = {"correlation_id": correlation_id}
    outcome = Posting(
        before=account,
        after=after,
        entries=entries,
        lots=counting.changed_lots(held, lots),
        redemptions=[redemption],
        events=[
            *(announcing.points_change(after, entry, None, about) for entry in entries),
            announcing.redemption_event(redemption, None, moment, about),
            *announcing.tier_change(account, after, moment, about),
        ],
    )
    await save(conn, [outcome])
    return after


def _same(known: Redemption, wanted: Redemption, balance: int) -> Redemption:
    is_same = (known.customer_id, known.reward_id) == (wanted.customer_id, wanted.reward_id)
    # What the reward cost when it was asked for first stays.
    if not is_same or (known.reward_id is None and (known.points, known.kind) != (wanted.points, wanted.kind)):
        raise Rejected(
            "redemption_id_taken",
            "That redemption id belongs to another redemption; make up a new one.",
            "این شناسه از آنِ استفادهٔ دیگری است؛ شناسهٔ تازه‌ای بسازید.",
            status=409,
        )
    if known.state == "refused":
        raise insufficient(balance)
    return known
