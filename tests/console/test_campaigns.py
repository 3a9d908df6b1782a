"""Campaigns on their screens: every state has its words and what may be done, steps add up, drafts are kept whole, and
no page costs a call a row."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, get_args
from uuid import UUID, uuid4

import pytest

from services.campaign.messages.models.values import CampaignStatus
from services.campaign.texts.rules import template
from services.console.api.drafts import _amount
from services.console.handlers import campaigns as handlers
from services.console.models import campaigns as told
from services.console.models.guests import GuestCard
from services.console.rules import campaigns as rules
from services.console.store.upstream import RefusedCall
from tests.console.house import CAFE, console

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
OWN, GUEST = (UUID(int=number) for number in (9, 10))
AT = f"/cafes/{CAFE}/campaigns/{OWN}"
HOME = f"/c/{CAFE}/campaigns"
CSRF = "a-token-of-this-session"


def campaign(**changed: Any) -> told.CampaignRow:
    values: dict[str, Any] = {
        "id": OWN, "journey_id": None, "name": "یلدا", "description": None, "purpose": "marketing",
        "ignores_quiet_hours": False, "target_segment": {"segments": ["vip_customers"]}, "estimated_recipients": 10,
        "template_content": "{{name}} عزیز، سلام", "template_variables": {"name": "دوست"}, "scheduled_date": None,
        "wanted_date": None, "at_once": False, "sent_date": None, "status": "draft", "paused_at": None,
        "lapses_at": NOW + timedelta(days=2), "budget": Decimal(100000), "estimated_cost": Decimal(13900),
        "actual_cost": Decimal(13900), "currency_unit": "IRR", "messages_sent": 8, "messages_delivered": 7,
        "created_at": NOW, "created_by": uuid4(), "edited_by": None, "approved_by": None, "approved_at": None,
        "version": 3, "results": told.SumsOfCampaign(10, 8, 1), "failure": None, "warnings": (),
    }  # fmt: skip
    return told.CampaignRow(**(values | changed))


PREVIEW = told.CampaignPreview(
    10, 7, (told.CountOfReason("consent", 3, "no", "رضایت نداده"),),
    (told.SampleMessage(GUEST, "1234", "سارا عزیز، سلام", 1),), 2,
    (told.PartsCount(1, 5), told.PartsCount(2, 2)), Decimal(2780), Decimal(19460), False, Decimal(5000), False, True,
    "IRR",
)  # fmt: skip
FUNNEL = told.FunnelOfCampaign(
    10, 2, 8, 0, 0, 1, 7, 1, 2, 4, 0, 1, 2,
    (
        told.LostMessages("barred", "consent", 2, "no", "رضایت"),
        told.LostMessages("undelivered", "411", 1, "x", "کد 411"),
    ),
)  # fmt: skip
ROW = told.DeliveryRow(GUEST, "delivered", None, None, None, NOW, 1, Decimal(1390), "IRR", True, True)


def answers(row: told.CampaignRow, **changed: Any) -> dict[str, Any]:
    """What the APIs say."""
    base = f"/cafes/{CAFE}"
    results = told.ResultsOfCampaign(NOW, True, FUNNEL, Decimal(1390), Decimal(0), Decimal(5000), None, "IRR")
    segment = told.TargetSegment(uuid4(), "وفادار", "vip_customers", 10, 7, True, "#fff")
    return {
        f"{base}/campaigns": (row, campaign(journey_id=uuid4(), name="مسیر پیام")), AT: row,
        f"{base}/campaigns/preview": PREVIEW, f"{AT}/results": results,
        f"{AT}/deliveries": told.DeliveryRows((ROW,) * 50, "more"), f"{base}/members": (),
        f"{AT}/trail": tuple(told.TrailStep(what, uuid4(), NOW, 1, True) for what in ("written", "paused")),
        f"{base}/segments": (segment,), f"{base}/customers/cards": (card("=کامران"),),
        f"{base}/templates": (told.ReadyText(uuid4(), "متن", "{{name}}، خوش آمدید", {"name": "دوست"}, None),),
    } | changed  # fmt: skip


def card(name: str | None) -> GuestCard:
    return GuestCard(GUEST, name, "1234", "active", 3, NOW, "gold", 120)


STATES = {
    "draft": campaign(),
    "asks": campaign(status="scheduled", at_once=True, scheduled_date=NOW),
    "scheduled": campaign(status="scheduled", scheduled_date=NOW, approved_at=NOW),
    "paused": campaign(status="sending", scheduled_date=NOW, approved_at=NOW, paused_at=NOW),
    "sending": campaign(status="sending", scheduled_date=NOW, approved_at=NOW),
    "sent": campaign(status="sent", sent_date=NOW),
    "completed": campaign(status="completed", sent_date=NOW),
    "cancelled": campaign(status="cancelled"),
    "failed": campaign(status="failed", failure=told.RemarkOnText("segment_gone", "gone", "بخش نیست")),
}


def test_every_state_is_one_word_and_every_status_has_one() -> None:
    assert {name: rules.state_of(row) for name, row in STATES.items()} == {name: name for name in STATES}
    assert set(STATES) == set(get_args(rules.CampaignState))
    assert {row.status for row in STATES.values()} == set(get_args(CampaignStatus))


def test_what_may_be_done_follows_from_the_state() -> None:
    done = {name: rules.acts_of(row) for name, row in STATES.items()}
    assert done["sending"] == ("pause", "cancel")
    assert done["paused"] == ("resume", "cancel")
    assert "edit" in done["asks"]
    assert "edit" in done["scheduled"]
    assert [done[name] for name in ("sent", "completed", "cancelled", "failed")] == [()] * 4


def test_each_step_of_the_funnel_is_the_one_before_without_its_losses() -> None:
    steps = rules.steps_of(FUNNEL)
    for before, step in pairwise(steps[:-1]):
        assert step.guests == before.guests - sum(getattr(FUNNEL, loss) for loss in step.losses)
    assert {loss for step in steps for loss in step.losses} == {
        "barred", "dropped", "failed", "waiting", "undelivered", "on_the_way",
    }  # fmt: skip


def test_text_is_written_and_kept_as_people_write_it() -> None:
    row = campaign()
    assert rules.with_fallbacks(row.template_content, row.template_variables) == "{{name|دوست}} عزیز، سلام"
    body = rules.body_of(row, budget=Decimal(5), currency_unit="IRT")
    assert (body["template"], body["fallbacks"], body["budget"]) == ("{{name}} عزیز، سلام", {"name": "دوست"}, 5)
    assert rules.body_of(campaign(target_segment={"everyone": True}, template_content=""))["target"] == {
        "everyone": True
    }
    assert rules.draft_of(row, counts=False).keys() >= {"target", "template", "counts"}
    assert template.VARIABLES[None] == rules.VARIABLES
    texts = [
        told.ReadyText(uuid4(), "x", text, {}, None) for text in ("{{name|مهمان}} سلام", "ببینید: {{link}}", "سلام")
    ]
    assert [each.content for each in rules.fitting(texts)] == ["{{name|مهمان}} سلام", "سلام"]


def test_a_message_with_persian_in_it_is_read_from_the_right() -> None:
    assert rules.direction_of("{{name|دوست}} عزیز", "ltr") == "rtl"
    assert rules.direction_of("{{name}} hello", "rtl") == "ltr"
    assert rules.direction_of("", "rtl") == "rtl"


def test_what_a_budget_buys_and_how_amounts_are_typed() -> None:
    assert rules.messages_for(Decimal(5000), Decimal(1390)) == 3
    assert rules.messages_for(None, Decimal(1390)) is None
    assert rules.messages_for(Decimal(5000), Decimal(0)) is None
    assert rules.in_own(Decimal(1395), "IRR", "IRT") == Decimal("139.5")
    assert (_amount("۱۲٬۵۰۰"), _amount(" "), _amount("12,500")) == (Decimal(12500), None, Decimal(12500))
    for wrong in ("دوازده", "-5", "1.5", "9" * 16):
        with pytest.raises(RefusedCall):
            _amount(wrong)


@pytest.mark.parametrize("state", STATES)
async def test_every_page_of_every_state_opens_with_eight_calls_at_most(state: str) -> None:
    async with console("manager") as (client, asked, _):
        asked.answers |= answers(STATES[state])
        for path in ("", "/new", "/new?segment=vip_customers", f"/{OWN}", f"/{OWN}?only=skipped&why=consent"):
            asked.asked.clear()
            answer = await client.get(f"{HOME}{path}")
            assert answer.status_code == 200, path
            assert len(asked.asked) <= 9, path
            assert "مسیر پیام" not in answer.text
        for step in rules.STEPS:
            asked.asked.clear()
            answer = await client.get(f"{HOME}/{OWN}/{step}")
            assert (answer.status_code == 200) == ("edit" in rules.acts_of(STATES[state])), step
            assert len(asked.asked) <= 9, step


async def test_pages_open_while_services_are_away() -> None:
    async with console("manager") as (client, asked, _):
        asked.answers |= {AT: STATES["sending"], f"/cafes/{CAFE}/campaigns": (STATES["sending"],)}
        for path in ("", "/new", f"/{OWN}"):
            assert (await client.get(f"{HOME}{path}")).status_code == 200
        asked.answers[AT] = STATES["draft"]
        for step in rules.STEPS:
            assert (await client.get(f"{HOME}/{OWN}/{step}")).status_code == 200


async def test_a_refused_step_keeps_what_was_typed_and_says_why() -> None:
    no = RefusedCall(409, "campaign_changed", "It was changed.", "در این میان تغییر کرده است.", (), 0)
    async with console("manager") as (client, asked, _):
        asked.answers |= answers(STATES["draft"])
        asked.answers[AT] = STATES["draft"]
        form = {"csrf": CSRF, "text": "متنی که نوشتم", "version": "1"}
        assert (await client.post(f"{HOME}/{OWN}/text", data=form)).headers["location"].endswith("/time")
        sent = next(more for _, method, path, more in asked.asked if (method, path) == ("PUT", AT))
        assert "متنی که نوشتم" in sent["content"].decode()
        asked.answers[f"{AT}/schedule"] = no
        answer = await client.post(f"{HOME}/{OWN}/send", data={"csrf": CSRF})
        assert answer.status_code == 409
        assert no.fa in answer.text
        late = await client.post(f"{HOME}/{OWN}/time", data={"csrf": CSRF, "when": "later", "day": "x", "clock": "۱۸"})
        assert late.status_code == 422
        assert 'value="x"' in late.text


async def test_file_of_recipients_is_whole_and_disarmed() -> None:
    async with console("manager") as (client, asked, _):
        asked.answers |= answers(STATES["completed"])
        asked.answers[f"{AT}/deliveries"] = told.DeliveryRows((ROW,), None)
        answer = await client.get(f"{HOME}/{OWN}/files/guests.csv?only=delivered")
        assert answer.content.startswith(b"\xef\xbb\xbf")
        head, line = answer.text.strip().splitlines()
        assert line.split(",")[0] == "'=کامران"
        assert ",139," in line
        assert "تومان" in head
        assert "0912" not in answer.text
        assert (await client.get(f"{HOME}/{OWN}/files/guests.xlsx")).content.startswith(b"PK")


async def test_file_ends_somewhere_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "MOST_IN_FILE", 100)
    async with console("manager") as (client, asked, _):
        asked.answers |= answers(STATES["completed"])
        lines = (await client.get(f"{HOME}/{OWN}/files/guests.csv")).text.strip().splitlines()
    assert len(lines) == 102
    assert "۱۰۰" in lines[-1]
