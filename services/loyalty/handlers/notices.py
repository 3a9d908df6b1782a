"""Telling guests in time: that points lapse soon, that a tier ends soon."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from services.loyalty.handlers.guests import plans_of
from services.loyalty.models.accounts import Plan
from services.loyalty.rules import notices as rules
from services.loyalty.rules import tiers
from services.loyalty.store import notices
from services.loyalty.store.notices import NoticeTurn, Search
from shared.clock import now
from shared.database.db import Connection, Pool
from shared.jobs.by_cafe import ByCafe
from shared.messaging import outbox
from shared.persian.calendar import day_bounds, local_date

CAFES_AT_ONCE = 50
NOTICES_AT_ONCE = 1000

_telling = ByCafe("loyalty", "loyalty.tell_in_time")


async def tell(pool: Pool) -> int:
    """Tells what ends soon to guests of the cafes whose turn it is, at most `NOTICES_AT_ONCE` of each kind; how much
    it did."""
    moment = now()
    return await _telling.run(
        pool,
        lambda conn, aside: notices.due_turns(conn, moment, aside, CAFES_AT_ONCE),
        lambda conn, turns: _tell(conn, turns, moment),
        cafe_of=lambda turn: turn.cafe_id,
    )


async def _tell(conn: Connection, turns: Sequence[NoticeTurn], moment: datetime) -> int:
    plans = await plans_of(conn, {turn.cafe_id for turn in turns})
    warned = {cafe_id: plan for cafe_id, plan in plans.items() if tiers.in_force(plan, moment).warns}
    of_points = await notices.note_points(conn, _searches(warned, moment, of_tiers=False), moment, NOTICES_AT_ONCE)
    of_tiers = await notices.note_tiers(conn, _searches(warned, moment, of_tiers=True), moment, NOTICES_AT_ONCE)
    events = [rules.points_expiring(row, moment) for row in of_points]
    events += [rules.tier_expiring(plans[row["cafe_id"]], row, moment) for row in of_tiers]
    await outbox.emit(conn, events)
    if max(len(of_points), len(of_tiers)) < NOTICES_AT_ONCE:
        await notices.forget(conn, [(each, local_date(moment, plan.time_zone)) for each, plan in plans.items()])
        await notices.end_turns(conn, turns)
        await notices.ask_turns(
            conn, [NoticeTurn(each, rules.next_turn(plan, moment)) for each, plan in warned.items()]
        )
    return len(turns) + len(events)


def _searches(plans: Mapping[UUID, Plan], moment: datetime, *, of_tiers: bool) -> list[Search]:
    found = []
    for cafe_id, plan in plans.items():
        warns = tiers.in_force(plan, moment).warns
        days = () if warns is None else warns.tier_days if of_tiers else warns.points_days
        if days:
            today = local_date(moment, plan.time_zone)
            last = today + timedelta(days=max(days))
            steps = "{" + ",".join(map(str, days)) + "}"
            found.append(Search(cafe_id, plan.time_zone, today, last, day_bounds(last, plan.time_zone)[1], steps))
    return found
