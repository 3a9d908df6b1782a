"""An explanation in words: a sentence for each step, what it saw, and the conditions that held or did not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from services.console.models.why import ToldCondition, ToldFact, ToldStep
from services.console.rules.speech import Speech
from services.console.rules.words import Catalogue

# What is said of each kind of step, in this order; the rest of the values is for programs.
SAID: Final[Mapping[str, tuple[str, ...]]] = {
    "bill": ("receipt_number", "device_id", "late_minutes"),
    "guest": ("visit_number",),
    "correction": (),
    "void": (),
    "sequence": ("missing",),
    "points": ("points", "ledger", "program_version", "tier", "multiplier"),
    "tier": ("tier", "until", "to_next"),
    "stamps": ("stamps", "cards"),
    "redemption": ("points", "reward", "reversed_at"),
    "by_hand": ("points",),
    "balance": ("expected", "ledger"),
    "segment": ("changes_at",),
    "stay": (),
    "journey": ("due_at",),
    "message": ("purpose", "parts", "sent_at", "delivered_at", "opened_at"),
    "decision": ("hold_until",),
    "link": ("expires_at",),
    "opening": ("times",),
    "answer": ("rating",),
    "case": ("due_at", "closed_at"),
    "response": (),
}
PICTURES: Final[Mapping[str, tuple[str, str]]] = {
    "visit": ("receipt", "visit"),
    "loyalty": ("award", "points"),
    "customer": ("shapes", "seg"),
    "campaign": ("send", "msg"),
    "feedback": ("star", ""),
}
BAD: Final = (
    "nobody", "gap", "nothing", "differs", "not_heard", "refused", "outside", "not_enrolled", "hold", "skip", "skipped",
    "failed", "bounced", "expired", "closed", "not_opened", "not_answered", "not_responded", "voided",
)  # fmt: skip
# Values that are codes, and the families of words that name them.
_CODES: Final[Mapping[str, tuple[str, ...]]] = {
    "tier": ("tier",), "tier_before": ("tier",), "purpose": ("purpose",), "reason": ("cause",), "status": ("status",),
    "value": ("tier", "status"), "weekday": ("weekday",),
}  # fmt: skip
# Where the word for a rule is looked for.
_FAMILIES: Final = ("rule", "check", "cause", "ledger", "source")
_LISTS: Final = ("one_of", "starts_on", "asked", "inside")
_OF_DISCOUNTS: Final = ("discount", "total")
_MOST_LATE: Final = 5


@dataclass(frozen=True)
class SaidCondition:
    """A condition in words."""

    held: bool
    depth: int
    text: str
    facts: str


@dataclass(frozen=True)
class SaidStep:
    """A step in words: the sentence, by what, what it saw, and its conditions."""

    step: ToldStep
    icon: str
    tone: str
    is_bad: bool
    title: str
    by: str
    facts: str
    conditions: tuple[SaidCondition, ...]


@dataclass(frozen=True)
class TellWhy:
    """The words and numbers of one reader."""

    catalogue: Catalogue
    speech: Speech

    def step(self, told: ToldStep) -> SaidStep:
        """The step as the reader reads it."""
        icon, tone = PICTURES[told.service]
        discounted = bool((told.amounts or {}).get("discount"))
        names = [name for name in SAID[told.what] if self._is_worth_saying(name, told)]
        facts = [self._fact(name, told.values[name]) for name in names]
        facts += [
            self._amount(name, told) for name in sorted(told.amounts or {}) if name not in _OF_DISCOUNTS or discounted
        ]
        families = ("cause",) if told.what == "stay" else _FAMILIES
        by = self._word(told.rule, families)
        return SaidStep(
            told, icon, tone, told.outcome in BAD, self._title(told), by, " · ".join(facts),
            tuple(self._condition(each) for each in told.conditions),
        )  # fmt: skip

    def text(self, said: Iterable[SaidStep]) -> str:
        """The same to be copied, line by line."""
        lines: list[str] = []
        for each in said:
            when = self.speech.moment(each.step.at)
            lines.append(" — ".join(part for part in (f"{when}: {each.title}", each.by, each.facts) if part))
            lines += [
                f"{'  ' * (condition.depth + 1)}{'✓' if condition.held else '✗'} {condition.text}"
                + (f" ({condition.facts})" if condition.facts else "")
                for condition in each.conditions
            ]
        return "\n".join(lines)

    def _say(self, key: str, **values: str) -> str:
        return self.catalogue.say(self.speech.language, key, **values)

    def _title(self, told: ToldStep) -> str:
        named = told.values.get("name") or self._journey(told) or told.values.get("campaign") or ""
        return self._say(f"told.{told.what}_{told.outcome}", name=str(named))

    def _journey(self, told: ToldStep) -> str:
        key = f"journey.{told.values.get('journey_key')}"
        return self._say(key) if self.catalogue.has(key) else str(told.values.get("journey_key") or "")

    def _condition(self, told: ToldCondition) -> SaidCondition:
        facts = [self._fact(name, value) for name, value in told.values.items() if value is not None]
        facts += [self._amount(name, told) for name in told.amounts or {}]
        return SaidCondition(told.held, told.depth, self._word(told.rule, _FAMILIES), " · ".join(facts))

    def _word(self, rule: str | None, families: tuple[str, ...]) -> str:
        for family in families:
            if rule and self.catalogue.has(f"{family}.{rule}"):
                return self._say(f"{family}.{rule}")
        return rule or ""

    def _is_worth_saying(self, name: str, told: ToldStep) -> bool:
        value = told.values.get(name)
        if name in ("missing", "times") and value == 0:
            return False
        if name == "late_minutes":
            return isinstance(value, int) and value >= _MOST_LATE
        return value is not None and not (name == "ledger" and told.outcome != "differs")

    def _fact(self, name: str, value: ToldFact) -> str:
        label = f"fact.{name}"
        return f"{self._say(label) if self.catalogue.has(label) else name} {self._value(name, value)}"

    def _amount(self, name: str, told: ToldStep | ToldCondition) -> str:
        assert told.amounts is not None
        label = f"fact.{name}"
        named = self._say(label) if self.catalogue.has(label) else name
        return f"{named} {self.speech.money(told.amounts[name], told.currency_unit)}"

    def _value(self, name: str, value: ToldFact) -> str:
        if isinstance(value, bool):
            return self._say("app.yes" if value else "app.no")
        if isinstance(value, int):
            return self.speech.number(value)
        if value is None:
            return "—"
        if name in _LISTS:
            return "، ".join(self._code(name, each) for each in value.split(", ") if each)
        return value if name == "device_id" else self._moment(value) or self._code(name, value)

    def _code(self, name: str, value: str) -> str:
        for family in _CODES.get(name, ("tier", "cause", "status")):
            if self.catalogue.has(f"{family}.{value}"):
                return self._say(f"{family}.{value}")
        return self.speech.digits(value)

    def _moment(self, value: str) -> str | None:
        """A moment or a day as people write it; None for any other text."""
        try:
            if len(value) == len("2026-01-01"):
                return self.speech.day(date.fromisoformat(value))
            return self.speech.moment(datetime.fromisoformat(value)) if value[10:11] == "T" else None
        except ValueError:
            return None
