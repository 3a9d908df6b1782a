"""The editor of rules: its fields say what the rules are, nothing typed is lost, and each fault has its place."""

import re
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.console.models.club import RulesAnswer, RulesOfClub, RulesVersion
from services.console.rules.club_rules import changes
from services.console.rules.rule_blanks import WEEK
from services.console.rules.rule_draft import entries, fields_of, moved, rules_of
from services.console.rules.rule_forms import FORMS, PLACES
from services.console.rules.rule_writing import as_fields, field_at, written_rules
from services.console.rules.speech import Speech
from services.console.store import club
from services.loyalty.models.programs import EARNING, ProgramRules
from tests.console.house import CAFE, console
from tests.console.test_club_rules import version

PERSIAN, ENGLISH, RIAL = Speech(), Speech("en", "gregorian"), Speech(unit="IRR")
BRANCH = UUID("00000000-0000-4000-8000-0000000000b1")
POINTS = st.integers(1, 10**6)
TOMAN = st.integers(1, 10**9)
WORD = st.sampled_from(["قهوه", "لاته، داغ", "Iced, cold", "کیک", "CAKE-1", "چای سبز"])
WORDS = st.lists(WORD, max_size=3, unique=True)
MENU = st.fixed_dictionaries({"categories": WORDS, "names": WORDS, "skus": WORDS}).filter(
    lambda each: any(each.values())
)
# As the API keeps them: what is not said stands there as null, nought or an empty list.
LIMITS = {"minimum_toman": st.one_of(st.just(0), TOMAN), "by_tier": st.booleans()}
EXCLUDE = {"exclude": st.none() | st.just({"categories": ["دخانیات"], "names": [], "skus": []})}
RULE = st.one_of(
    st.fixed_dictionaries({"kind": st.just("amount"), "toman_per_point": TOMAN, **EXCLUDE, **LIMITS}),
    st.fixed_dictionaries(
        {"kind": st.just("visit"), "points": POINTS, "per_day": st.none() | st.integers(1, 100), **LIMITS}
    ),
    st.fixed_dictionaries({"kind": st.just("item"), "points": POINTS, "match": MENU, **EXCLUDE, **LIMITS}),
    st.fixed_dictionaries({"kind": st.just("item"), "toman_per_point": TOMAN, "match": MENU, **EXCLUDE, **LIMITS}),
    st.fixed_dictionaries(
        {"kind": st.just("nth_visit"), "n": st.lists(st.integers(1, 100_000), min_size=1, max_size=4), "points": POINTS}
        | LIMITS
    ),
    st.fixed_dictionaries(
        {"kind": st.just("every_nth_visit"), "n": st.integers(2, 100_000), "points": POINTS, **LIMITS}
    ),
)
SPAN = st.tuples(st.dates(date(2026, 1, 1), date(2027, 12, 31)), st.integers(7, 60)).map(
    lambda pair: {
        "first": pair[0].isoformat(),
        "last": date.fromordinal(pair[0].toordinal() + pair[1]).isoformat(),
    }
)
CLOCK = st.integers(1, 11).map(lambda hour: f"{hour:02}:30")
LATER = st.integers(12, 23).map(lambda hour: f"{hour}:00")
TIMES = st.fixed_dictionaries(
    {
        "factor": st.integers(10, 1000).map(lambda each: str(Decimal(each) / 100)),
        "on": st.just([]) | st.just(["base"]),
        # In the order of the week: the order of ticks says nothing.
        "weekdays": st.sets(st.sampled_from(WEEK)).map(lambda days: sorted(days, key=WEEK.index)),
        "from_time": st.none() | CLOCK,
        "until_time": st.none() | LATER,
        "dates": st.lists(SPAN, max_size=3),
        "branches": st.just([]) | st.just([str(BRANCH)]),
        "segments": st.just([]) | st.just(["regulars", "vip_customers"]),
    }
)
CAP = st.none() | POINTS
CARD = st.fixed_dictionaries(
    {
        "name": WORD,
        "need": st.integers(2, 100),
        "reward": WORD,
        "match": st.none() | MENU,
        "per": st.sampled_from(["quantity", "visit"]),
        "per_visit": st.none() | st.integers(1, 100),
        "minimum_toman": st.one_of(st.just(0), TOMAN),
        "lives_days": st.none() | st.integers(1, 3660),
    }
)
BIRTHDAY = st.fixed_dictionaries(
    {"points": st.fixed_dictionaries(dict.fromkeys(("bronze", "silver", "gold", "platinum"), POINTS))}
)
REFERRAL = st.fixed_dictionaries(
    {
        "referrer": POINTS,
        "referee": POINTS,
        "minimum_bill": st.one_of(st.just(0), TOMAN),
        "within_days": st.integers(1, 365),
        "referrer_visits": st.integers(0, 1000),
        "per_month": st.integers(1, 1000),
    }
)
EXPIRY = st.one_of(
    st.fixed_dictionaries({"kind": st.just("days"), "days": st.integers(1, 3660)}),
    st.fixed_dictionaries({"kind": st.sampled_from(["month_end", "year_end"]), "after": st.integers(0, 10)}),
)
WARN_DAYS = st.lists(st.integers(1, 60), max_size=3, unique=True)


