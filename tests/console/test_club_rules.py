"""A club's rules in sentences, and what another version would change."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from services.console.api.rendering import catalogue
from services.console.models.club import RulesOfClub, RulesVersion, TierOfRules
from services.console.rules import club_rules
from services.console.rules.speech import Speech

NOON = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)
PERSIAN, ENGLISH = Speech(), Speech("en")


def version(**changes: object) -> RulesVersion:
    rules = {
        "tiers": (TierOfRules("bronze", 0, Decimal(1)), TierOfRules("silver", 500, Decimal("1.2"))),
        "tier_period": "jalali_year", "points_expire_days": None, "negative_balance": "allow_after_refund",
        "approval_above": 1000,
    } | {name: value for name, value in changes.items() if name in RulesOfClub.__struct_fields__}  # fmt: skip
    outer = {name: value for name, value in changes.items() if name not in rules}
    fields = {
        "version": 1, "earn_per": Decimal(10_000), "point_worth": None, "currency_unit": "IRT", "valid_from": NOON,
        "created_at": NOON, "rules": RulesOfClub(**rules),
    } | outer  # fmt: skip
    return RulesVersion(**fields)


def spoken(sentence: club_rules.Sentence, s: Speech) -> str:
    tier = {"tier": catalogue().say(s.language, f"tier.{sentence.tier}")} if sentence.tier else {}
    said = catalogue().say(s.language, f"club_rule.{sentence.key}", **sentence.values, **tier)
    return said.replace("\u2068", "").replace("\u2069", "")


def test_every_rule_is_a_sentence() -> None:
    assert [spoken(each, PERSIAN) for each in club_rules.sentences(version(point_worth=Decimal(100)), PERSIAN)][:4] == [
        "به ازای هر ۱۰٬۰۰۰ تومان خرید، ۱ امتیاز.",
        "هر امتیاز هنگام خرج ۱۰۰ تومان می‌ارزد.",
        "همه از برنزی آغاز می‌کنند، با ضریب ۱.",
        "با ۵۰۰ امتیاز در دوره: نقره‌ای، با ضریب ۱٫۲.",
    ]
    assert [spoken(each, ENGLISH) for each in club_rules.sentences(version(points_expire_days=90), ENGLISH)][-3:] == [
        "Points lapse 90 days after the bill.",
        "If a bill is taken back after its points are spent, the guest owes them.",
        "One person gives or takes up to 1,000 points a day alone; more needs a second person.",
    ]


OWN = msgspec.json.decode(
    """{"tiers": [], "tier_period": "jalali_year", "points_expire_days": null, "negative_balance": "allow_after_refund",
    "approval_above": 1000, "base": {"minimum_toman": 50000, "exclude": {"categories": ["دخانیات"]}},
    "earn": [{"key": "visit", "kind": "visit", "points": 5, "per_day": 1, "by_tier": true},
        {"key": "beans", "kind": "item", "points": 20, "match": {"categories": ["دانه قهوه"], "names": ["لاته"]}},
        {"key": "cakes", "kind": "item", "toman_per_point": 900, "match": {"skus": ["CAKE-1"]}},
        {"key": "first", "kind": "nth_visit", "n": [1, 4], "points": 50},
        {"key": "tenth", "kind": "every_nth_visit", "n": 10, "points": 100},
        {"key": "more", "kind": "amount", "toman_per_point": 7000}],
    "multiply": [{"key": "quiet", "factor": "1.5", "on": ["base"], "weekdays": ["tue"], "from_time": "15:00"},
        {"key": "spring", "factor": "2", "dates": [{"first": "2026-03-21", "last": "2026-03-24"}],
            "branches": ["00000000-0000-0000-0000-000000000001"]}],
    "stacking": "product", "caps": {"visit": 900, "day": null, "month": 4000}}""",
    type=RulesOfClub,
)


def test_earning_rules_are_said_with_what_limits_them() -> None:
    said = [
        (spoken(each, PERSIAN), [spoken(one, PERSIAN) for one in each.also])
        for each in club_rules.sentences(replace(version(), rules=OWN), PERSIAN)
        if each.about.partition(".")[0] in ("own", "cap")
    ]
    assert said == [
        ("امتیاز مبلغ برای همهٔ خریدها نیست.", ["بدون «دخانیات»", "از خرید ۵۰٬۰۰۰ تومان به بالا"]),
        ("هر خرید ۵ امتیاز دارد.", ["حداکثر ۱ بار در روز", "با ضریب سطح مهمان"]),
        ("هر عدد از «دانه قهوه»، «لاته»، ۲۰ امتیاز دارد.", []),
        ("به ازای هر ۹۰۰ تومان خرید از «CAKE-1»، ۱ امتیاز.", []),
        ("بازدید شمارهٔ ۱، ۴ مهمان، ۵۰ امتیاز دارد.", []),
        ("هر ۱۰ بازدید یک بار، ۱۰۰ امتیاز.", []),
        ("به ازای هر ۷٬۰۰۰ تومان خرید، ۱ امتیاز دیگر.", []),
        ("امتیازها ۱٫۵ برابر می‌شود.", ["برای امتیاز مبلغ خرید", "روزهای سه‌شنبه", "ساعت ۱۵:۰۰ تا ۲۴:۰۰"]),
        ("امتیازها ۲ برابر می‌شود.", ["از ۱ فروردین ۱۴۰۵ تا ۴ فروردین ۱۴۰۵", "در ۱ شعبهٔ انتخاب‌شده"]),
        ("ضریب‌هایی که هم‌زمان برقرارند در هم ضرب می‌شوند.", []),
        ("هر خرید حداکثر ۹۰۰ امتیاز دارد.", []),
        ("مهمان در یک ماه حداکثر ۴٬۰۰۰ امتیاز می‌گیرد.", []),
    ]


def test_changes_are_what_differs_and_a_tier_that_goes() -> None:
    assert club_rules.changes(version(), version(version=2), PERSIAN) == ()
    then = version(points_expire_days=90, tiers=(TierOfRules("bronze", 0, Decimal(1)),))
    made = club_rules.changes(version(), then, PERSIAN)
    assert [(each.after.key, each.before.key if each.before else None) for each in made] == [
        ("expire", "never"),
        ("no_step", "step"),
    ]


def test_multiplier_says_for_which_rules_it_is_and_other_order_is_a_change() -> None:
    on = ("visit", "beans", "first", "tenth", "more", "base", "gone")
    own = replace(OWN, multiply=(replace(OWN.multiply[0], on=on, weekdays=(), from_time=None),))
    said = {each.about: each for each in club_rules.sentences(replace(version(), rules=own), PERSIAN)}
    assert [spoken(each, PERSIAN) for each in said["own.quiet"].also] == [
        "برای امتیاز هر خرید", "برای امتیاز «دانه قهوه»، «لاته»", "برای امتیاز بازدید شمارهٔ ۱، ۴",
        "برای امتیاز هر ۱۰ بازدید", "برای امتیازِ بیشترِ مبلغ", "برای امتیاز مبلغ خرید", "برای قاعده‌ای که دیگر نیست",
    ]  # fmt: skip
    now = replace(version(), rules=OWN)
    turned = replace(now, rules=replace(OWN, earn=(OWN.earn[1], OWN.earn[0], *OWN.earn[2:])))
    assert [each.after.key for each in club_rules.changes(now, turned, PERSIAN)] == ["order"]
    fewer = replace(now, rules=replace(OWN, earn=OWN.earn[1:]))
    assert [each.after.key for each in club_rules.changes(now, fewer, PERSIAN)] == ["no_rule"]
