"""A program with every kind of rule, bills with lines, and the published order of evaluation written a second time."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import floor, prod
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from persiantools.jdatetime import JalaliDate

from services.loyalty.models.accounts import Plan, Program
from services.loyalty.models.earn_rules import words_of
from services.loyalty.models.programs import ProgramRules
from services.loyalty.rules import programs
from shared.events.base import Item
from shared.security.crypto import Keys
from shared.security.ids import menu_code
from tests.loyalty.examples import CAFE, TEHRAN
from tests.support import SECRET

KEYS = Keys.from_secret(SECRET)
BRANCH, OTHER_BRANCH = UUID(int=1), UUID(int=2)
code = partial(menu_code, KEYS, CAFE)

EVERYTHING: dict[str, Any] = {
    "tier_period": "jalali_year",
    "base": {"minimum_toman": 10_000, "exclude": {"categories": ["دخانیات"]}},
    "earn": [
        {"key": "extra", "kind": "amount", "toman_per_point": 7000, "exclude": {"skus": ["TEA-1"]}, "by_tier": True},
        {"key": "visit", "kind": "visit", "points": 5, "minimum_toman": 50_000, "per_day": 1},
        {"key": "beans", "kind": "item", "points": 20, "match": {"categories": ["دانه قهوه"]}},
        {"key": "cakes", "kind": "item", "toman_per_point": 900, "match": {"names": ["کیک"], "skus": ["CAKE-1"]}},
        {"key": "first", "kind": "nth_visit", "n": [1, 4], "points": 50, "by_tier": True},
        {"key": "third", "kind": "every_nth_visit", "n": 3, "points": 30},
    ],
    "multiply": [
        {"key": "tuesday", "factor": "2", "on": ["base", "visit"], "weekdays": ["tue"], "from_time": "15:00",
         "until_time": "18:00"},
        {"key": "night", "factor": "0.5", "from_time": "23:00", "until_time": "02:00"},
        {"key": "spring", "factor": "1.25", "dates": [{"first": "1405-02-01", "last": "1405-02-31"}]},
        {"key": "garden", "factor": "3", "on": ["beans", "extra"], "branches": [str(BRANCH)]},
    ],
    "stacking": "product",
    "caps": {"visit": 900, "day": 1200, "month": 4000},
    "cards": [
        {"key": "beans", "name": "کارت دانه", "need": 3,
         "match": {"categories": ["دانه قهوه"]}, "reward": "یک بسته دانه", "per_visit": 2, "lives_days": 30},
        {"key": "visits", "name": "کارت آمدن", "need": 4, "per": "visit", "minimum_toman": 5_000, "reward": "یک چای"},
    ],
}  # fmt: skip


MENU: Sequence[tuple[str | None, str | None, str | None]] = (
    ("دخانیات", None, "قلیان"), ("دانه قهوه", "BEAN-1", None), ("شیرینی", "CAKE-1", "کیک"), (None, "TEA-1", "چای"),
    (None, None, "کیک"), ("قهوه", None, "لاته"),
)  # fmt: skip


def rules_of(**changes: Any) -> ProgramRules:
    """The program with every kind of rule, or with others instead."""
    return ProgramRules.model_validate(EVERYTHING | changes)


def codes_of(rules: ProgramRules) -> dict[str, str]:
    """The codes of the words that the rules name."""
    return {word: code(word) for word in words_of(rules.base, (*rules.earn, *rules.cards))}


def program_of(rules: ProgramRules, version: int = 1, since: datetime = programs.EVER) -> Program:
    """The program as it counts."""
    return programs.program(version, since, rules, codes_of(rules))


def plan_by(*versions: tuple[datetime, ProgramRules]) -> Plan:
    """A plan of versions in their order."""
    numbered = [program_of(rules, number, since) for number, (since, rules) in enumerate(versions, 1)]
    return Plan(TEHRAN, "jalali", tuple(numbered))


def only(**rules: Any) -> Plan:
    """A plan with these rules, since ever."""
    return plan_by((programs.EVER, ProgramRules.model_validate({"tier_period": "jalali_year"} | rules)))


def line(amount: Decimal | int | str | None = None, quantity: Decimal | int | str = 1, **words: str) -> Item:
    """A line as events have it: `category`, `sku` and `name` by their codes."""
    codes = {f"{what}_code": code(word) for what, word in words.items()}
    return Item(name="", quantity=Decimal(quantity), amount=None if amount is None else Decimal(amount), **codes)


def facts_of(random: Random) -> dict[str, Any]:
    """Some lines and a branch."""
    items = [
        line(
            random.choice((None, 12_000, 34_500, -3_000)),
            random.choice((1, 2, "0.25")),
            **{what: word for what, word in zip(("category", "sku", "name"), random.choice(MENU), strict=True) if word},
        )
        for _ in range(random.randrange(4))
    ]
    return {"items": items, "branch_id": random.choice((None, BRANCH, OTHER_BRANCH))}


@dataclass(frozen=True)
class PlainBill:
    """A bill for the naive rule, in Toman, with its lines as (category, sku, name, quantity, amount)."""

    key: Any
    at: datetime
    toman: Fraction
    branch: UUID | None = None
    lines: Sequence[tuple[str | None, str | None, str | None, Fraction, Fraction | None]] = ()


@dataclass
class NaiveCounts:
    """What a guest's bills under rules of their own add up to, by the day and the month of Tehran."""

    of_day: dict[date, int] = field(default_factory=lambda: defaultdict(int))
    of_month: dict[tuple[int, int], int] = field(default_factory=lambda: defaultdict(int))
    hits: dict[tuple[date, str], int] = field(default_factory=lambda: defaultdict(int))

    def count(self, bill: PlainBill, parts: Mapping[str, int], matched: Sequence[str]) -> None:
        """Takes a bill in."""
        day = bill.at.astimezone(ZoneInfo(TEHRAN)).date()
        self.of_day[day] += sum(parts.values())
        self.of_month[_month(day)] += sum(parts.values())
        for key in matched:
            self.hits[day, key] += 1


