"""The guest's journeys and messages as steps of an explanation."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from services.campaign.journeys.models.explaining import KnownJourney, StayRow
from services.campaign.journeys.rules import explaining
from services.campaign.journeys.store import explaining as store
from services.campaign.journeys.store import runs as runs_store
from shared.clock import now
from shared.database.db import Connection
from shared.inputs.explaining import MOST_EXPLAINED, ExplainedStep, Explanation, next_before
from shared.persian.money import Unit
from shared.security.access import unit_of


async def explain_visit(conn: Connection, cafe_id: UUID, visit_id: UUID, customer_id: UUID | None) -> Explanation:
    """What a visit of the guest led to, and the journeys about visits that it did not begin."""
    unit = await unit_of(conn, cafe_id)
    if customer_id is None:
        return Explanation.of([], unit)
    journeys = await store.journeys(conn, cafe_id)
    runs = await store.runs_of_visit(conn, cafe_id, customer_id, visit_id, MOST_EXPLAINED)
    triggers = [each.trigger_id for each in runs]
    messages = await store.messages_of(conn, cafe_id, customer_id, visit_id, triggers, MOST_EXPLAINED)
    begun = {each.journey_id for each in runs}
    absent = [each for each in journeys.values() if each.journey.trigger == "visit.recorded"]
    moment = now()
    steps = [explaining.run_step(each, journeys[each.journey_id]) for each in runs]
    steps += [explaining.absent_step(each, visit_id, moment) for each in absent if each.journey.id not in begun]
    return Explanation.of([*steps, *_of_messages(messages, unit)], unit)


async def explain_guest(
    conn: Connection, cafe_id: UUID, customer_id: UUID, since: datetime, before: datetime
) -> Explanation:
    """The guest's journeys and messages between two moments, and the journeys that a stay did not begin."""
    unit, journeys = await unit_of(conn, cafe_id), await store.journeys(conn, cafe_id)
    window = (cafe_id, customer_id, since, before)
    runs = await store.runs(conn, *window, MOST_EXPLAINED + 1)
    messages = await store.messages(conn, *window, MOST_EXPLAINED + 1)
    stays = await _not_begun(conn, cafe_id, customer_id, await store.stays(conn, *window))
    moments = [
        *(each.occurred_at for each in runs), *(each["queued_at"] for each in messages),
        *(each.entered_at for each in stays),
    ]  # fmt: skip
    cut = next_before(sorted(moments, reverse=True)[: MOST_EXPLAINED + 1])
    least = cut or since
    steps = [explaining.run_step(each, journeys[each.journey_id]) for each in runs if each.occurred_at >= least]
    steps += _stays(stays, journeys, least)
    steps += _of_messages((each for each in messages if each["queued_at"] >= least), unit)
    return Explanation.of(steps, unit, cut)


def _stays(stays: Iterable[StayRow], journeys: Mapping[UUID, KnownJourney], least: datetime) -> list[ExplainedStep]:
    return [explaining.stay_step(each, journeys[each.journey_id]) for each in stays if each.entered_at >= least]


async def _not_begun(conn: Connection, cafe_id: UUID, customer_id: UUID, stays: list[StayRow]) -> list[StayRow]:
    wanted = [(stay.journey_id, trigger) for stay in stays for trigger in explaining.triggers_of(stay)]
    begun = {journey_id for journey_id, _ in await runs_store.find_runs(conn, cafe_id, customer_id, wanted)}
    return [stay for stay in stays if stay.journey_id not in begun]


def _of_messages(messages: Iterable[Mapping[str, Any]], unit: Unit) -> list[ExplainedStep]:
    steps = []
    for each in messages:
        steps.append(explaining.message_step(each, unit))
        steps += [explaining.decision_step(each["id"], decision, unit) for decision in each["decisions"]]
    return steps