def keyed(name: str, several: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each | {"key": f"{name}_{place}"} for place, each in enumerate(several, 1)]


RULES = st.fixed_dictionaries(
    {
        "base": st.fixed_dictionaries({"minimum_toman": st.one_of(st.just(0), TOMAN), **EXCLUDE}),
        "earn": st.lists(RULE, max_size=5).map(lambda each: keyed("earn", each)),
        "multiply": st.lists(TIMES, max_size=3).map(lambda each: keyed("times", each)),
        "stacking": st.sampled_from(["best", "product"]),
        "caps": st.fixed_dictionaries({"visit": CAP, "day": CAP, "month": CAP}),
        "cards": st.lists(CARD, max_size=2).map(lambda each: keyed("card", each)),
        "birthday": st.none() | BIRTHDAY,
        "referral": st.none() | REFERRAL,
        "pending": st.none() | st.fixed_dictionaries({"hours": st.integers(1, 720), "above_points": POINTS}),
        "expiry": st.none() | EXPIRY,
        "warn": st.fixed_dictionaries({"points_days": WARN_DAYS, "tier_days": WARN_DAYS}),
    }
)


def kept(rules: dict[str, Any]) -> dict[str, Any]:
    """Rules as the API keeps them."""
    return ProgramRules.model_validate({"tier_period": "jalali_year", **rules}).model_dump(mode="json")


@pytest.mark.parametrize("s", [PERSIAN, ENGLISH, RIAL], ids=["fa", "en", "rial"])
@given(drawn=RULES)
def test_fields_of_rules_give_the_rules_again(s: Speech, drawn: dict[str, Any]) -> None:
    rules = kept(drawn)
    # Through what the console reads of the answer, as the editor does.
    read = msgspec.to_builtins(msgspec.convert(rules, RulesOfClub, strict=False))
    fields = fields_of(read, s)
    again, faults = rules_of(fields, s)
    assert faults == {}
    assert kept(again) == rules
    assert fields_of(kept(again), s) == fields


@pytest.mark.parametrize("s", [PERSIAN, ENGLISH, RIAL], ids=["fa", "en", "rial"])
@given(drawn=RULES)
def test_version_that_nobody_touched_changes_nothing(s: Speech, drawn: dict[str, Any]) -> None:
    now = of(drawn, point_worth=Decimal(100), currency_unit=s.unit)
    found = written_rules(as_fields(now, s), now, s)
    assert found.faults == {}
    assert found.version is not None
    assert found.body is not None
    assert changes(now, found.version, s) == ()
    assert {name: kept(found.body["rules"])[name] for name in EARNING} == {name: kept(drawn)[name] for name in EARNING}
    assert (found.body["earn_per"], found.body["point_worth"]) == ("10000", "100")
    assert "approval_above" not in found.body["rules"]


def of(rules: dict[str, Any], **more: Any) -> RulesVersion:
    """A version with these rules of earning."""
    made = version(**more)
    own = msgspec.convert(kept(rules), RulesOfClub, strict=False)
    names = {name: getattr(own, name) for name in EARNING}
    return replace(made, rules=replace(made.rules, **names))


