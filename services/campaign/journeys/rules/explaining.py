"""Why a guest got a message or not: the journeys that took the guest and those that did not, and what each message was
asked before it was sent."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, get_args
from uuid import UUID

from services.campaign.audience.rules import stay_id
from services.campaign.journeys.models.explaining import KnownJourney, RunRow, StayRow
from services.campaign.journeys.rules.enrolling import takes_again
from shared.inputs.explaining import Amounts, Condition, ExplainedStep, Outcome, ToldValues, amounts, facts, failed
from shared.persian.money import Unit

# What a condition about a journey names as its rule, beside the checks of a message and why a run ended.
RULES: Final = ("journey", "is_active", "began_before", "starts_on", "reentry", "age", "no_run")
_OUTCOMES: Final = get_args(Outcome)


def triggers_of(stay: StayRow) -> tuple[UUID, UUID]:
    """What a run of this stay has as its trigger; earlier versions took the segment itself."""
    return stay_id(stay.segment_id, stay.entered_at), stay.segment_id


def run_step(run: RunRow, known: KnownJourney) -> ExplainedStep:
    """A journey that took the guest, or why it led to no message."""
    took = run.state in ("waiting", "queued")
    late = run.created_at - run.occurred_at
    age = Condition(
        rule="age",
        held=late <= timedelta(minutes=known.journey.max_age_minutes),
        values=facts(minutes=late // timedelta(minutes=1), most=known.journey.max_age_minutes),
    )
    return ExplainedStep(
        id=known.journey.id, at=run.occurred_at, service="campaign", what="journey",
        outcome="enrolled" if took else "not_enrolled", rule=run.reason or "journey",
        values=facts(
            journey_key=known.key, trigger=known.journey.trigger, segment_key=known.journey.segment_key,
            state=run.state, due_at=run.due_at,
        ),
        because=[run.trigger_id], conditions=[age], not_because=[] if took else [run.reason or "age"],
    )  # fmt: skip


def stay_step(stay: StayRow, known: KnownJourney) -> ExplainedStep:
    """A journey about a segment that the guest is in, which did not take the guest."""
    again = takes_again(known.journey, stay.entered_at, stay.last_at)
    conditions = [
        _active(known),
        Condition(rule="began_before", held=known.created_at <= stay.entered_at),
        Condition(
            rule="starts_on", held=stay.reason in known.journey.starts_on,
            values=facts(reason=stay.reason, starts_on=", ".join(known.journey.starts_on)),
        ),
        Condition(
            rule="reentry", held=again,
            values=facts(reentry=known.journey.reentry, days=known.journey.reentry_days, last_at=stay.last_at),
        ),
    ]  # fmt: skip
    return _not_enrolled(known, stay.entered_at, conditions, [stay.segment_id])


def absent_step(known: KnownJourney, visit_id: UUID, moment: datetime) -> ExplainedStep:
    """A journey about visits that knows nothing of this one."""
    conditions = [_active(known), Condition(rule="began_before", held=known.created_at <= moment)]
    return _not_enrolled(known, moment, conditions, [visit_id])


def message_step(row: Mapping[str, Any], unit: Unit) -> ExplainedStep:
    """A message, and what became of it."""
    status = row["delivery_status"]
    ended = status in ("skipped", "failed", "bounced")
    decisions = row["decisions"]
    conditions = checks_of(decisions[-1]["checks"], unit) if decisions else []
    return ExplainedStep(
        id=row["id"], at=row["queued_at"], service="campaign", what="message",
        outcome=status if status in _OUTCOMES else "queued", rule=row["error_code"],
        values=facts(
            campaign=row["campaign"], purpose=row["purpose"], parts=row["parts"], attempts=row["delivery_attempts"],
            sent_at=row["sent_at"], delivered_at=row["delivered_at"], opened_at=row["opened_at"], due_at=row["due_at"],
            is_test=row["is_test"],
        ),
        amounts=amounts(unit, row["currency_unit"] or "IRR", cost=row["message_cost"]),
        because=[each for each in (row["trigger_id"], row["visit_id"], row["campaign_id"]) if each],
        conditions=conditions, not_because=[row["error_code"]] if ended and row["error_code"] else [],
    )  # fmt: skip


def decision_step(message_id: UUID, decision: Mapping[str, Any], unit: Unit) -> ExplainedStep:
    """One decision about a message, with every check up to the one that decided."""
    checks = decision["checks"]
    return ExplainedStep(
        id=message_id, at=decision["decided_at"], service="campaign", what="decision", outcome=decision["outcome"],
        rule=decision["reason"], values=facts(hold_until=decision["hold_until"]), because=[message_id],
        conditions=checks_of(checks, unit), not_because=[code_of(each) for each in checks if not each["passed"]],
    )  # fmt: skip


def checks_of(checks: Sequence[Mapping[str, Any]], unit: Unit) -> list[Condition]:
    """The checks of a decision as conditions."""
    return [
        Condition(rule=each["check"], held=each["passed"], values=_values(each), amounts=_amounts(each, unit))
        for each in checks
    ]


def code_of(check: Mapping[str, Any]) -> str:
    """The code that a message is given which this check ended."""
    name: str = check["check"]
    if name == "segment":
        return "left_segment"
    cancelled_for: str | None = check["detail"].get("cancelled_for") if name == "campaign" else None
    return cancelled_for or name


def _active(known: KnownJourney) -> Condition:
    return Condition(rule="is_active", held=known.is_active)


def _not_enrolled(known: KnownJourney, at: datetime, conditions: list[Condition], because: list[UUID]) -> ExplainedStep:
    return ExplainedStep(
        id=known.journey.id, at=at, service="campaign", what="journey", outcome="not_enrolled", rule="no_run",
        as_of="now",
        values=facts(
            journey_key=known.key, trigger=known.journey.trigger, segment_key=known.journey.segment_key
        ),
        because=because, conditions=conditions, not_because=failed(conditions) or ["no_run"],
    )  # fmt: skip


def _values(check: Mapping[str, Any]) -> ToldValues:
    detail = check["detail"]
    if check["check"] == "budget":
        return {}
    if check["check"] == "provider":
        asked = detail.get("asked", ())
        reasons = [each["unavailable"] for each in asked if each["unavailable"]]
        return facts(accounts=len(asked), unavailable=", ".join(dict.fromkeys(reasons)) or None)
    return {
        name: len(value) if name == "cases" else ", ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in detail.items()
    }


def _amounts(check: Mapping[str, Any], unit: Unit) -> Amounts:
    if check["check"] != "budget":
        return {}
    # Sums of messages are kept in Rial.
    return amounts(unit, "IRR", **{name: Decimal(value) for name, value in check["detail"].items()})
