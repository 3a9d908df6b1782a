"""A club's rules in sentences, and what another version would change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from services.console.models.club import RulesVersion, TierOfRules
from services.console.rules.club_earning import EARNING_SENTENCES, sentences_of
from services.console.rules.club_sentence import Sentence
from services.console.rules.club_terms import TERM_SENTENCES, terms_of
from services.console.rules.rule_blanks import plain
from services.console.rules.speech import Speech

# The sentences by the last part of their keys in the catalogue.
SENTENCES: Final = (
    "earn", "worth", "no_worth", "first", "step", "no_step", "jalali_year", "gregorian_year",
    "allow_after_refund", "forgive_after_refund", "approval", "no_rule", "order", *EARNING_SENTENCES, *TERM_SENTENCES,
)  # fmt: skip


@dataclass(frozen=True)
class RuleChange:
    """A rule that another version would change: as it is, None when it is new, and as it would be."""

    before: Sentence | None
    after: Sentence


@dataclass(frozen=True)
class RulesThatWait:
    """Rules that wait, and when they begin: None when that is with the approval."""

    begins: datetime | None
    said: tuple[Sentence, ...]


def sentences(version: RulesVersion, s: Speech) -> tuple[Sentence, ...]:
    """The rules, one sentence each, in the order in which one asks for them."""
    rules, unit = version.rules, version.currency_unit
    worth = version.point_worth
    return (
        Sentence("earn", "earn", {"amount": s.money(version.earn_per, unit)}),
        *sentences_of(rules, "IRR" if unit == "IRR" else "IRT", s),
        Sentence("worth", "no_worth", {}) if worth is None else Sentence("worth", "worth", {"n": s.money(worth, unit)}),
        *(_of_tier(each, s) for each in rules.tiers),
        Sentence("period", rules.tier_period, {}),
        *terms_of(rules, "IRR" if unit == "IRR" else "IRT", s),
        Sentence("debt", rules.negative_balance, {}),
        Sentence("approval", "approval", {"points": s.number(rules.approval_above)}),
    )


def rules_that_wait(what: Mapping[str, Any], at: datetime, s: Speech) -> RulesThatWait:
    """Rules that wait for a second person, from what the approval says of them; `at` is when they were asked for."""
    begins = msgspec.convert(what.get("valid_from"), datetime | None)
    version = msgspec.convert({**what, "valid_from": at, "created_at": at, "version": 0}, RulesVersion, strict=False)
    return RulesThatWait(begins, sentences(version, s))


def changes(now: RulesVersion, then: RulesVersion, s: Speech) -> tuple[RuleChange, ...]:
    """What the other version would change, in the order of its rules; a tier that goes says so."""
    before = {each.about: each for each in sentences(now, s)}
    after = {each.about: each for each in sentences(then, s)}
    gone = {
        about: Sentence(about, "no_step", {}, each.tier) if each.tier else Sentence(about, "no_rule", {})
        for about, each in before.items()
        if about not in after
    }
    made = [
        RuleChange(before.get(about), sentence)
        for about, sentence in (after | gone).items()
        if before.get(about) != sentence
    ]
    if _order(now, then) != _order(then, now):
        made.append(RuleChange(None, Sentence("order", "order", {})))
    return tuple(made)


def _order(version: RulesVersion, other: RulesVersion) -> list[str]:
    """The keys of the earning rules that both have, as this version has them."""
    both = {each.key for each in other.rules.earn}
    return [each.key for each in version.rules.earn if each.key in both]


def _of_tier(tier: TierOfRules, s: Speech) -> Sentence:
    times = plain(tier.multiplier, s)
    if tier.tier == "bronze":
        return Sentence("tier.bronze", "first", {"times": times}, "bronze")
    return Sentence(f"tier.{tier.tier}", "step", {"points": s.number(tier.threshold), "times": times}, tier.tier)
