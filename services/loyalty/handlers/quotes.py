"""What a bill would earn if it came now."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.handlers import rewards
from services.loyalty.handlers.cards import offered
from services.loyalty.handlers.guests import plans_of
from services.loyalty.handlers.stays import histories_of, place_one
from services.loyalty.models.accounts import Account, Plan, Standing, Visit
from services.loyalty.models.http import AskBill, EarningQuote
from services.loyalty.models.http_cards import QuotedCard
from services.loyalty.models.rewards import Occasion
from services.loyalty.rules import cards, quoting, tiers
from services.loyalty.rules.announcing import multiplier
from services.loyalty.rules.bill_facts import line_of, pack_lines, unpack
from services.loyalty.rules.club import worth
from services.loyalty.store import accounts, programs, vouchers
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.inputs.amounts import INSIDE, inside
from shared.security.access import unit_of
from shared.security.crypto import Keys
from shared.security.ids import menu_code


async def quote(conn: Connection, cafe_id: UUID, customer_id: UUID | None, asked: AskBill, keys: Keys) -> EarningQuote:
    """What the bill would earn the guest, how far the next tier is and which rewards are. It keeps nothing. An unknown
    guest looks like one who never came."""
    plan = (await plans_of(conn, [cafe_id]))[cafe_id]
    account = None if customer_id is None else await accounts.read(conn, cafe_id, customer_id)
    visit = _visit(asked, partial(menu_code, keys, cafe_id))
    standing = tiers.NOBODY
    if account is not None:
        standing = account.standing
        visit = await place_one(conn, plan, account.guest, visit)
        if not tiers.goes_on(standing, visit):
            standing = await _earlier(conn, plan, account.guest, visit)
    # Other calls go on beside it: a bill of hundreds of lines is weighed by dozens of rules some forty times.
    found = await asyncio.to_thread(quoting.quote, plan, standing, visit)
    price, balance = await programs.price_of_point(conn, cafe_id, visit.occurred_at), account.balance if account else 0
    ladder = [step.tier for step in tiers.in_force(plan, visit.occurred_at).steps]
    occasion = Occasion(
        at=visit.occurred_at,
        branch=asked.branch_id,
        bill=inside(asked.final_amount, asked.currency_unit),
        lines=unpack(visit.facts).lines,
    )
    reached, near = await rewards.within_reach(conn, cafe_id, customer_id, account, occasion, plan)
    row = {
        "points": found.earning.points,
        "parts": found.earning.parts if found.earning.parts is not None else {"base": found.earning.points},
        "multiplier": multiplier(found.earning.multiplier),
        "tier": found.before.tier,
        "tier_after": found.after.tier,
        "next_tier": next(iter(ladder[ladder.index(found.after.tier) + 1 :]), None),
        "points_to_next_tier": found.after.to_next,
        "more_for_next_tier": found.more,
        "current_points": balance,
        "points_worth": worth(max(0, balance), price),
        "rewards": reached,
        "next_reward": near,
        "currency_unit": INSIDE,
        **await _cards(conn, plan, account, standing, visit),
    }
    return EarningQuote.of(row, await unit_of(conn, cafe_id))


async def _earlier(conn: Connection, plan: Plan, guest: tuple[UUID, UUID], visit: Visit) -> Standing:
    """A till whose clock is ahead has sent bills of later: they don't count yet."""
    history = (await histories_of(conn, {guest[0]: plan}, [guest]))[guest]
    before = [each.visit for each in history.values() if each.visit.state != "voided"]
    before = sorted((each for each in before if each.occurred_at <= visit.occurred_at), key=tiers.order_of)
    standing, _ = await asyncio.to_thread(tiers.fold, plan, tiers.NOBODY, before)
    states, _ = await asyncio.to_thread(cards.fold, plan, (), before)
    return replace(standing, cards=states)


async def _cards(
    conn: Connection, plan: Plan, account: Account | None, standing: Standing, visit: Visit
) -> dict[str, Any]:
    """What the bill does to stamp cards, and the vouchers that can be used now."""
    if not cards.has_cards(plan):
        return {}
    account = account or Account(visit.visit_id, visit.visit_id, 0, 0, 0, 0, 0)
    known = await vouchers.list_standing(conn, account.guest, account.standing.cards)
    counted = replace(account, standing=standing)
    return {
        "cards": [QuotedCard.model_validate(each) for each in cards.quote(plan, counted, known, visit)],
        "vouchers": offered(account.standing.cards, known, visit.occurred_at),
    }


def _visit(asked: AskBill, code: Callable[[str], str]) -> Visit:
    lines = [line_of(each, code) for each in asked.items]
    return Visit(
        visit_id=new_id(),
        state="recorded",
        occurred_at=now(),
        device_id="",
        receipt_number="",
        final_amount=asked.final_amount,
        currency_unit=asked.currency_unit,
        facts=pack_lines(lines, asked.currency_unit, asked.branch_id, None),
    )
