"""The pages of a rehearsal: while it runs, what it found, and what one does then."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.console.models.club import RulesAnswer, RulesVersion
from services.console.models.rehearsals import GroupOfGuests, PointsOfMonth, RehearsalOfClub
from services.console.rules import rehearsal_views
from services.console.rules.speech import Speech
from services.console.store.upstream import RefusedCall
from tests.console.house import CAFE, console

ID, GUEST, BILL = uuid4(), uuid4(), uuid4()
HOME = f"/c/{CAFE}/club/rehearsals"
API = f"/cafes/{CAFE}/programs"
RULES: dict[str, Any] = {
    "earn_per_toman": 500, "tier_period": "jalali_year", "points_expire_days": None, "approval_above": 1000,
    "tiers": [{"tier": "bronze", "threshold": 0, "multiplier": "1"}], "negative_balance": "allow_after_refund",
}  # fmt: skip
VERSION = msgspec.convert(
    {
        "version": 1, "earn_per": "1000", "point_worth": None, "currency_unit": "IRT",
        "valid_from": "1970-01-01T00:00:00Z", "created_at": "1970-01-01T00:00:00Z", "rules": RULES,
    },
    RulesVersion,
    strict=False,
)  # fmt: skip


def report(**changes: Any) -> dict[str, Any]:
    guest = {"customer_id": GUEST, "points_before": 40, "points_after": 90, "tier_before": "bronze"}
    check = {"holds": True, "visits": 12, "visits_differing": 0, "redemptions_differing": 0, "recount_waits": False}
    return {
        "at": "2026-11-29T08:30:00Z", "ladder_at": "2026-11-29T08:30:00Z", "guests": 3,
        "check": {**check, "differing_visits": []},
        "points_before": 400, "points_after": 700, "liability_before": 300, "liability_after": 600,
        "months": [
            {"month": "2026-10-23", "rule": "base", "before": 300, "after": 500},
            {"month": "2026-11-22", "rule": "base", "before": 100, "after": 150},
            {"month": "2026-11-22", "rule": "beans", "before": 0, "after": 50},
        ],
        "lapses": [{"month": "2027-03-21", "before": 100, "after": 0}, {"month": None, "before": 200, "after": 600}],
        "cards_before": 0, "cards_after": 2, "redemptions": 5,
        "uncovered": 1, "uncovered_points": 80, "uncovered_guests": 1,
        "ladder": [{"tier": "bronze", "before": 3, "after": 2}, {"tier": "gold", "before": 0, "after": 1}],
        "moves": [{"origin": "bronze", "target": "gold", "guests": 1}],
        "winning": 1, "losing": 0, "winners": [{**guest, "tier_after": "gold"}], "losers": [],
        "groups": [{"least": None, "most": -1, "guests": 0}, {"least": 0, "most": 0, "guests": 2},
                   {"least": 1, "most": None, "guests": 1}],
    } | changes  # fmt: skip


def rehearsal(state: str = "done", found: dict[str, Any] | None = None, **changes: Any) -> RehearsalOfClub:
    fields = {
        "rehearsal_id": ID, "state": state, "mode": "always", "valid_from": None, "asked_at": "2026-11-29T08:30:00Z",
        "error_en": None, "error_fa": None, "rules": RULES, "earn_per": "500", "point_worth": "20",
        "currency_unit": "IRT", "issued_worth_before": None, "issued_worth_after": "14000",
        "held_worth_before": None, "held_worth_after": "12000",
        "report": (found or report()) if state == "done" else None,
    } | changes  # fmt: skip
    return msgspec.convert(msgspec.to_builtins(fields), RehearsalOfClub, strict=False)


def answers(one: RehearsalOfClub) -> dict[str, Any]:
    return {f"{API}/rehearsals/{ID}": one, API: (VERSION,)}


@pytest.mark.parametrize("language", ["fa", "en"])
async def test_page_says_the_check_first_and_shows_every_chart_with_its_table(language: str) -> None:
    async with console(language=language) as (client, told, _):
        told.answers |= answers(rehearsal())
        answer = await client.get(f"{HOME}/{ID}")
    text = answer.text
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' not in text
    check = "The count is right" if language == "en" else "محاسبه درست است"
    assert text.index(check) < text.index('class="stats"')
    charts = text.split('<figure class="chart">')[1:]
    assert len(charts) == 4
    for chart in charts:
        figure = chart.partition("</figure>")[0]
        assert 'role="img"' in figure
        assert "<figcaption" in figure
        assert "<table>" in figure
    assert f'href="/c/{CAFE}/guests/{GUEST}"' in text
    assert f'action="{HOME}/{ID}/publish"' in text
    assert f'href="{HOME}/{ID}/guests.csv"' in text


async def test_page_asks_again_while_it_runs_and_publishes_nothing_then() -> None:
    async with console() as (client, told, _):
        told.answers |= answers(rehearsal("running"))
        text = (await client.get(f"{HOME}/{ID}")).text
    assert '<meta http-equiv="refresh" content="3">' in text
    assert "/publish" not in text


async def test_check_that_fails_is_an_alarm_with_the_bills() -> None:
    check = {"holds": False, "visits": 12, "visits_differing": 1, "redemptions_differing": 0, "recount_waits": True}
    wrong = report(check={**check, "differing_visits": [{"visit_id": BILL, "kept": 7, "counted": 40}]})
    async with console(language="en") as (client, told, _):
        told.answers |= answers(rehearsal(found=wrong))
        text = (await client.get(f"{HOME}/{ID}")).text
    assert "Do not rely on this report" in text
    assert f'href="/c/{CAFE}/visits/{BILL}"' in text
    assert "counted anew by newer rules" in text


async def test_failed_one_says_why_and_can_be_asked_for_again() -> None:
    async with console() as (client, told, _):
        told.answers |= answers(rehearsal("failed", error_en="why", error_fa="چرا"))
        text = (await client.get(f"{HOME}/{ID}")).text
    assert "چرا" in text
    assert f'action="{HOME}/{ID}/again"' in text
    assert "/publish" not in text


async def test_rehearsed_rules_are_published_from_there_with_their_rehearsal() -> None:
    async with console() as (client, told, _):
        told.answers |= answers(rehearsal()) | {API: RulesAnswer(version=2)}
        answer = await client.post(f"{HOME}/{ID}/publish", data={"csrf": "a-token-of-this-session"})
        sent = msgspec.json.decode(told.asked[-1][3]["content"])
    assert (answer.status_code, answer.headers["location"]) == (303, f"/c/{CAFE}/club?done=published")
    assert sent == {"rules": RULES, "rehearsal_id": str(ID)}


async def test_the_other_way_is_asked_for_with_the_same_rules_and_an_open_one_is_waited_for() -> None:
    async with console() as (client, told, _):
        told.answers |= answers(rehearsal()) | {f"{API}/rehearsals": rehearsal("waiting")}
        form = {"csrf": "a-token-of-this-session", "mode": "from_date"}
        answer = await client.post(f"{HOME}/{ID}/again", data=form)
        assert msgspec.json.decode(told.asked[-1][3]["content"]) == {"rules": RULES, "mode": "from_date"}
        assert answer.headers["location"] == f"{HOME}/{ID}"
        told.answers[f"{API}/rehearsals"] = RefusedCall(409, "rehearsal_open", "", "", (), 0)
        assert (await client.post(f"{HOME}/{ID}/again", data=form)).headers["location"] == HOME


async def test_list_has_each_with_its_state() -> None:
    async with console(language="en") as (client, told, _):
        told.answers |= {f"{API}/rehearsals": (rehearsal(), rehearsal("failed"))}
        text = (await client.get(HOME)).text
        assert text.count(f"{HOME}/{ID}") == 2
        told.answers |= {f"{API}/rehearsals": ()}
        assert "No rules were rehearsed yet" in (await client.get(HOME)).text


def test_figures_are_put_in_the_order_of_the_charts() -> None:
    months = [
        PointsOfMonth(date(2026, 11, 22), "base", 5, 1), PointsOfMonth(date(2026, 10, 23), "base", 2, 9),
        PointsOfMonth(date(2026, 11, 22), "visit", 1, 30),
    ]  # fmt: skip
    drawn = rehearsal_views.by_month(months, Speech("en"))
    assert (drawn.words, drawn.before, drawn.after) == (["Aban 1405", "Azar 1405"], [2, 6], [9, 31])
    assert list(rehearsal_views.by_rule(months).items()) == [("visit", (1, 30)), ("base", (7, 10))]


@pytest.mark.parametrize(
    ("group", "word"),
    [
        (GroupOfGuests(None, -1000, 1), "… −1,000"), (GroupOfGuests(0, 0, 1), "0"),
        (GroupOfGuests(1, 29, 1), "+1 … +29"), (GroupOfGuests(1000, None, 1), "+1,000 …"),
    ],
)  # fmt: skip
def test_groups_are_named_by_their_bounds(group: GroupOfGuests, word: str) -> None:
    assert rehearsal_views.group_word(group, Speech("en")) == word


def test_draft_is_compared_with_the_newest_rules_and_sent_again_as_it_is() -> None:
    found = rehearsal()
    about = {each.after.about for each in rehearsal_views.changes_of(found, VERSION, Speech())}
    assert about == {"earn", "worth"}
    begins = datetime(2027, 1, 1, tzinfo=UTC)
    assert rehearsal_views.body_of(found, begins=begins) == {"rules": RULES, "rehearsal_id": ID, "valid_from": begins}
    assert rehearsal_views.body_of(found, mode="always") == {"rules": RULES, "mode": "always"}
    assert found.earn_per == Decimal(500)
    assert isinstance(found.rehearsal_id, UUID)
