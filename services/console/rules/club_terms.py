"""What the rules say beside earning, in sentences: cards, gifts, what waits, and what time does."""

from collections.abc import Iterator
from typing import Final

from services.console.models.club import CardOfClub, ExpiryOfClub, RulesOfClub
from services.console.rules.club_earning import listed, menu_text, money_text
from services.console.rules.club_sentence import Sentence
from services.console.rules.speech import Speech
from shared.persian.money import Unit

TERM_SENTENCES: Final = (
    "card", "when_card_menu", "when_card_bill", "when_card_most", "when_card_lives", "birthday", "referral",
    "when_referral_minimum", "pending", "expire", "never", "expire_this_month", "expire_month", "expire_this_year",
    "expire_year", "grace", "one_step", "warn_points", "warn_tier",
)  # fmt: skip


def terms_of(rules: RulesOfClub, unit: Unit, s: Speech) -> Iterator[Sentence]:
    """One sentence for each term; what is as in every cafe says nothing."""
    for card in rules.cards:
        words = {"name": card.name, "need": s.number(card.need), "reward": card.reward}
        yield Sentence(f"card.{card.key}", "card", words, also=tuple(_of_card(card, unit, s)))
    if rules.birthday is not None:
        points = [rules.birthday.points.get(tier, 0) for tier in ("bronze", "silver", "gold", "platinum")]
        tiers = ("bronze", "silver", "gold", "platinum")
        yield Sentence("birthday", "birthday", {t: s.number(n) for t, n in zip(tiers, points, strict=True)})
    if rules.referral is not None:
        own = rules.referral
        minimum = {"amount": money_text(own.minimum_bill, unit, s)}
        also = (Sentence("", "when_referral_minimum", minimum),) if own.minimum_bill else ()
        words = {
            "referrer": s.number(own.referrer), "referee": s.number(own.referee), "days": s.number(own.within_days),
            "visits": s.number(own.referrer_visits), "most": "∞" if own.per_month is None else s.number(own.per_month),
        }  # fmt: skip
        yield Sentence("referral", "referral", words, also=also)
    if rules.pending is not None:
        words = {"points": s.number(rules.pending.above_points), "hours": s.number(rules.pending.hours)}
        yield Sentence("pending", "pending", words)
    yield _expiry(rules, s)
    if rules.tier_grace_days:
        yield Sentence("grace", "grace", {"days": s.number(rules.tier_grace_days)})
    if rules.downgrade == "one_step":
        yield Sentence("downgrade", "one_step", {})
    for key, days in (("warn_points", rules.warn.points_days), ("warn_tier", rules.warn.tier_days)):
        if days:
            yield Sentence(key, key, {"days": listed([s.number(each) for each in days], s)})


def _of_card(card: CardOfClub, unit: Unit, s: Speech) -> Iterator[Sentence]:
    if card.match is not None:
        yield Sentence("", "when_card_menu", {"items": menu_text(card.match, s)})
    if card.per == "visit":
        yield Sentence("", "when_card_bill", {})
    if card.per_visit is not None:
        yield Sentence("", "when_card_most", {"n": s.number(card.per_visit)})
    if card.minimum_toman:
        yield Sentence("", "when_minimum", {"amount": money_text(card.minimum_toman, unit, s)})
    if card.lives_days is not None:
        yield Sentence("", "when_card_lives", {"days": s.number(card.lives_days)})


def _expiry(rules: RulesOfClub, s: Speech) -> Sentence:
    days = rules.points_expire_days
    expiry = rules.expiry or ExpiryOfClub("never" if days is None else "days", days)
    match expiry.kind:
        case "days":
            return Sentence("expiry", "expire", {"days": s.number(expiry.days or 0)})
        case "month_end" | "year_end" as kind:
            period = "month" if kind == "month_end" else "year"
            if not expiry.after:
                return Sentence("expiry", f"expire_this_{period}", {})
            return Sentence("expiry", f"expire_{period}", {"n": s.number(expiry.after)})
        case _:
            return Sentence("expiry", "never", {})