def naive_bill(
    rules: Mapping[str, Any], bill: PlainBill, number: int, tier: Fraction, counts: NaiveCounts
) -> tuple[dict[str, int], list[str]]:
    """What the bill with that number earns by each rule as one writes them, and which rules matched; with fractions
    and without any cleverness."""
    local = bill.at.astimezone(ZoneInfo(TEHRAN))
    base = {"key": "base", "kind": "amount", "toman_per_point": rules.get("earn_per_toman", 1000), "by_tier": True}
    parts: dict[str, int] = {}
    for rule in [base | rules.get("base", {}), *rules.get("earn", [])]:
        limit, part = rule.get("per_day"), _part(rule, bill, number)
        if part is None or (limit and counts.hits[local.date(), rule["key"]] >= limit):
            continue
        part *= _times(rules, rule["key"], bill, local)
        parts[rule["key"]] = floor(part * (tier if rule.get("by_tier") else 1))
    matched = list(parts)
    taken = {"visit": 0, "day": counts.of_day[local.date()], "month": counts.of_month[_month(local.date())]}
    for name in ("visit", "day", "month"):
        most = rules.get("caps", {}).get(name)
        room = 10**9 if most is None else max(0, most - taken[name])
        for key, points in parts.items():
            parts[key] = min(points, room)
            room -= parts[key]
    return {key: points for key, points in parts.items() if points}, matched


def is_plain(rules: Mapping[str, Any]) -> bool:
    """Whether only amounts earn."""
    return not any(rules.get(name) for name in ("base", "earn", "multiply", "caps"))


def naive_parts(versions: Sequence[tuple[datetime, Mapping[str, Any]]], bills: Sequence[PlainBill]) -> dict[Any, Any]:
    """What each bill earns by each rule. `bills` come in their order and `versions` are rules as one writes them."""
    found: dict[Any, dict[str, int]] = {}
    of_year: dict[int, int] = defaultdict(int)
    counts = NaiveCounts()
    for number, bill in enumerate(bills, 1):
        year = JalaliDate(bill.at.astimezone(ZoneInfo(TEHRAN)).date()).year
        rules = [each for since, each in versions if since <= bill.at][-1]
        tier = _tier(rules, max(of_year[year], of_year[year - 1]))
        found[bill.key], matched = naive_bill(rules, bill, number, tier, counts)
        of_year[year] += sum(found[bill.key].values())
        if not is_plain(rules):
            counts.count(bill, found[bill.key], matched)
    return found


