"""Why something is as it is, in one shape for all services.

An explanation is a list of steps, the newest first. Steps speak in codes: whoever shows them has the words. What did
not happen is a step too, with the conditions that did not hold. No step has a name, a number or a free text of a guest
in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field

from shared.inputs.amounts import INSIDE, Money
from shared.inputs.fields import Moment
from shared.persian.money import Unit, in_unit

ExplainingService = Literal["visit", "loyalty", "customer", "campaign", "feedback"]
What = Literal[
    "bill", "guest", "correction", "void", "sequence",
    "points", "tier", "stamps", "redemption", "by_hand", "balance",
    "segment", "stay",
    "journey", "message", "decision",
    "link", "opening", "answer", "case", "response",
]  # fmt: skip
Outcome = Literal[
    "recorded", "voided", "corrected", "known", "nobody", "gap", "whole",
    "earned", "nothing", "differs", "agrees", "not_heard", "kept", "up", "down",
    "completed", "refused", "reversed", "given", "taken", "lapsed",
    "inside", "outside", "entered", "left",
    "enrolled", "not_enrolled", "send", "hold", "skip",
    "queued", "sending", "sent", "delivered", "failed", "bounced", "opened", "skipped",
    "open", "used", "expired", "closed", "not_opened", "answered", "not_answered", "responded", "not_responded",
]  # fmt: skip
# What each kind of step may end as.
OUTCOMES: Final[Mapping[What, tuple[Outcome, ...]]] = {
    "bill": ("recorded", "voided"),
    "guest": ("known", "nobody"),
    "correction": ("corrected",),
    "void": ("voided",),
    "sequence": ("whole", "gap"),
    "points": ("earned", "nothing", "voided", "differs", "not_heard"),
    "tier": ("kept", "up", "down"),
    "stamps": ("given", "completed", "nothing", "differs"),
    "redemption": ("completed", "refused", "reversed"),
    "by_hand": ("given", "taken", "lapsed"),
    "balance": ("agrees", "differs"),
    "segment": ("inside", "outside"),
    "stay": ("entered", "left"),
    "journey": ("enrolled", "not_enrolled"),
    "message": ("queued", "sending", "sent", "delivered", "failed", "bounced", "opened", "skipped"),
    "decision": ("send", "hold", "skip"),
    "link": ("open", "used", "expired", "closed"),
    "opening": ("opened", "not_opened"),
    "answer": ("answered", "not_answered"),
    "case": ("open", "closed"),
    "response": ("responded", "not_responded"),
}
ToldValue = bool | int | str | None
ToldValues = dict[str, ToldValue]
Amounts = dict[str, Money]

# So many visits, or what a service explains in their place, in one answer.
MOST_EXPLAINED: Final = 50
ALWAYS: Final = datetime(2000, 1, 1, tzinfo=UTC)
NEVER: Final = datetime(2101, 1, 1, tzinfo=UTC)
Since = Annotated[Moment, Field(description="nothing older than this")]
Before = Annotated[Moment, Field(description="only what is older; `next_before` of the answer before")]


class Condition(BaseModel):
    """One question that was asked, and what it saw. `depth` is how deep it stands in groups of conditions. Amounts are
    in `currency_unit`, the cafe's, and null for whom they are not shown."""

    rule: str
    held: bool
    depth: int = 0
    values: ToldValues = {}
    amounts: Amounts | None = {}
    currency_unit: Unit = INSIDE


class ExplainedStep(BaseModel):
    """One thing that happened, or did not. `id` is of what it is about; `because` names the ids it follows from, and
    `not_because` the rules that were in the way. `as_of` is "now" where the values are those of today.
    Amounts as in the conditions."""

    id: UUID
    at: datetime
    service: ExplainingService
    what: What
    outcome: Outcome
    rule: str | None = None
    as_of: Literal["then", "now"] = "then"
    values: ToldValues = {}
    amounts: Amounts | None = {}
    currency_unit: Unit = INSIDE
    because: list[UUID] = []
    conditions: list[Condition] = []
    not_because: list[str] = []


class Explanation(BaseModel):
    """Steps, the newest first. Ask again with `before` set to `next_before` for older ones."""

    steps: list[ExplainedStep]
    next_before: datetime | None = None

    @classmethod
    def of(cls, steps: Iterable[ExplainedStep], unit: Unit, next_before: datetime | None = None) -> Self:
        """The steps in their order; their amounts are in `unit`.

        Raises ValueError for an outcome that such a step can't have.
        """
        ordered = sorted(steps, key=lambda step: (step.at, str(step.id), step.what), reverse=True)
        for step in ordered:
            if step.outcome not in OUTCOMES[step.what]:
                raise ValueError(f"{step.what} can't be {step.outcome}")
            step.currency_unit = unit
            for condition in step.conditions:
                condition.currency_unit = unit
        return cls(steps=ordered, next_before=next_before)

    def without_amounts(self) -> Self:
        """The same for somebody who sees no amounts."""
        return self.model_copy(update={"steps": [_bare(step) for step in self.steps]})


def amounts(unit: Unit, sent_in: Unit, **values: Decimal | int | None) -> Amounts:
    """Amounts in `sent_in` by their names, in `unit`; those that are None are left out."""
    return {name: in_unit(Decimal(each), sent_in, unit) for name, each in values.items() if each is not None}


def facts(**values: Any) -> ToldValues:
    """Values by their names as an explanation has them: moments and days in ISO, ids and exact numbers as text."""
    return {name: _fact(each) for name, each in values.items()}


def failed(conditions: Iterable[Condition]) -> list[str]:
    """The rules that were in the way, each once."""
    return list(dict.fromkeys(each.rule for each in conditions if not each.held))


def next_before(moments: Sequence[datetime], limit: int = MOST_EXPLAINED) -> datetime | None:
    """Where older ones go on, of the moments of one more than `limit` that were looked for, the newest first. Those of
    one moment stay together, unless they alone are more than the limit."""
    if len(moments) <= limit:
        return None
    last = moments[limit]
    kept = [each for each in moments[:limit] if each != last]
    return kept[-1] if kept else last


def _fact(value: Any) -> ToldValue:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _bare(step: ExplainedStep) -> ExplainedStep:
    conditions = [each.model_copy(update={"amounts": None}) for each in step.conditions]
    return step.model_copy(update={"amounts": None, "conditions": conditions})
