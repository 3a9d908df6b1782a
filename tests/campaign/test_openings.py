"""What guests do with the link in a message, in whatever order it is heard."""

from datetime import timedelta
from typing import Any

import pytest

from services.campaign.messages.handlers import openings
from shared.clock import new_id, now
from shared.events.feedback import FeedbackReceived, LinkOpened
from tests.campaign.conftest import Simulator, World


@pytest.mark.parametrize("order", [(1, 2, 3, "answer"), ("answer", 3, 1, 2), (3, 3, "answer", 2, 1)])
async def test_three_openings_are_three_clicks_whatever_order_they_and_the_answer_come_in(
    order: tuple[int | str, ...], world: World, simulator: Simulator
) -> None:
    guest = await world.add_guest()
    visit = await world.record_visit(guest)
    await world.run_jobs()
    begin = now()
    about: dict[str, Any] = {"cafe_id": world.cafe_id, "customer_id": guest, "visit_id": visit.visit_id}
    for each in order:
        if isinstance(each, int):
            opened = LinkOpened(**about, occurred_at=begin + timedelta(minutes=each), times=each)
            await world.react(openings.on_link_opened, opened)
        else:
            answer = FeedbackReceived(
                **about, occurred_at=begin + timedelta(minutes=5), feedback_id=new_id(), visit_at=None,
                source="sms_link", overall_rating=5,
            )  # fmt: skip
            await world.react(openings.on_feedback_received, answer)
    row, campaign = await world.delivery(), await world.campaign()
    assert (row["delivery_status"], row["link_clicks"]) == ("opened", 3)
    assert row["opened_at"] == begin + timedelta(minutes=1)
    assert (campaign["messages_opened"], campaign["messages_delivered"]) == (1, 1)


async def test_opening_before_the_providers_answer_is_kept(world: World, simulator: Simulator) -> None:
    guest = await world.add_guest()
    visit = await world.record_visit(guest)
    simulator.fail("error_after")
    await world.run_jobs()
    assert (await world.delivery())["delivery_status"] == "sending"
    opened = LinkOpened(
        cafe_id=world.cafe_id, customer_id=guest, visit_id=visit.visit_id, occurred_at=now(), times=1
    )  # fmt: skip
    await world.react(openings.on_link_opened, opened)
    await world.settle_unknown()
    row, campaign = await world.delivery(), await world.campaign()
    assert (row["delivery_status"], row["link_clicks"], row["opened_at"]) == ("opened", 1, opened.occurred_at)
    assert (campaign["messages_opened"], campaign["messages_delivered"], campaign["messages_sent"]) == (1, 1, 1)