def test_every_kind_is_written_from_an_empty_form_as_a_person_types_it() -> None:
    fields = fields_of(kept({}), PERSIAN)
    for key in ("visit", "item", "item_amount", "every_nth_visit", "nth_visit", "amount", "times"):
        fields = moved(fields, f"add.{key}")
    for step in ("with.earn.0.per_day", "with.earn.1.by_tier", "with.multiply.0.weekdays", "with.multiply.0.hours"):
        fields = moved(fields, step)
    for step in ("with.multiply.0.dates", "with.multiply.0.on", "with.caps.cap_day", "with.base.minimum_toman"):
        fields = moved(fields, step)
    typed = {
        "earn.0.points": "۵", "earn.0.per_day": "۱", "earn.1.points": "٢٠", "earn.2.toman_per_point": "۱۰٬۰۰۰",
        "earn.3.n": "10", "earn.3.points": "۵۰", "earn.4.n": "۱، ۵ 10", "earn.4.points": "1,000",
        "earn.5.toman_per_point": "7000", "multiply.0.factor": "۱٫۵", "multiply.0.from_time": "۱۵",
        "multiply.0.until_time": "18:30", "caps.day": "۳۰۰۰", "base.minimum_toman": "۵۰٬۰۰۰",
        "multiply.0.dates.0.first": "۱۴۰۵/۱۲/۲۹", "multiply.0.dates.0.last": "1406/01/13",
    }  # fmt: skip
    fields |= {name: (each,) for name, each in typed.items()}
    fields |= {"earn.1.match.what": ("name", "category"), "earn.1.match.word": ("لاته", "")}
    fields |= {"earn.2.match.what": ("category",), "earn.2.match.word": ("دانه",)}
    fields |= {"multiply.0.weekdays": ("tue",), "multiply.0.on": ("base", "visit_1")}
    rules, faults = rules_of(fields, PERSIAN)
    assert faults == {}
    assert [each["key"] for each in rules["earn"]] == [
        "visit_1", "item_1", "item_amount_1", "every_nth_visit_1", "nth_visit_1", "amount_1",
    ]  # fmt: skip
    own = ProgramRules.model_validate({"tier_period": "jalali_year", **rules})
    assert own.model_dump(mode="json", exclude_defaults=True, include=set(EARNING)) == {
        "base": {"minimum_toman": 50_000},
        "earn": [
            {"key": "visit_1", "kind": "visit", "points": 5, "per_day": 1},
            {"key": "item_1", "kind": "item", "points": 20, "match": {"names": ["لاته"]}, "by_tier": True},
            {"key": "item_amount_1", "kind": "item", "toman_per_point": 10_000, "match": {"categories": ["دانه"]}},
            {"key": "every_nth_visit_1", "kind": "every_nth_visit", "n": 10, "points": 50},
            {"key": "nth_visit_1", "kind": "nth_visit", "n": [1, 5, 10], "points": 1000},
            {"key": "amount_1", "kind": "amount", "toman_per_point": 7000},
        ],
        "multiply": [
            {
                "key": "times_1", "factor": "1.5", "on": ["base", "visit_1"], "weekdays": ["tue"],
                "from_time": "15:00", "until_time": "18:30",
                "dates": [{"first": "2027-03-20", "last": "2027-04-02"}],
            }
        ],
        "caps": {"day": 3000},
    }  # fmt: skip


def test_rules_move_and_go_and_their_keys_never_come_again() -> None:
    fields = fields_of(kept({}), PERSIAN)
    for key in ("visit", "amount", "visit"):
        fields = moved(fields, f"add.{key}")
    fields["earn.2.points"] = ("نه عدد",)
    up = moved(fields, "up.earn.2")
    assert [form.key for _, form in entries(up, "earn")] == ["visit", "visit", "amount"]
    assert up["earn.1.points"] == ("نه عدد",)
    assert moved(up, "down.earn.1") == fields
    gone = moved(fields, "remove.earn.2")
    assert [form.key for _, form in entries(gone, "earn")] == ["visit", "amount"]
    assert moved(gone, "add.visit")["earn.2.key"] == ("visit_3",)
    for step in ("up.earn.0", "down.earn.2", "remove.earn.9", "remove.tiers.0", "add.nothing", "dance", "up.earn.x"):
        assert moved(fields, step) == fields, step


