"""From the earning rules as an owner wrote them to the scheme by which bills are weighed."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, assert_never

from services.loyalty.models.card_rules import card_misfits
from services.loyalty.models.cards import MOST_STAMPS, Card
from services.loyalty.models.earn_rules import (
    AmountRule,
    BaseRule,
    CapsRule,
    EarnRuleBody,
    EveryNthVisitRule,
    ItemRule,
    MenuMatch,
    MultiplierRule,
    NthVisitRule,
    VisitRule,
    misfits,
)
from services.loyalty.models.earning import BASE, WEEK, Caps, EarnRule, Menu, Multiplier, Scheme
from services.loyalty.models.programs import EARNING, TERMS, ProgramRules
from services.loyalty.rules.bill_facts import number_of
from shared.errors import Rejected

_THOUSANDTHS: Final = 1000
Codes = Mapping[str, str]


def scheme_of(rules: ProgramRules, codes: Codes) -> Scheme | None:
    """What the rules say beyond points for the amount; None when that is all. `codes` by the words that they name."""
    if rules.base == BaseRule() and not rules.earn and not rules.multiply and rules.caps == CapsRule():
        return None
    base = EarnRule(
        key=BASE,
        kind="amount",
        per=rules.earn_per_toman * _THOUSANDTHS,
        exclude=_menu(rules.base.exclude, codes),
        minimum=rules.base.minimum_toman * _THOUSANDTHS,
        by_tier=True,
    )
    return Scheme(
        rules=(base, *(_rule(each, codes) for each in rules.earn)),
        multipliers=tuple(_multiplier(each) for each in rules.multiply),
        stacking=rules.stacking,
        caps=Caps(rules.caps.visit, rules.caps.day, rules.caps.month),
    )


def cards_of(rules: ProgramRules, codes: Codes) -> tuple[Card, ...]:
    """The stamp cards. `codes` by the words that they name."""
    return tuple(
        Card(
            key=each.key,
            name=each.name,
            need=each.need,
            reward=each.reward,
            match=_menu(each.match, codes),
            per=each.per,
            most=1 if each.per == "visit" else each.per_visit or MOST_STAMPS,
            minimum=each.minimum_toman * _THOUSANDTHS,
            lives_days=each.lives_days,
        )
        for each in rules.cards
    )


def as_before(latest: Mapping[str, Any], rules: ProgramRules) -> ProgramRules:
    """The rules, with what they leave out as in the version before: the earning as a whole, each term by itself.
    Rules that say in days when points lapse say it in place of a term that said otherwise."""
    sent = rules.model_fields_set
    if rules.points_expire_days is not None:
        sent = sent | {"expiry"}
    stays = {name for name in TERMS if name not in sent} | (set() if sent.intersection(EARNING) else set(EARNING))
    before = {name: latest[name] for name in stays if name in latest}
    return ProgramRules.model_validate(rules.model_dump(exclude=stays) | before)


def check_earning(rules: ProgramRules, day: date) -> None:
    """Raises Rejected, with the path of each fault, when the rules or cards don't fit together or one can never match
    from the `day` on."""
    if problems := [*misfits(rules.earn, rules.multiply, day), *card_misfits(rules.cards)]:
        raise Rejected("invalid_input", problems[0].en, problems[0].fa, problems=problems)


def _rule(body: EarnRuleBody, codes: Codes) -> EarnRule:
    common: dict[str, Any] = {
        "key": body.key,
        "minimum": body.minimum_toman * _THOUSANDTHS,
        "by_tier": body.by_tier,
    }
    match body:
        case AmountRule():
            per = body.toman_per_point * _THOUSANDTHS
            return EarnRule(**common, kind="amount", per=per, exclude=_menu(body.exclude, codes))
        case VisitRule():
            return EarnRule(**common, kind="visit", points=body.points, per_day=body.per_day)
        case ItemRule():
            common |= {"match": _menu(body.match, codes), "exclude": _menu(body.exclude, codes)}
            if body.points is not None:
                return EarnRule(**common, kind="item_quantity", points=body.points)
            assert body.toman_per_point is not None
            return EarnRule(**common, kind="item_amount", per=body.toman_per_point * _THOUSANDTHS)
        case NthVisitRule():
            return EarnRule(**common, kind="nth_visit", points=body.points, numbers=body.n)
        case EveryNthVisitRule():
            return EarnRule(**common, kind="every_nth_visit", points=body.points, numbers=(body.n,))
        case _:
            assert_never(body)


def _multiplier(body: MultiplierRule) -> Multiplier:
    return Multiplier(
        key=body.key,
        factor=int(body.factor * 100),
        on=frozenset(body.on),
        weekdays=frozenset(WEEK.index(each) for each in body.weekdays),
        since=_minute(body.from_time) if body.from_time else 0,
        until=_minute(body.until_time) if body.until_time else 24 * 60,
        dates=tuple((each.first, each.last) for each in body.dates),
        branches=frozenset(body.branches),
        segments=frozenset(body.segments),
    )


def _menu(menu: MenuMatch | None, codes: Codes) -> Menu | None:
    if menu is None:
        return None
    numbers = (
        frozenset(found for word in words if (found := number_of(codes[word])) is not None)
        for words in (menu.categories, menu.skus, menu.names)
    )
    return Menu(*numbers)


def _minute(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])
