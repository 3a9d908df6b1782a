"""Why a guest has these points. Nothing is stored for it: the guest is counted again, from all bills."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from services.loyalty.handlers.guests import plans_of
from services.loyalty.handlers.stays import histories_of
from services.loyalty.models.accounts import Redemption
from services.loyalty.rules import explaining
from services.loyalty.rules.explaining import Booked, Recounted
from services.loyalty.store import explaining as store
from services.loyalty.store import ledger, redemptions, rewards, vouchers
from shared.clock import now
from shared.database.db import Connection
from shared.inputs.explaining import MOST_EXPLAINED, NEVER, ExplainedStep, Explanation, next_before
from shared.security.access import unit_of


async def explain_visit(conn: Connection, cafe_id: UUID, visit_id: UUID, customer_id: UUID | None) -> Explanation:
    """What a bill of the guest earned and spent, and why."""
    unit = await unit_of(conn, cafe_id)
    if customer_id is None:
        return Explanation.of([], unit)
    booked = await load(conn, cafe_id, customer_id)
    if visit_id not in booked.history:
        return Explanation.of([explaining.not_heard_step(visit_id, now())], unit)
    # Other calls go on beside it: a number that a cafe writes on every bill has a hundred thousand of them.
    recounted = await asyncio.to_thread(explaining.recount, booked, {visit_id})
    steps = explaining.bill_steps(booked, recounted, visit_id, unit)
    steps += [_redeemed(booked, recounted, each) for each in _own(booked) if each.visit_id == visit_id]
    return Explanation.of(steps, unit)


async def explain_guest(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime
) -> Explanation:
    """The guest's bills, redemptions and points by hand between two moments, and whether the books agree."""
    unit = await unit_of(conn, cafe_id)
    booked = await load(conn, cafe_id, customer_id)
    hand = await store.by_hand(conn, cafe_id, customer_id, since, before, MOST_EXPLAINED + 1)
    bills = [each.visit for each in booked.history.values() if since <= each.visit.occurred_at < before]
    spent = [(explaining.redeemed_at(each, booked.history), each) for each in _own(booked)]
    spent = [(at, each) for at, each in spent if since <= at < before]
    moments = [*(each.occurred_at for each in bills), *(each.at for each in hand), *(at for at, _ in spent)]
    cut = next_before(sorted(moments, reverse=True)[: MOST_EXPLAINED + 1])
    least = cut or since
    wanted = {each.visit_id for each in bills if each.occurred_at >= least}
    recounted = await asyncio.to_thread(explaining.recount, booked, wanted)
    steps = [step for visit_id in wanted for step in explaining.bill_steps(booked, recounted, visit_id, unit)]
    steps += [explaining.hand_step(each) for each in hand if each.at >= least]
    steps += [_redeemed(booked, recounted, each) for at, each in spent if at >= least]
    if before == NEVER:
        steps.append(explaining.balance_step(booked, recounted, now()))
    return Explanation.of(steps, unit, cut)


async def load(conn: Connection, cafe_id: UUID, customer_id: UUID) -> Booked:
    """All that is on the books about the guest."""
    guest = (cafe_id, customer_id)
    plans = await plans_of(conn, [cafe_id])
    history = (await histories_of(conn, plans, [guest]))[guest]
    known = {each.redemption_id: each for each in await redemptions.list_of_guests(conn, [guest])}
    # A bill may name a redemption of somebody else.
    names = [each.visit.redemption_id or visit_id for visit_id, each in history.items() if each.visit.points_to_redeem]
    missing = [(cafe_id, name) for name in names if name not in known]
    others = await redemptions.find(conn, missing) if missing else {}
    return Booked(
        cafe_id=cafe_id,
        customer_id=customer_id,
        plan=plans[cafe_id],
        history=history,
        redemptions=known | {name: each for (_, name), each in others.items()},
        facts=(await ledger.load_facts(conn, [guest]))[guest],
        ledger=await store.of_bills(conn, cafe_id, customer_id),
        totals=await store.totals(conn, cafe_id, customer_id),
        rewards=await _rewards(conn, known.values()),
        vouchers={each.voucher_id: each for each in await vouchers.list_of_guests(conn, [guest])},
    )


async def _rewards(conn: Connection, redemptions: Iterable[Redemption]) -> dict[UUID, str]:
    """What the reward of each redemption was called when it was spent for."""
    of = {
        each.redemption_id: (each.cafe_id, each.reward_id, each.reward_version)
        for each in redemptions
        if each.reward_id and each.reward_version
    }
    names = await rewards.names(conn, list(of.values()))
    return {redemption_id: names[version] for redemption_id, version in of.items() if version in names}


def _redeemed(booked: Booked, recounted: Recounted, redemption: Redemption) -> ExplainedStep:
    return explaining.redemption_step(redemption, recounted, booked.rewards.get(redemption.redemption_id))


def _own(booked: Booked) -> list[Redemption]:
    return [each for each in booked.redemptions.values() if each.customer_id == booked.customer_id]
