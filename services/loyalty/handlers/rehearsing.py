"""Asking for a rehearsal of rules, and what became of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from services.loyalty.handlers.cafes import check_rules, codes_of
from services.loyalty.handlers.proposals import whole_rules
from services.loyalty.models.http_rehearsals import AskRehearsal, ShownRehearsal
from services.loyalty.models.rehearsals import GuestOutcome, Rehearsal, RehearsalFault
from services.loyalty.rules.programs import priced
from services.loyalty.rules.rehearsal_sums import unpacked
from services.loyalty.store import rehearsals
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound, Rejected
from shared.events.identity import Role
from shared.security import access
from shared.security.crypto import Keys

# So many that ended are kept of a cafe.
KEPT: Final = 20
HEAD: Final = "customer_id,points_before,points_after,change,balance_before,balance_after,tier_before,tier_after\r\n"
_WORDS: Final[dict[RehearsalFault, tuple[str, str]]] = {
    "interrupted": (
        "It was interrupted each time it was begun; ask again later.",
        "این اجرا هر بار نیمه‌کاره ماند؛ کمی بعد دوباره امتحان کنید.",
    ),
}


async def ask(
    conn: Connection, cafe_id: UUID, author: UUID, role: Role, wanted: AskRehearsal, keys: Keys
) -> ShownRehearsal:
    """A rehearsal that waits for its turn.

    Raises Rejected as publishing these rules would, but for the date, and while another rehearsal of the cafe is open.
    """
    rehearsal = await drafted(conn, cafe_id, author, role, wanted, keys)
    if not await rehearsals.ask(conn, cafe_id, rehearsal, KEPT - 1):
        raise Rejected(
            "rehearsal_open",
            "Another rehearsal of this cafe has not ended yet; wait for it.",
            "یک اجرای آزمایشی دیگر در این کافه هنوز تمام نشده است؛ تا پایان آن صبر کنید.",
            status=409,
        )
    return await _shown(conn, cafe_id, rehearsal)


async def drafted(
    conn: Connection, cafe_id: UUID, author: UUID, role: Role, wanted: AskRehearsal, keys: Keys
) -> Rehearsal:
    """The rehearsal, which nobody keeps yet.

    Raises Rejected as publishing these rules would, but for the date.
    """
    moment = now()
    rules = await whole_rules(conn, cafe_id, role, wanted)
    valid_from = _begins(wanted, moment)
    await check_rules(conn, cafe_id, rules, valid_from or moment, keys)
    return Rehearsal(
        rehearsal_id=new_id(),
        rules=rules.model_dump(mode="json"),
        menu_codes=codes_of(cafe_id, rules, keys) or None,
        mode=wanted.mode,
        valid_from=valid_from,
        asked_by=author,
        asked_at=moment,
    )


async def show(conn: Connection, cafe_id: UUID, rehearsal_id: UUID) -> ShownRehearsal:
    """How far a rehearsal is, and what it found.

    Raises NotFound when the cafe has none with that id.
    """
    return await _shown(conn, cafe_id, await _find(conn, cafe_id, rehearsal_id))


async def list_all(conn: Connection, cafe_id: UUID) -> list[ShownRehearsal]:
    """The cafe's rehearsals, the newest first, without their reports."""
    found = await rehearsals.list_all(conn, cafe_id)
    return [(await _shown(conn, cafe_id, each)).model_copy(update={"report": None}) for each in found]


async def require_done(conn: Connection, cafe_id: UUID, rehearsal_id: UUID) -> None:
    """Raises NotFound when there is no such rehearsal, and Rejected when it has found nothing yet."""
    if (await _find(conn, cafe_id, rehearsal_id)).state != "done":
        raise Rejected(
            "rehearsal_not_done",
            "This rehearsal has no result; look at its state.",
            "این اجرای آزمایشی نتیجه‌ای ندارد؛ وضعیتش را ببینید.",
            status=409,
        )


async def lines(read: Callable[[int], Awaitable[bytes | None]]) -> AsyncIterator[str]:
    """The guests' rows as CSV, a part at a time: ids, numbers and words of ours, which no spreadsheet takes for a
    formula."""
    yield HEAD
    part = 0
    while (rows := await read(part)) is not None:
        yield "".join(map(_line, unpacked(rows)))
        part += 1


def _line(each: GuestOutcome) -> str:
    cells = (
        each.customer_id, each.points_before, each.points_after, each.change, each.balance_before,
        each.balance_after, each.tier_before, each.tier_after,
    )  # fmt: skip
    return ",".join(map(str, cells)) + "\r\n"


def _begins(wanted: AskRehearsal, moment: datetime) -> datetime | None:
    return None if wanted.mode == "always" else wanted.valid_from or moment


async def _find(conn: Connection, cafe_id: UUID, rehearsal_id: UUID) -> Rehearsal:
    found = await rehearsals.find(conn, cafe_id, rehearsal_id)
    if found is None:
        raise NotFound("rehearsal", "چنین اجرای آزمایشی‌ای")
    return found


async def _shown(conn: Connection, cafe_id: UUID, found: Rehearsal) -> ShownRehearsal:
    unit = await access.unit_of(conn, cafe_id)
    words = _WORDS[found.error] if found.error else (None, None)
    return ShownRehearsal.of(
        {
            "rehearsal_id": found.rehearsal_id,
            "state": found.state,
            "mode": found.mode,
            "valid_from": found.valid_from,
            "asked_by": found.asked_by,
            "asked_at": found.asked_at,
            "ended_at": found.ended_at,
            "error": found.error,
            "error_en": words[0],
            "error_fa": words[1],
            "report": found.report,
            **_costs(found),
            **priced(found.rules),
        },
        unit,
    )


def _costs(found: Rehearsal) -> dict[str, int | None]:
    """What points are worth: those that bills earned, and those that guests hold."""
    report = found.report or {}
    before, after = report.get("toman_per_point_before"), report.get("toman_per_point_after")
    return {
        "issued_worth_before": before and report["points_before"] * before,
        "issued_worth_after": after and report["points_after"] * after,
        "held_worth_before": before and report["liability_before"] * before,
        "held_worth_after": after and report["liability_after"] * after,
    }
