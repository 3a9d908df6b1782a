"""Whether rules are those that were rehearsed."""

from uuid import UUID

from services.loyalty.models.programs import ProgramRules
from services.loyalty.store import rehearsals
from shared.database.db import Connection
from shared.errors import Problem, Rejected


async def require_rehearsed(conn: Connection, cafe_id: UUID, rules: ProgramRules, rehearsal_id: UUID | None) -> None:
    """Raises Rejected when there is no such rehearsal, it has not ended, or it tried other rules: who approves the
    rules would be shown what they don't do."""
    if rehearsal_id is None:
        return
    found = await rehearsals.find(conn, cafe_id, rehearsal_id)
    if found is None or found.state != "done":
        raise _wrong("There is no rehearsal with this id that has ended.", "اجرای آزمایشیِ تمام‌شده‌ای با این شناسه نیست.")
    if ProgramRules.model_validate(found.rules) != rules:
        raise _wrong(
            "That rehearsal tried other rules; rehearse these, or leave it out.",
            "آن اجرای آزمایشی برای قاعده‌های دیگری بوده است؛ همین قاعده‌ها را آزمایش کنید یا شناسه را نفرستید.",
        )


def _wrong(en: str, fa: str) -> Rejected:
    problems = [Problem("rehearsal_id", "not_rehearsed", en, fa)]
    return Rejected("not_rehearsed", en, fa, status=409, problems=problems)