def test_condition_that_is_taken_away_says_nothing_and_one_that_is_empty_is_a_fault() -> None:
    fields = moved(moved(fields_of(kept({}), PERSIAN), "add.visit"), "with.earn.0.per_day")
    fields["earn.0.points"] = ("۵",)
    assert rules_of(fields, PERSIAN)[1] == {"earn.0.per_day": "empty"}
    fields["earn.0.per_day"] = ("۲",)
    rules, faults = rules_of(moved(fields, "without.earn.0.per_day"), PERSIAN)
    assert faults == {}
    assert rules["earn"] == [{"kind": "visit", "key": "visit_1", "points": 5}]


@pytest.mark.parametrize(
    ("field", "typed", "fault"),
    [
        ("earn_per", "", "needed"),
        ("earn_per", "هزار", "number"),
        ("earn_per", "1e-99999999", "number"),
        ("silver_multiplier", "", "needed"),
        ("tier_grace_days", "-3", "whole"),
        ("tier_grace_days", "۱٫۵", "whole"),
        ("point_worth", "NaN", "number"),
        ("earn.0.points", "", "needed"),
        ("earn.0.points", "پنج", "whole"),
        ("earn.0.points", "۵٫۵", "whole"),
        ("multiply.0.factor", "دو", "number"),
        ("multiply.0.from_time", "25:00", "clock"),
        ("multiply.0.dates.0.first", "1405/13/01", "day"),
    ],
)
def test_what_can_not_be_read_is_named_at_its_field(field: str, typed: str, fault: str) -> None:
    spans = [{"first": "2026-12-01", "last": "2026-12-02"}]
    own = {
        "earn": [{"key": "visit", "kind": "visit", "points": 5}],
        "multiply": [{"key": "m", "factor": "2", "from_time": "15:00", "dates": spans}],
    }
    now = of(own)
    found = written_rules(as_fields(now, PERSIAN) | {field: (typed,)}, now, PERSIAN)
    assert (found.version, found.body, found.faults) == (None, None, {field: fault})


def test_in_a_cafe_of_rial_amounts_are_rial_and_what_is_no_whole_toman_says_so() -> None:
    fields = moved(fields_of(kept({}), RIAL), "add.amount")
    fields["earn.0.toman_per_point"] = ("۷۰٬۰۰۰",)
    assert rules_of(fields, RIAL)[0]["earn"][0]["toman_per_point"] == 7000
    fields["earn.0.toman_per_point"] = ("۷۰٬۰۰۵",)
    assert rules_of(fields, RIAL)[1] == {"earn.0.toman_per_point": "whole_toman"}


def test_empty_threshold_leaves_the_tier_out() -> None:
    now = version()
    found = written_rules(
        as_fields(now, PERSIAN) | {"silver_threshold": ("",), "silver_multiplier": ("",)}, now, PERSIAN
    )
    assert found.version is not None
    assert [each.tier for each in found.version.rules.tiers] == ["bronze"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("rules.earn.0.points", "earn.0.points"),
        ("rules.earn.1.match.names.0", "earn.1.match"),
        ("rules.earn.1.match", "earn.1.match"),
        ("rules.earn.1", "earn.1"),
        ("rules.earn.0.key", "earn.0"),
        ("rules.multiply.0.dates", "multiply.0.dates"),
        ("rules.multiply.0.dates.0.last", "multiply.0.dates.0.last"),
        ("rules.multiply.0.dates.0", "multiply.0.dates.0.last"),
        ("rules.multiply.0.on", "multiply.0.on"),
        ("rules.caps.day", "caps.day"),
        ("rules.tiers.1.multiplier", "silver_multiplier"),
        ("rules.tiers", "tiers"),
        ("rules.earn", "earn"),
        ("earn_per", "earn_per"),
        ("rules.toman_per_point", "point_worth"),
        ("valid_from", "from_day"),
    ],
)
def test_fault_of_the_api_comes_back_at_the_field_that_it_means(path: str, field: str) -> None:
    own = {
        "earn": [
            {"key": "visit", "kind": "visit", "points": 5},
            {"key": "item", "kind": "item", "points": 5, "match": {"names": ["لاته"]}},
        ],
        "multiply": [{"key": "m", "factor": "2", "dates": [{"first": "2026-12-01", "last": "2026-12-02"}]}],
    }
    now = of(own)
    assert field_at(path, as_fields(now, PERSIAN), now) == field


