"""A campaign in the words of its screens: in which state it is, what may be done with it, and what a step of its draft
says to the API."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from services.console.models.campaigns import CampaignRow, FunnelOfCampaign, ReadyText
from shared.persian.money import Unit, in_unit

_UNITS: Final[Mapping[str, Unit]] = {"IRR": "IRR", "IRT": "IRT"}
CampaignState = Literal[
    "draft", "asks", "scheduled", "paused", "sending", "sent", "completed", "cancelled", "failed"
]  # fmt: skip
CampaignStep = Literal["recipients", "text", "time", "review"]
ListOfGuests = Literal[
    "waiting", "on_the_way", "delivered", "undelivered", "failed", "skipped", "returned", "replied"
]  # fmt: skip
LISTS: Final[tuple[ListOfGuests, ...]] = get_args(ListOfGuests)
WITH_REASONS: Final = frozenset({"waiting", "undelivered", "failed", "skipped"})
_LIST_OF_LOSS: Final[Mapping[str, ListOfGuests]] = {
    "barred": "skipped", "dropped": "skipped", "failed": "failed", "undelivered": "undelivered",
}  # fmt: skip
STEPS: Final[Sequence[CampaignStep]] = ("recipients", "text", "time", "review")
_PERSIAN: Final = re.compile("[\u0600-\u06ff]")
# What a one-off campaign's text may ask for.
VARIABLES: Final = frozenset({"name", "cafe", "page"})


@dataclass(frozen=True)
class FunnelStep:
    """One step: how many, and the losses that lead from the step before to it."""

    key: str
    guests: int
    losses: Sequence[str] = ()


def state_of(campaign: CampaignRow) -> CampaignState:
    """The one word for how it stands."""
    if campaign.status in ("scheduled", "sending") and campaign.paused_at is not None:
        return "paused"
    if campaign.status == "scheduled" and campaign.approved_at is None:
        return "asks"
    known: Mapping[str, CampaignState] = {
        "scheduled": "scheduled", "sending": "sending", "sent": "sent", "completed": "completed",
        "cancelled": "cancelled", "failed": "failed",
    }  # fmt: skip
    return known.get(campaign.status, "draft")


def acts_of(campaign: CampaignRow) -> tuple[str, ...]:
    """What may be done with it now."""
    state = state_of(campaign)
    if state == "draft":
        return ("edit", "cancel")
    if state == "paused":
        return ("resume", "cancel")
    if state in ("asks", "scheduled"):
        return ("edit", "pause", "cancel")
    return ("pause", "cancel") if state == "sending" else ()


def list_of(loss: str) -> ListOfGuests:
    """In which list the guests of a loss are."""
    return _LIST_OF_LOSS[loss]


def steps_of(funnel: FunnelOfCampaign) -> tuple[FunnelStep, ...]:
    """The funnel from everybody it was for to who came back; each step is the one before without its losses."""
    return (
        FunnelStep("recipients", funnel.recipients),
        FunnelStep("allowed", funnel.allowed, ("barred",)),
        FunnelStep("sent", funnel.sent, ("dropped", "failed", "waiting")),
        FunnelStep("delivered", funnel.delivered, ("undelivered", "on_the_way")),
        FunnelStep("returned", funnel.returned),
    )


def body_of(campaign: CampaignRow, **changed: Any) -> dict[str, Any]:
    """The whole draft as the API takes it, with what a step changed."""
    target = {"everyone": True} if campaign.segments is None else {"segments": list(campaign.segments)}
    body = {
        "name": campaign.name,
        "description": campaign.description,
        "purpose": campaign.purpose,
        "ignores_quiet_hours": campaign.ignores_quiet_hours,
        "target": target,
        "template": campaign.template_content or None,
        "fallbacks": campaign.template_variables,
        "budget": campaign.budget,
        "currency_unit": campaign.currency_unit,
        "wanted_date": campaign.wanted_date,
        "version": campaign.version,
    }
    return body | changed


def draft_of(campaign: CampaignRow, *, counts: bool, **changed: Any) -> dict[str, Any]:
    """What a preview of the draft is asked for."""
    body = body_of(campaign, **changed)
    asked = ("purpose", "target", "template", "fallbacks", "budget", "currency_unit")
    return {name: body[name] for name in asked} | {"counts": counts}


def fitting(texts: Sequence[ReadyText]) -> tuple[ReadyText, ...]:
    """The texts of the library that a one-off campaign can say."""
    return tuple(each for each in texts if variables_in(each.content) <= VARIABLES)


def variables_in(content: str) -> frozenset[str]:
    """What a text asks for."""
    pieces = content.split("{{")[1:]
    return frozenset(piece.partition("}}")[0].partition("|")[0].strip() for piece in pieces)


def with_fallbacks(content: str, fallbacks: Mapping[str, str]) -> str:
    """The text as people write it, with what stands for a missing value inside: {{name|guest}}."""
    for name, words in fallbacks.items():
        content = content.replace(f"{{{{{name}}}}}", f"{{{{{name}|{words}}}}}")
    return content


def direction_of(text: str, otherwise: str) -> str:
    """How a message is read: from the right as soon as it has Persian in it, though it begins with a variable."""
    if _PERSIAN.search(text):
        return "rtl"
    return "ltr" if any(letter.isalpha() for letter in text) else otherwise


def messages_for(budget: Decimal | None, cost_of_one: Decimal) -> int | None:
    """How many messages a budget is enough for; None without one, or where a message costs nothing."""
    return None if budget is None or cost_of_one <= 0 else int(budget // cost_of_one)


def in_own(amount: Decimal, unit: str, wanted: str) -> Decimal:
    """An amount in another unit, exactly."""
    return in_unit(amount, _UNITS[unit], _UNITS[wanted])
