"""Whether a message is sent, held or not sent: the checks, in their order, each with what it saw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from services.campaign.audience.models.values import Contact
from services.campaign.audience.rules import notice_values
from services.campaign.channels.models.values import Provider, Rendered
from services.campaign.channels.rules import cost_of, in_priority, is_paused
from services.campaign.messages.models.values import (
    CafeRules,
    Check,
    Decided,
    Decision,
    DecisionOutcome,
    MessageFacts,
    Pending,
    SentSoFar,
)
from services.campaign.messages.rules import pace
from services.campaign.texts.models.values import LONGEST_MESSAGE
from services.campaign.texts.rules import template
from services.campaign.texts.rules.wording import is_whole
from shared.consent import Channel

# The reason of a message that could not even be decided about.
BROKEN: Final = "broken"
# The reason of one whose campaign rests.
PAUSED: Final = "paused"
# What a text counts as on a channel.
Render = Callable[[Channel, str], Rendered]

_NOTHING: Final = Decimal(0)
_ENDED: Final = ("cancelled", "failed")


@dataclass(frozen=True)
class Facts:
    """Everything one decision rests on: what was looked up (`MessageFacts`), the whole `text`, the `parts` that are
    billed for it, and what has been sent and spent, also by the messages before it."""

    pending: Pending
    cafe: CafeRules | None
    contact: Contact | None
    address: str | None = field(repr=False)
    stays: Mapping[str, UUID]
    text: str = field(repr=False)
    parts: int
    providers: Sequence[Provider]
    tally: SentSoFar
    moment: datetime


@dataclass(frozen=True)
class CheckResult:
    """One check's result; `outcome` is what follows when it did not pass, and `reason` why, where the check's own name
    does not say it."""

    passed: bool
    detail: Mapping[str, Any] = field(default_factory=dict)
    outcome: DecisionOutcome = "skip"
    hold_until: datetime | None = None
    provider: Provider | None = None
    reason: str | None = None


def decide_all(batch: Sequence[MessageFacts], sent: SentSoFar, render: Render, moment: datetime) -> list[Decided]:
    """Decides about each message in turn; each counts against what the ones before it leave. One that can't be decided
    about harms no other."""
    used = sent.copy()
    decided = []
    for known in batch:
        try:
            each = broken(known.pending, known.fault) if known.fault else _decide_one(known, used, render, moment)
        except Exception as error:
            each = broken(known.pending, error)
        if each.decision.provider is not None and each.decision.outcome == "send":
            used.add(known.pending, each.decision.provider, each.cost)
        decided.append(each)
    return _left_for_a_price(decided)


def broken(pending: Pending, fault: Exception | None = None) -> Decided:
    """A message that nobody can decide about is closed."""
    return Decided(MessageFacts(pending), Decision("skip", BROKEN, [Check(BROKEN, passed=False)]), fault=fault)


def _decide_one(known: MessageFacts, used: SentSoFar, render: Render, moment: datetime) -> Decided:
    text = write_text(known)
    parts = render(known.pending.channel, text).parts
    decision = decide(
        Facts(
            known.pending, known.cafe, known.contact, known.address, known.stays, text, parts, known.accounts, used,
            moment,
        )
    )  # fmt: skip
    cost = cost_of(parts, decision.provider) if decision.provider is not None else _NOTHING
    return Decided(known, decision, text, parts, cost)


def write_text(known: MessageFacts) -> str:
    """The message as the guest reads it, or whoever is on duty."""
    pending = known.pending
    values = {
        "name": template.presentable(known.contact.name if known.contact else None),
        "cafe": known.cafe.name if known.cafe else None,
        "link": known.link,
        "page": known.page,
        **(notice_values(known.notice) if known.notice else {}),
    }
    return template.with_stop_line(template.render(pending.template, values, pending.fallbacks), pending.purpose)


def _left_for_a_price(decided: Sequence[Decided]) -> list[Decided]:
    """Marks messages that wait for a price: a budget may not bear them, depending on what others of this round cost, so
    they stay due for the next round.

    Where nothing goes in this round, the wait is longer, and the message is put off like any other.
    """
    going = {each.facts.pending.cafe_id for each in decided if each.decision.outcome == "send"}
    return [
        replace(each, is_left=True)
        if each.decision.outcome == "hold" and each.decision.reason == "budget" and each.facts.pending.cafe_id in going
        else each
        for each in decided
    ]


def decide(facts: Facts) -> Decision:
    """Asks the checks in order and stops at the first that says no.

    A hold beyond the message's expiry is a "no": nobody wants yesterday's thanks.
    """
    made: list[Check] = []
    provider: Provider | None = None
    for name, ask in CHECKS.items():
        answer = ask(facts)
        made.append(Check(name, answer.passed, answer.detail))
        provider = answer.provider or provider
        if not answer.passed:
            return _refusal(facts, name, answer, made)
    return Decision("send", "all_checks_passed", made, provider=provider)


def _refusal(facts: Facts, name: str, answer: CheckResult, made: Sequence[Check]) -> Decision:
    until = answer.hold_until
    if answer.outcome == "hold" and until is not None and until < facts.pending.expires_at:
        return Decision("hold", answer.reason or name, made, hold_until=until)
    return Decision("skip", answer.reason or name, made)


def _campaign(facts: Facts) -> CheckResult:
    status, cancelled_for = facts.pending.campaign_status, facts.pending.cancelled_for
    detail = {"status": status} | ({"cancelled_for": cancelled_for} if cancelled_for else {})
    if facts.pending.is_paused and status not in _ENDED:
        # Who lets it go on makes it due again; else it is looked at a last time just before it expires.
        last = facts.pending.expires_at - pace.LAST_CHANCE
        until = last if last > facts.moment else facts.pending.expires_at
        return CheckResult(False, {"status": status, "paused": True}, "hold", until, reason=PAUSED)
    return CheckResult(status not in _ENDED and cancelled_for is None, detail, reason=cancelled_for)


def _expiry(facts: Facts) -> CheckResult:
    return CheckResult(facts.moment < facts.pending.expires_at, {"expires_at": facts.pending.expires_at.isoformat()})


def _cafe(facts: Facts) -> CheckResult:
    return CheckResult(facts.cafe is not None and facts.cafe.is_active)


def _contact(facts: Facts) -> CheckResult:
    contact = facts.contact
    if contact is not None and contact.phone is not None:
        reached = facts.address is not None
        return CheckResult(reached, {"known": True, "mobile": reached})
    if contact is not None and contact.erased:
        return CheckResult(False, {"known": False, "erased": True})
    # The profile travels on a topic of its own and may still be under way.
    patient = facts.moment - facts.pending.queued_at < pace.CONTACT_PATIENCE
    again = pace.try_again(facts.pending.queued_at, facts.moment, pace.SHORTEST_WAIT_FOR_CONTACT)
    return CheckResult(False, {"known": False}, "hold" if patient else "skip", again)


def _status(facts: Facts) -> CheckResult:
    assert facts.contact is not None
    status = facts.contact.status
    allowed = status == "active" or (status == "inactive" and facts.pending.purpose == "service")
    return CheckResult(allowed, {"status": status})


def _line(facts: Facts) -> CheckResult:
    assert facts.contact is not None
    return CheckResult(not facts.contact.line_blocked)


def _consent(facts: Facts) -> CheckResult:
    assert facts.contact is not None
    purpose = facts.pending.purpose
    recorded = facts.contact.consents.get(purpose)
    # The guest's own visit is reason enough to thank for it; advertising needs a recorded yes.
    allowed = recorded is not False if purpose == "service" else recorded is True
    return CheckResult(allowed, {"purpose": purpose, "recorded": recorded})


def _complaint(facts: Facts) -> CheckResult:
    assert facts.contact is not None
    # Nobody who waits for an answer to a complaint is sent an advertisement meanwhile.
    held = facts.contact.complaints if facts.pending.purpose == "marketing" else ()
    return CheckResult(not held, {"cases": [str(case_id) for case_id in held]})


def _segment(facts: Facts) -> CheckResult:
    asked, trigger_id = facts.pending.segments, facts.pending.trigger_id
    if asked is None:
        return CheckResult(True)
    stays = {key: facts.stays[key] for key in asked if key in facts.stays}
    stayed = trigger_id in stays.values() if facts.pending.of_this_stay else bool(stays)
    return CheckResult(stayed, {"asked": list(asked), "inside": sorted(stays)}, reason="left_segment")


def _text(facts: Facts) -> CheckResult:
    # A text from before double braces were refused: nobody pays for sending them to guests.
    whole = is_whole(facts.pending.template)
    detail = {"characters": len(facts.text), "parts": facts.parts} | ({} if whole else {"braces": True})
    return CheckResult(whole and 0 < len(facts.text) <= LONGEST_MESSAGE, detail)


def _frequency(facts: Facts) -> CheckResult:
    assert facts.cafe is not None
    own = facts.contact.daily_cap if facts.contact else None
    sent, cap = facts.tally.today.get(facts.pending.customer_id, 0), facts.cafe.guest_daily_cap if own is None else own
    return CheckResult(sent < cap, {"today": sent, "cap": cap})


def _quiet_hours(facts: Facts) -> CheckResult:
    assert facts.cafe is not None
    if facts.pending.ignores_quiet_hours:
        return CheckResult(True, {"ignored": True})
    until = pace.quiet_until(facts.cafe, facts.moment)
    detail = {"from": f"{facts.cafe.quiet_from:%H:%M}", "until": f"{facts.cafe.quiet_until:%H:%M}"}
    return CheckResult(until is None, detail, "hold", until)


def _provider(facts: Facts) -> CheckResult:
    pinned = facts.pending.provider_id
    asked: list[dict[str, Any]] = []
    for provider in in_priority(facts.providers):
        if pinned is not None and provider.id != pinned:
            # Only the provider that may already have the message recognizes it.
            continue
        why = _unavailable(provider, facts)
        asked.append({"provider": str(provider.id), "name": provider.provider_name, "unavailable": why})
        if why is None:
            return CheckResult(True, {"asked": asked}, provider=provider)
    return CheckResult(
        False, {"asked": asked}, "hold", _hold_until(facts, [str(entry["unavailable"]) for entry in asked])
    )


def _hold_until(facts: Facts, reasons: Sequence[str]) -> datetime:
    """When an account may be there again: after a pause, on the next day after a limit, or after the usual wait. A
    message whose account stays away is looked at a last time just before it expires."""
    until = pace.try_again(facts.pending.queued_at, facts.moment)
    pauses = [p.paused_until for p in facts.providers if p.is_active and p.paused_until is not None]
    if "paused" in reasons and pauses:
        until = max(min(pauses), facts.moment + pace.LAST_CHANCE)
    elif facts.cafe is not None and any(reason.endswith("_limit") for reason in reasons):
        return pace.next_day(facts.cafe, facts.moment)
    last = facts.pending.expires_at - pace.LAST_CHANCE
    return min(until, last) if last > facts.moment else until


def _unavailable(provider: Provider, facts: Facts) -> str | None:
    if provider.fault is not None:
        return provider.fault
    if is_paused(provider, facts.moment):
        return "paused"
    if provider.id in facts.pending.refused_by:
        return "refused"
    if provider.daily_limit is not None and facts.tally.by_day.get(provider.id, 0) >= provider.daily_limit:
        return "daily_limit"
    if provider.monthly_limit is not None and facts.tally.by_month.get(provider.id, 0) >= provider.monthly_limit:
        return "monthly_limit"
    return None


def _budget(facts: Facts) -> CheckResult:
    chosen = _provider(facts).provider
    assert facts.cafe is not None
    assert chosen is not None
    cost, pending, tally = cost_of(facts.parts, chosen), facts.pending, facts.tally
    added = tally.campaign_cost.get(pending.campaign_id, _NOTHING)
    campaign = _Purse(pending.budget, pending.spent + added, pending.reserved + added)
    month = _Purse(
        facts.cafe.monthly_budget,
        tally.month_cost.get(pending.cafe_id, _NOTHING),
        tally.month_reserved.get(pending.cafe_id, _NOTHING),
    )
    detail = {"cost": str(cost), "campaign": str(campaign.spent), "month": str(month.spent)}
    if not (campaign.holds(cost) and month.holds(cost)):
        return CheckResult(False, detail)
    # What is under way may cost more than expected, so this message waits for its price.
    fits = all(purse.surely_holds(cost, is_priced=chosen.charged_per_part is not None) for purse in (campaign, month))
    until = pace.try_again(pending.queued_at, facts.moment, pace.SHORTEST_WAIT_FOR_A_PRICE)
    return CheckResult(fits, detail, "hold", until)


@dataclass(frozen=True)
class _Purse:
    """A budget (None: no bound), what is spent of it, and how much of that is `reserved`: spent on messages whose price
    is not known."""

    budget: Decimal | None
    spent: Decimal
    reserved: Decimal

    def holds(self, cost: Decimal) -> bool:
        """Whether there is room for it if nothing that is under way costs anything."""
        return self.budget is None or self.spent - self.reserved + cost <= self.budget

    def surely_holds(self, cost: Decimal, *, is_priced: bool) -> bool:
        """Whether it fits even if the provider asks twice what is expected. While nothing else is under way it always
        does; beside other messages only if the account's price is known."""
        if self.budget is None or self.reserved <= 0:
            return True
        return is_priced and self.spent + self.reserved + 2 * cost <= self.budget


# Cheapest and most final first; a reason named here is what staff read as "why not".
CHECKS: Final[Mapping[str, Callable[[Facts], CheckResult]]] = {
    "campaign": _campaign,
    "expiry": _expiry,
    "cafe": _cafe,
    "contact": _contact,
    "status": _status,
    "line": _line,
    "consent": _consent,
    "complaint": _complaint,
    "segment": _segment,
    "text": _text,
    "frequency_cap": _frequency,
    "quiet_hours": _quiet_hours,
    "provider": _provider,
    "budget": _budget,
}