def test_every_field_of_the_rules_has_its_blank() -> None:
    """A field that is added to the program is a sentence here, or said by one of the plain fields."""
    plain = {"earn_per_toman", "toman_per_point", "tiers", "tier_period", "points_expire_days", "stacking"}
    plain |= {"negative_balance", "approval_above", "tier_grace_days", "downgrade"}
    assert {each.name for each in PLACES} | plain == set(ProgramRules.model_fields)
    assert len({each.key for each in FORMS}) == len(FORMS)


HOME = f"/c/{CAFE}/club/rules"


def answers() -> dict[str, Any]:
    own = {
        "base": {"minimum_toman": 50_000},
        "earn": [{"key": "item", "kind": "item", "points": 20, "match": {"names": ["لاته"]}}],
        "multiply": [{"key": "m", "factor": "2", "weekdays": ["tue"], "on": ["item", "gone"]}],
    }
    return {f"/cafes/{CAFE}/programs": (of(own),)}


def form_of_page(text: str) -> dict[str, list[str]]:
    """The fields of the page as a browser without JavaScript posts them."""
    found: dict[str, list[str]] = {}
    for tag in re.findall(r"<input[^>]*>", text):
        name, value = (re.search(rf' {each}="([^"]*)"', tag) for each in ("name", "value"))
        if not name or (('type="checkbox"' in tag or 'type="radio"' in tag) and " checked" not in tag):
            continue
        found.setdefault(name[1], []).append(value[1] if value else "on")
    for name, options in re.findall(r'<select[^>]* name="([^"]*)"[^>]*>(.*?)</select>', text, re.S):
        chosen = re.search(r'value="([^"]*)" selected', options) or re.search(r'value="([^"]*)"', options)
        assert chosen
        found.setdefault(name, []).append(chosen[1])
    found.pop("typed", None)
    return found


@pytest.mark.parametrize("language", ["fa", "en"])
async def test_page_posted_back_untouched_changes_nothing_and_a_step_keeps_what_is_typed(language: str) -> None:
    async with console("owner", language) as (client, told, _):
        told.answers |= answers()
        page = await client.get(f"{HOME}/new")
        assert page.status_code == 200
        form = form_of_page(page.text)
        looked = await client.post(f"{HOME}/new", data=form | {"step": "look"})
        assert looked.status_code == 200
        assert "seen" not in form_of_page(looked.text)
        form["earn.0.points"] = ["نه عدد"]
        longer = await client.post(f"{HOME}/new", data=form | {"step": "add.visit"})
        assert longer.status_code == 200
        assert form_of_page(longer.text)["earn.0.points"] == ["نه عدد"]
        assert form_of_page(longer.text)["earn.1.form"] == ["visit"]
        wrong = await client.post(f"{HOME}/new", data=form_of_page(longer.text) | {"step": "look"})
        assert wrong.status_code == 422
        assert re.search(r'name="earn.0.points" value="نه عدد"[^>]* aria-invalid="true"', wrong.text)
        assert 'id="f-earn-1-points-d"' in wrong.text


async def test_only_what_was_looked_at_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []

    async def keep(_up: object, _access: object, _cafe_id: object, body: dict[str, Any]) -> RulesAnswer:
        sent.append(body)
        return RulesAnswer(version=2)

    monkeypatch.setattr(club, "propose", keep)
    async with console("manager") as (client, told, _):
        told.answers |= answers()
        form = form_of_page((await client.get(f"{HOME}/new")).text) | {"earn.0.points": ["۳۰"], "seen": ["other"]}
        looked = await client.post(f"{HOME}/new", data=form | {"step": "send"})
        assert (looked.status_code, sent) == (200, [])
        assert "به جای:" in looked.text
        gone = await client.post(f"{HOME}/new", data=form_of_page(looked.text) | {"step": "send"})
        assert gone.headers["location"].endswith("done=published")
        assert [each["rules"]["earn"][0]["points"] for each in sent] == [30]


async def test_staff_write_no_rules() -> None:
    async with console("staff") as (client, told, _):
        told.answers |= answers()
        assert (await client.get(f"{HOME}/new")).status_code == 403
        assert (await client.post(f"{HOME}/new", data={"step": "look"})).status_code == 403
