"""Guests' stamp cards as people and tills see them, and their vouchers used and taken back."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.accounts import Account, GuestKey
from services.loyalty.models.cards import CardStates, Voucher, VoucherUse
from services.loyalty.models.http_cards import OpenVoucher, OwnCards, ShownCard, ShownVoucher, StaffCards
from services.loyalty.rules import cards
from services.loyalty.rules.tiers import in_force
from services.loyalty.store import accounts, vouchers
from shared.clock import now
from shared.database.db import Connection
from shared.errors import NotFound

LISTED_AT_MOST = 100


async def show(conn: Connection, cafe_id: UUID, customer_id: UUID) -> OwnCards:
    """The guest's cards and the vouchers that can be used. An unknown guest looks like one who never came."""
    account = await accounts.read(conn, cafe_id, customer_id)
    return await _shown(conn, account or Account(cafe_id, customer_id, 0, 0, 0, 0, 0), now())


async def show_to_staff(conn: Connection, cafe_id: UUID, customer_id: UUID) -> StaffCards:
    """The same, with the newest vouchers of every state.

    Raises NotFound when the cafe has no such guest.
    """
    account = await accounts.read(conn, cafe_id, customer_id)
    if account is None:
        raise NotFound("customer", "چنین مهمانی")
    moment = now()
    found = await _shown(conn, account, moment)
    newest = [told(each, moment) for each in await vouchers.list_newest(conn, account.guest, LISTED_AT_MOST)]
    return StaffCards(cards=found.cards, vouchers=found.vouchers, newest=newest)


async def use(conn: Connection, cafe_id: UUID, voucher_id: UUID, wanted: VoucherUse) -> ShownVoucher:
    """Uses the voucher, once however often and by however many it is asked for.

    Raises NotFound, and Rejected as `cards.use`.
    """
    account, known = await _hold(conn, cafe_id, voucher_id)
    states, moment = account.standing.cards, now()
    standing = await vouchers.list_standing(conn, account.guest, states)
    return await _keep(conn, known, cards.use(known, states, standing, wanted, moment), moment)


async def take_back_at_till(
    conn: Connection, cafe_id: UUID, voucher_id: UUID, request_id: UUID, till_key_id: str
) -> ShownVoucher:
    """Takes back what this till did by mistake a short while ago, once.

    Raises NotFound, and Rejected as `cards.take_back_at_till`.
    """
    account, known = await _hold(conn, cafe_id, voucher_id)
    moment = now()
    after = cards.take_back_at_till(known, account.standing.cards, request_id, till_key_id, moment)
    return await _keep(conn, known, after, moment)


async def take_back(conn: Connection, cafe_id: UUID, voucher_id: UUID) -> ShownVoucher:
    """Takes the use of a voucher back, whoever used it; one that is not used stays as it is.

    Raises NotFound.
    """
    account, known = await _hold(conn, cafe_id, voucher_id)
    after = cards.take_back(known, account.standing.cards) if known.state == "used" else known
    return await _keep(conn, known, after, now())


def told(voucher: Voucher, moment: datetime) -> ShownVoucher:
    """The voucher as it is shown."""
    return ShownVoucher.model_validate(
        {name: getattr(voucher, name) for name in ShownVoucher.model_fields if hasattr(voucher, name)}
        | {"is_expired": cards.is_over(voucher, moment)}
    )


def offered(states: CardStates, standing: Sequence[Voucher], moment: datetime) -> list[OpenVoucher]:
    """Those of the guest's vouchers that can be used, the oldest hundred."""
    usable = cards.usable_ones(states, standing, moment)
    return [OpenVoucher.model_validate(each) for each in usable[:LISTED_AT_MOST]]


async def _shown(conn: Connection, account: Account, moment: datetime) -> OwnCards:
    plan, states = (await plans_of(conn, [account.cafe_id]))[account.cafe_id], account.standing.cards
    if not cards.has_cards(plan):
        return OwnCards()
    # Also of who has no stamps: all bills may have been voided after a voucher was used.
    standing = await vouchers.list_standing(conn, account.guest, states)
    return OwnCards(
        cards=[
            ShownCard.model_validate(each) for each in cards.shown(in_force(plan, moment), states, standing, moment)
        ],
        vouchers=offered(states, standing, moment),
    )


async def _hold(conn: Connection, cafe_id: UUID, voucher_id: UUID) -> tuple[Account, Voucher]:
    """The voucher and its guest's account, which is locked."""
    key = (cafe_id, voucher_id)
    found = await vouchers.find(conn, [key])
    if not found:
        raise NotFound("voucher", "چنین کوپنی")
    guest: GuestKey = (cafe_id, found[0].customer_id)
    account = (await accounts.lock_existing(conn, [guest]))[guest]
    # Somebody else may have used it, or bills may have withdrawn it, while we waited for the account.
    return account, (await vouchers.find(conn, [key]))[0]


async def _keep(conn: Connection, known: Voucher, after: Voucher, moment: datetime) -> ShownVoucher:
    if after != known:
        await vouchers.save_use(conn, after)
    return told(after, moment)
