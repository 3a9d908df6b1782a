"""Several cafes side by side, and what is copied between them: nothing is written over, and each refusal has words."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from services.console.api.rendering import catalogue
from services.console.handlers.chain import CafeGlance
from services.console.models.chain import (
    CopiedThing,
    LibraryText,
    MonthFigures,
    ProgramVersion,
    RuleDifference,
)
from services.console.models.club import RulesAnswer
from services.console.models.people import SignedIn
from services.console.models.segments import SegmentFile
from services.console.models.work import EarlierDay, HourFigures, RatingFigures, TodayFigures
from services.console.rules import copying
from services.console.rules.rule_facts import fact
from services.console.rules.speech import Speech
from services.console.store.upstream import Away, RefusedCall, RefusedField
from services.loyalty.models.programs import ProgramRules
from shared.events.identity import Role
from tests.console.house import CAFE, Told, console, membership

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)
OTHER, THIRD = UUID(int=2), UUID(int=3)
RULES = ProgramRules(tier_period="jalali_year").model_dump(mode="json")
CSRF = {"csrf": "a-token-of-this-session"}


def segment(
    name: str = "خوش‌خرید", key: str = "own", criteria: dict[str, Any] | None = None, **more: Any
) -> SegmentFile:
    about: dict[str, Any] = {
        "id": UUID(int=7), "name": name, "description": None, "segment_key": key,
        "criteria": criteria or {"visit_count": {"min": 3}}, "customer_count": 1, "reachable_count": 1,
        "is_being_calculated": False, "last_calculated_at": None, "is_system_segment": False, "is_active": True,
        "color_hex": "#000000",
    }  # fmt: skip
    return SegmentFile(**(about | more))


def text(name: str = "سلام", content: str = "{{name}} عزیز") -> LibraryText:
    return LibraryText(UUID(int=8), name, "sms", content, {"name": "مهمان"}, None, False)


def program(version: int = 1, days: int = 10, **changes: Any) -> ProgramVersion:
    return ProgramVersion(version, NOW - timedelta(days=days), RULES | changes)


def test_the_rules_in_force_are_copied_but_for_what_is_the_people_of_a_cafe() -> None:
    item = copying.of_program([program(1, 10), program(2, 1, earn_per_toman=500), program(3, -5)], NOW)
    assert item is not None
    assert item.body["rules"]["earn_per_toman"] == 500
    assert "approval_above" not in item.body["rules"]
    assert copying.of_program([program(1, -1)], NOW) is None
    assert set(copying.RULES) | {"approval_above"} == set(RULES)


def test_rules_say_what_would_be_another() -> None:
    item = copying.of_program([program(earn_per_toman=500)], NOW)
    assert item is not None
    step = copying.step_of_rules(item, [program()], NOW)
    assert (step.verdict, step.differences) == ("new", (RuleDifference("earn_per_toman", 1000, 500),))
    assert copying.step_of_rules(item, [program(earn_per_toman=500)], NOW).verdict == "same"
    assert len(copying.step_of_rules(item, [], NOW).differences) == len(copying.RULES)


@pytest.mark.parametrize(
    ("there", "unit", "verdict"),
    [
        ([], "IRT", "new"),
        ([segment("دیگر", "other")], "IRT", "new"),
        ([segment()], "IRT", "same"),
        ([segment("خوش‌خريد", "other", {"points": {"min": 1}})], "IRT", "taken"),
        ([segment("دیگر", "own", {"points": {"min": 1}})], "IRT", "taken"),
        ([segment()], "IRR", "taken"),
    ],
)
def test_a_segment_is_never_written_over(there: list[SegmentFile], unit: str, verdict: str) -> None:
    item = copying.of_segment(segment(), "IRT")
    assert item.body["currency_unit"] == "IRT"
    assert copying.step_of_segment(item, there, unit).verdict == verdict


@pytest.mark.parametrize(
    ("there", "verdict"), [([], "new"), ([text()], "same"), ([text(content="دیگر")], "taken"), ([text("دیگر")], "new")]
)
def test_a_text_is_never_written_over(there: list[LibraryText], verdict: str) -> None:
    assert copying.step_of_text(copying.of_text(text()), there).verdict == verdict


def test_what_names_something_of_the_first_cafe_is_not_copied() -> None:
    criteria = {"all": [{"visit_count": {"min": 1}}, {"branch": [str(OTHER)]}]}
    item = copying.of_segment(segment(criteria=criteria), "IRT")
    assert copying.step_of_segment(item, [], "IRT").verdict == "foreign"
    assert copying.step_of_rules(
        CopiedThing("rules", "rules", "", {"rules": {"for": str(OTHER)}}), [], NOW
    ).verdict == ("foreign")
    assert copying.step_of_text(CopiedThing("text", "t", "t", {"content": f"x {OTHER}"}), []).verdict == "foreign"


def test_every_rule_is_said_in_both_languages() -> None:
    for name in copying.RULES:
        for language in ("fa", "en"):
            for value in (
                RULES[name],
                None
                if name in ("toman_per_point", "points_expire_days", "expiry", "birthday", "pending", "referral")
                else RULES[name],
            ):
                say: Any = partial(catalogue().say, language)
                assert fact(name, value, say=say, speech=Speech(language))
    for kind in ("days", "month_end", "year_end", "never"):
        for after in (0, 1, 3) if kind.endswith("_end") else (0,):
            say = partial(catalogue().say, "en")
            assert fact("expiry", {"kind": kind, "days": 5, "after": after}, say=say, speech=Speech("en"))
    say = partial(catalogue().say, "en")
    for name, term, said in (
        ("birthday", {"points": {"bronze": 50, "gold": 200}}, "up to 200 points"),
        ("pending", {"hours": 24, "above_points": 500}, "24 hours"),
        ("referral", {"referrer": 100, "referee": 50}, "150 points for the two together"),
        ("warn", {"points_days": [14, 3], "tier_days": []}, "1 kind"),
    ):
        assert fact(name, term, say=say, speech=Speech("en")) == said
    say = partial(catalogue().say, "fa")
    assert fact("earn_per_toman", 1000, say=say, speech=Speech()) == "هر ۱٬۰۰۰ تومان خرید"
    assert "×۱٫۲" in fact("tiers", RULES["tiers"], say=say, speech=Speech())


def figures(visits: int = 5, revenue: int | None = 100) -> TodayFigures:
    hours = (HourFigures(0),) * 24
    paid = None if revenue is None else Decimal(revenue)
    return TodayFigures(NOW, visits, 3, 1, paid, hours, EarlierDay(4, 2, paid))


def glance(revenue: int | None, unit: str = "IRT") -> CafeGlance:
    cafe = membership()
    changed = type(cafe)(**{name: getattr(cafe, name) for name in cafe.__struct_fields__} | {"currency_unit": unit})
    return CafeGlance(changed, figures(revenue=revenue), None, RatingFigures(0, None, 0), 0)


def test_money_of_both_units_is_compared_as_what_it_is_worth() -> None:
    assert glance(100).measure("revenue") == glance(1000, "IRR").measure("revenue") == 100
    assert glance(None).measure("revenue") is None
    assert glance(1).measure("return") is None
    assert CafeGlance(membership(), Away("visit"), None, Away("feedback"), Away("feedback")).measure("visits") is None


def answers(told: Told, cafe: UUID, **more: Any) -> None:
    """What the APIs say of one cafe."""
    about = {
        "statistics/today": figures(**more), "statistics/month": MonthFigures(Decimal(40)),
        "feedback/summary": RatingFigures(3, Decimal("4.5"), 1), "cases": (), "programs": (program(),),
        "templates": (text(),), "segments": (segment(),),
    }  # fmt: skip
    told.answers |= {f"/cafes/{cafe}/{path}": found for path, found in about.items()}


def chained(told: Told, *roles: Role) -> None:
    """The person has a cafe for each role: CAFE, OTHER, THIRD."""
    cafes = tuple(membership(role, cafe_id) for role, cafe_id in zip(roles, (CAFE, OTHER, THIRD), strict=False))
    told.caller = SignedIn(told.caller.user_id, told.caller.login, cafes)
    told.answers["/me"] = told.caller


async def test_each_cafe_comes_by_itself_with_what_the_role_there_may_see() -> None:
    async with console() as (client, told, _):
        chained(told, "owner", "staff")
        answers(told, CAFE)
        answers(told, OTHER, revenue=None)
        page = await client.get("/chain")
        assert page.status_code == 200
        assert [path for _, _, path, _ in told.asked if "statistics" in path] == []
        assert page.text.count('hx-get="/chain/') == 2
        row = await client.get(f"/chain/{CAFE}", headers={"hx-request": "true"})
        assert "تومان" in row.text
        told.asked.clear()
        row = await client.get(f"/chain/{OTHER}", headers={"hx-request": "true"})
        assert "تومان" not in row.text
        assert not any("month" in path for _, _, path, _ in told.asked)
        assert len([each for each in told.asked if each[2] != "/me"]) == 3
        assert (await client.get(f"/chain/{THIRD}")).status_code == 404


async def test_the_greatest_comes_first_and_a_cafe_that_does_not_answer_last() -> None:
    async with console() as (client, told, _):
        chained(told, "owner", "owner", "owner")
        answers(told, CAFE, visits=3)
        answers(told, THIRD, visits=9)
        page = (await client.get("/chain?sort=visits")).text
        assert re.findall(r'row"><a class="link-plain" href="/c/([0-9a-f-]+)/', page) == [
            str(THIRD), str(CAFE), str(OTHER),
        ]  # fmt: skip


async def test_copying_says_what_would_change_and_then_what_became_of_it() -> None:
    async with console() as (client, told, _):
        chained(told, "owner", "manager", "owner")
        for cafe in (CAFE, OTHER, THIRD):
            answers(told, cafe)
        told.answers[f"/cafes/{CAFE}/programs"] = (program(earn_per_toman=500),)
        told.answers[f"/cafes/{OTHER}/segments"] = ()
        told.answers[f"/cafes/{THIRD}/segments"] = (segment(criteria={"points": {"min": 1}}),)
        form = CSRF | {
            "source": str(CAFE), "item": ["rules", f"segment.{UUID(int=7)}", f"text.{UUID(int=8)}"],
            "target": [str(OTHER), str(THIRD)],
        }  # fmt: skip
        plan = await client.post("/chain/copy", data=form | {"do": "preview"})
        assert plan.status_code == 200
        assert "هر ۱٬۰۰۰ تومان خرید ← هر ۵۰۰ تومان خرید" in re.sub("[\u2068\u2069]", "", plan.text)
        assert "دست نمی‌خورد" in plan.text
        assert {method for _, method, _, _ in told.asked} == {"GET"}

        async def write(access: Any, service: str, method: str, path: str, kind: Any, **more: Any) -> Any:
            if method == "POST":
                written.append((path, more))
                if path == f"/cafes/{OTHER}/programs":
                    return RulesAnswer(proposal_id=UUID(int=9))
                if path.endswith("/programs"):
                    fault = RefusedField("rules", "an owner must", "تنها مالک می‌تواند")
                    raise RefusedCall(403, "role_too_low", "no", "نه", (fault,), 0)
                return segment()
            return await asked(access, service, method, path, kind, **more)

        written: list[tuple[str, Any]] = []
        asked, told._call = told._call, write  # type: ignore[method-assign, assignment]
        done = await client.post("/chain/copy", data=form | {"do": "copy"})
        assert sorted(path for path, _ in written) == sorted(
            [f"/cafes/{OTHER}/programs", f"/cafes/{THIRD}/programs", f"/cafes/{OTHER}/segments"]
        )
        assert "در انتظار تأیید" in done.text
        assert "تنها مالک می‌تواند" in done.text
        assert "دست نمی‌خورد" in done.text


async def test_nothing_is_copied_into_a_cafe_where_one_is_no_manager() -> None:
    async with console() as (client, told, _):
        chained(told, "owner", "staff")
        answers(told, CAFE)
        answers(told, OTHER)
        form = CSRF | {"source": str(CAFE), "item": "rules", "target": str(OTHER), "do": "copy"}
        assert (await client.post("/chain/copy", data=form)).status_code == 422
        assert (await client.post("/chain/copy", data=form | {"source": str(OTHER)})).status_code == 404
        assert (await client.get(f"/chain/copy?source={OTHER}")).status_code == 404
        assert {method for _, method, _, _ in told.asked} == {"GET"}
