"""What is asked about rehearsals over HTTP and what is answered."""

from datetime import datetime
from uuid import UUID

from services.loyalty.models.http import PublishProgram
from services.loyalty.models.programs import ProgramRules
from services.loyalty.models.rehearsals import RehearsalFault, RehearsalMode, RehearsalReport, RehearsalState
from shared.inputs.amounts import Money, Priced


class AskRehearsal(PublishProgram):
    """Rules to try on everything that happened, written as for publishing. `always`: as if they had been the only ones
    from the first bill on. `from_date`: as if they had begun at `valid_from`, in the past too, now when it is left
    out."""

    mode: RehearsalMode = "always"


class ShownRehearsal(Priced):
    """How far a rehearsal is; done, it has a `report`, and failed an `error` with a sentence in two languages.

    `earn_per` and `point_worth` as in `ShownProgram`. What the points are worth that bills earned (`issued`) and that
    guests hold (`held`), before by the rules in force and after with the draft; null while points have no price.
    """

    rehearsal_id: UUID
    state: RehearsalState
    mode: RehearsalMode
    valid_from: datetime | None
    asked_by: UUID
    asked_at: datetime
    ended_at: datetime | None
    error: RehearsalFault | None
    error_en: str | None
    error_fa: str | None
    rules: ProgramRules
    earn_per: Money
    point_worth: Money | None
    issued_worth_before: Money | None
    issued_worth_after: Money | None
    held_worth_before: Money | None
    held_worth_after: Money | None
    report: RehearsalReport | None
