"""What managers write: texts that embarrass nobody, and targets that there are."""

from datetime import timedelta
from typing import Any

import httpx2
from fastapi import FastAPI

from services.campaign.audience.handlers import guests
from shared.clock import new_id, now
from shared.events.customer import SegmentKey, SegmentListChanged
from tests.campaign.conftest import MANAGER, SECOND, Simulator, World, sign_in

CAMPAIGN: dict[str, Any] = {"name": "یلدا", "target": {"everyone": True}, "template": "یلدا مبارک"}


async def list_segments(world: World, *keys: str, off: tuple[str, ...] = (), minutes_ago: float = 0) -> None:
    listed = SegmentListChanged(
        cafe_id=world.cafe_id, occurred_at=now() - timedelta(minutes=minutes_ago),
        segments=[SegmentKey(segment_id=new_id(), segment_key=key, is_active=key not in off) for key in (*keys, *off)],
    )  # fmt: skip
    await world.react(guests.on_segment_list_changed, listed)


async def written(client: httpx2.AsyncClient, world: World, **change: Any) -> httpx2.Response:
    return await client.post(f"/cafes/{world.cafe_id}/campaigns", json=CAMPAIGN | change)


def codes(answer: httpx2.Response) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(error["field"], error["code"]) for error in answer.json()["errors"]]


async def test_every_way_by_which_a_text_comes_in_refuses_what_a_guest_must_not_read(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    base = f"/cafes/{world.cafe_id}"
    journeys = (await client.get(f"{base}/journeys")).json()
    draft = (await written(client, world)).json()["id"]
    for text, code in (("{{Name}}", "unknown_variable"), ("{{name}} عزیز", "fallback_needed")):
        template = {"name": "عید", "content": text}
        made = (await client.post(f"{base}/templates", json=template | {"content": "عید"})).json()["id"]
        answers = [
            await written(client, world, template=text),
            await client.put(f"{base}/campaigns/{draft}", json=CAMPAIGN | {"template": text}),
            await client.post(f"{base}/templates", json=template),
            await client.put(f"{base}/templates/{made}", json=template),
            *[
                await client.patch(f"{base}/journeys/{each['id']}", json={"template": text, "fallbacks": {}})
                for each in journeys
                if each["trigger"] != "case.opened"
            ],
        ]
        assert [[found for _, found in codes(each)] for each in answers] == [[code]] * 7
    assert codes(await client.post(f"{base}/templates", json=template | {"content": "{{x}}"})) == [
        ("content", "unknown_variable")
    ]


async def test_answers_warn_of_what_looks_like_a_slip_in_both_languages(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    base = f"/cafes/{world.cafe_id}"
    slip = "سلام {name} از {{cafe}}"
    campaign = (await written(client, world, template=slip)).json()
    template = (await client.post(f"{base}/templates", json={"name": "عید", "content": slip})).json()
    journey = next(
        each for each in (await client.get(f"{base}/journeys")).json() if each["trigger"] != "visit.recorded"
    )
    changed = (await client.patch(f"{base}/journeys/{journey['id']}", json={"template": slip})).json()
    for answer in (campaign, template, changed):
        assert [warning["code"] for warning in answer["warnings"]] == ["looks_like_a_variable"]
        assert all(warning["fa"] and "{name}" in warning["en"] for warning in answer["warnings"])
    assert (await written(client, world)).json()["warnings"] == []
    assert all(each["warnings"] == [] for each in (await client.get(f"{base}/journeys")).json() if not each["waiting"])


async def test_texts_for_channels_that_send_nothing_are_refused(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    for channel in ("email", "push", "instagram"):
        body = {"name": "عید", "content": "عید مبارک", "template_type": channel}
        for answer in (
            await client.post(f"/cafes/{world.cafe_id}/templates", json=body),
            await written(client, world, campaign_type=channel),
        ):
            assert (answer.status_code, answer.json()["code"]) == (422, "channel_unavailable")


async def test_guest_without_a_name_gets_what_stands_for_it(world: World, simulator: Simulator) -> None:
    await world.pool.execute("UPDATE campaigns SET template_content = '{{name|دوست}} عزیز', template_variables = '{}'")
    await world.record_visit(await world.add_guest(name=None))
    await world.run_jobs()
    row = await world.delivery()
    # A text from before double braces were refused is not paid for.
    assert (row["delivery_status"], row["error_code"], simulator.texts) == ("skipped", "text", [])

    await world.pool.execute("UPDATE campaigns SET template_content = '{{name}} عزیز، سلام'")
    await world.record_visit(await world.add_guest(name=None))
    await world.run_jobs()
    assert simulator.texts == ["مهمان عزیز، سلام"]


async def test_campaign_to_a_segment_that_is_not_there_is_refused_by_name(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    sign_in(app, MANAGER)
    await list_segments(world, "old_ones", "vip_customers", minutes_ago=5)
    await list_segments(world, "regulars", off=("asleep",))
    await list_segments(world, "old_ones", minutes_ago=3)  # an older list that comes late
    refused = await written(client, world, target={"segments": ["regulars", "no_such", "asleep", "old_ones"]})
    assert codes(refused) == [
        ("target.segments.1", "unknown_segment"), ("target.segments.2", "segment_off"),
        ("target.segments.3", "unknown_segment"),
    ]  # fmt: skip
    assert all(word in refused.text for word in ("no_such", "new_customers, regular", "regulars"))
    assert (await written(client, world, target={"segments": ["regulars", "vip_customers"]})).status_code == 201


async def test_segment_that_went_is_named_when_it_is_scheduled_approved_and_begun(
    app: FastAPI, client: httpx2.AsyncClient, world: World, simulator: Simulator
) -> None:
    sign_in(app, MANAGER)
    await world.add_guest()
    await list_segments(world, "regulars", minutes_ago=5)
    made = (await written(client, world, target={"segments": ["regulars"]})).json()["id"]
    own = f"/cafes/{world.cafe_id}/campaigns/{made}"
    when = {"scheduled_date": (now() + timedelta(minutes=5)).isoformat()}
    assert (await client.post(f"{own}/schedule", json=when)).status_code == 200
    await list_segments(world)
    assert [code for _, code in codes(await client.post(f"{own}/schedule", json=when))] == ["unknown_segment"]
    sign_in(app, SECOND)
    assert [code for _, code in codes(await client.post(f"{own}/approve"))] == ["unknown_segment"]

    await list_segments(world, "regulars")
    assert (await client.post(f"{own}/approve")).status_code == 200
    await list_segments(world)
    await world.pool.execute("UPDATE campaigns SET scheduled_date = now() WHERE status = 'scheduled'")
    await world.run_jobs()
    shown = (await client.get(own)).json()
    assert (shown["status"], shown["failure"]["code"], simulator.texts) == ("failed", "segment_gone", [])
    assert shown["failure"]["fa"]


async def test_segment_from_before_lists_were_told_is_known_by_its_guests(
    app: FastAPI, client: httpx2.AsyncClient, world: World
) -> None:
    await world.enter_vip(await world.add_guest())
    await world.pool.execute("UPDATE segment_members SET segment_key = 'coffee_lovers'")
    sign_in(app, MANAGER)
    assert (await written(client, world, target={"segments": ["coffee_lovers"]})).status_code == 201
    await list_segments(world, "regulars")
    assert (await written(client, world, target={"segments": ["coffee_lovers"]})).status_code == 422