def naive_cards(
    versions: Sequence[tuple[datetime, Mapping[str, Any]]], bills: Sequence[PlainBill]
) -> tuple[dict[str, tuple[int, int]], dict[tuple[str, int], Any]]:
    """Stamps on the present card and completed ones by key, and which bill completed which. Stamp by stamp."""
    found: dict[str, tuple[int, int]] = {}
    completed_by: dict[tuple[str, int], Any] = {}
    for bill in bills:
        rules = [each for since, each in versions if since <= bill.at][-1]
        for card in rules.get("cards", []):
            for _ in range(_naive_stamps(card, bill)):
                on_card, completed = found.get(card["key"], (0, 0))
                on_card += 1
                while on_card >= card["need"]:
                    on_card, completed = on_card - card["need"], completed + 1
                    completed_by[card["key"], completed] = bill.key
                found[card["key"]] = (on_card, completed)
    return found, completed_by


def _naive_stamps(card: Mapping[str, Any], bill: PlainBill) -> int:
    paid = [each for each in bill.lines if each[4] is None or each[4] > 0]
    lines = [each for each in paid if not card.get("match") or _names(card["match"], each)]
    if bill.toman < card.get("minimum_toman", 0):
        return 0
    if card.get("per") == "visit":
        return 1 if lines or not card.get("match") else 0
    return min(floor(sum((each[3] for each in lines), Fraction(0))), card.get("per_visit", 100))


def _month(day: date) -> tuple[int, int]:
    jalali = JalaliDate(day)
    return jalali.year, jalali.month


def _tier(rules: Mapping[str, Any], points: int) -> Fraction:
    ladder = rules.get("tiers") or [
        {"threshold": 0, "multiplier": "1"}, {"threshold": 500, "multiplier": "1.2"},
        {"threshold": 1500, "multiplier": "1.5"}, {"threshold": 3000, "multiplier": "2"},
    ]  # fmt: skip
    return Fraction([each for each in ladder if each["threshold"] <= points][-1]["multiplier"])


def _part(rule: Mapping[str, Any], bill: PlainBill, number: int) -> Fraction | None:
    """The rule's part before anything multiplies it; None when it does not hold."""
    part = Fraction(rule.get("points", 0))
    per = rule.get("toman_per_point", 1)
    out = [each for each in bill.lines if _names(rule.get("exclude"), each)]
    holds = bill.toman >= rule.get("minimum_toman", 0)
    match rule["kind"]:
        case "amount":
            left = bill.toman - sum(each[4] or 0 for each in out)
            left = min(left, bill.toman)
            part, holds = Fraction(left) / per, holds and left > 0
        case "item":
            lines = [each for each in bill.lines if _names(rule["match"], each) and each not in out]
            spent = sum((each[4] or Fraction(0) for each in lines), Fraction(0))
            things = [each for each in lines if each[4] is None or each[4] >= 0]
            bought = sum((each[3] for each in things), Fraction(0))
            part = part * bought if "points" in rule else max(Fraction(0), min(bill.toman, spent)) / per
            holds = holds and bool(things)
        case "nth_visit":
            holds = holds and number in rule["n"]
        case "every_nth_visit":
            holds = holds and number % rule["n"] == 0
    return part if holds else None


def _names(menu: Mapping[str, Any] | None, each: Sequence[Any]) -> bool:
    kinds = ("categories", "skus", "names")
    return bool(menu) and any(
        word is not None and word in menu.get(kind, ()) for kind, word in zip(kinds, each, strict=False)
    )


def _times(rules: Mapping[str, Any], key: str, bill: PlainBill, local: datetime) -> Fraction:
    found = []
    for each in rules.get("multiply", []):
        clock = f"{local:%H:%M}"
        since, until = each.get("from_time", "00:00"), each.get("until_time", "24:00")
        spans = each.get("dates", [])
        holds = (
            (not each.get("on") or key in each["on"])
            and (not each.get("weekdays") or f"{local:%a}".lower() in each["weekdays"])
            and (since <= clock < until if since < until else not until <= clock < since)
            and (not spans or any(_day(span["first"]) <= local.date() <= _day(span["last"]) for span in spans))
            and (not each.get("branches") or str(bill.branch) in each["branches"])
        )
        if holds:
            found.append(Fraction(each["factor"]))
    if rules.get("stacking") == "product":
        return prod(found, start=Fraction(1))
    return max(found, default=Fraction(1))


def _day(jalali: str) -> date:
    return JalaliDate(*map(int, jalali.split("-"))).to_gregorian()
