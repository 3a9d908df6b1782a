"""How a bill came to be what it is: from which till, how late, what was changed about it, and whose it is."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shared.inputs.explaining import Condition, ExplainedStep, amounts, facts
from shared.persian.money import Unit

# What a step or a condition names as its rule.
RULES: Final = ("till", "hand", "number", "claimed", "no_number", "forgotten", "numbers_missing")
_MINUTE: Final = timedelta(minutes=1)

Row = Mapping[str, Any]


def bill_steps(row: Row, unit: Unit) -> list[ExplainedStep]:
    """A bill, its guest, its correction and its void; each only where there is one."""
    return [_bill(row, unit), _guest(row), *_correction(row), *_void(row)]


def sequence_step(device_id: str, visit_id: UUID, missing: int, moment: datetime) -> ExplainedStep:
    """Whether the till's numbers are all here, by which a bill that is missing would be known."""
    numbers = Condition(rule="numbers_missing", held=not missing, values=facts(missing=missing))
    return ExplainedStep(
        id=visit_id, at=moment, service="visit", what="sequence", outcome="gap" if missing else "whole", as_of="now",
        values=facts(device_id=device_id, missing=missing), conditions=[numbers],
        not_because=["numbers_missing"] if missing else [],
    )  # fmt: skip


def _bill(row: Row, unit: Unit) -> ExplainedStep:
    late = max(timedelta(0), row["created_at"] - row["visit_date"])
    voided = row["voided_at"] is not None
    return ExplainedStep(
        id=row["id"], at=row["visit_date"], service="visit", what="bill", outcome="voided" if voided else "recorded",
        rule="hand" if row["created_by"] else "till",
        values=facts(
            device_id=row["device_id"], receipt_number=row["receipt_number"], late_minutes=late // _MINUTE,
            recorded_at=row["created_at"], points_earned=row["points_earned"], points_redeemed=row["points_redeemed"],
        ),
        amounts=amounts(
            unit, row["currency_unit"], total=row["total_amount"], discount=row["discount_amount"],
            bill=row["final_amount"],
        ),
        not_because=["voided"] if voided else [],
    )  # fmt: skip


def _guest(row: Row) -> ExplainedStep:
    nobody = row["customer_id"] is None
    rule = (
        "forgotten" if row["forgotten_at"] else "no_number" if nobody else "claimed" if row["claimed_at"] else "number"
    )
    return ExplainedStep(
        id=row["id"], at=row["claimed_at"] or row["visit_date"], service="visit", what="guest",
        outcome="nobody" if nobody else "known", rule=rule, values=facts(visit_number=row["visit_number"]),
        because=[each for each in (row["id"], row["customer_id"]) if each], not_because=[rule] if nobody else [],
    )  # fmt: skip


def _correction(row: Row) -> list[ExplainedStep]:
    if row["corrected_at"] is None:
        return []
    return [
        ExplainedStep(
            id=row["id"], at=row["corrected_at"], service="visit", what="correction", outcome="corrected", rule="till",
            because=[row["id"]],
        )
    ]  # fmt: skip


def _void(row: Row) -> list[ExplainedStep]:
    if row["voided_at"] is None:
        return []
    return [
        ExplainedStep(
            id=row["id"], at=row["voided_at"], service="visit", what="void", outcome="voided",
            rule="hand" if row["voided_by_hand"] else "till", because=[row["id"]],
        )
    ]  # fmt: skip
