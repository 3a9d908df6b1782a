"""Visits that people enter, void and claim by hand. Beyond what one person may do in a day alone they wait for
another."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from services.visit.handlers import showing
from services.visit.handlers.ingest import record_visits
from services.visit.handlers.tills import event_id_of
from services.visit.models.http import ClaimBody, EnteredVisit
from services.visit.models.values import BillOutcome, ClaimVisit, DeskEntry, RecordVisit, VoidVisit
from services.visit.rules import claiming
from services.visit.rules.verdicts import event_id_reused
from services.visit.store import entries, receipts, visits
from shared.clock import new_id, now
from shared.database.db import Connection, plan_by_key
from shared.errors import NotFound, Problem, Rejected
from shared.events import pos
from shared.events.identity import Role
from shared.events.pos import RESERVED_DEVICE, VisitBody
from shared.inputs.amounts import INSIDE, inside
from shared.persian.money import Unit, in_unit
from shared.security import access, ids
from shared.security.approval import Oversight, Size, Waiting, may_decide, require_pass
from shared.security.crypto import Keys, phone_hash, seal, unseal

# Toman. Whoever approves can mistype as well; no bill of a cafe is as large.
MOST_BY_HAND: Final = Decimal(1_000_000_000)


async def enter(
    conn: Connection,
    cafe_id: UUID,
    user_id: UUID,
    role: Role,
    body: EnteredVisit,
    idempotency_key: str | None,
    correlation_id: UUID,
    *,
    keys: Keys,
) -> BillOutcome | DeskEntry:
    """Takes in a bill that a person entered: the person is its device, and a repeated key is the same bill. A
    `DeskEntry`: it waits for a second person.

    Raises `Rejected` when the number already stands for another bill, the branch is unknown, or no bill is so large.
    """
    await access.take_turn(conn, cafe_id, user_id)
    own_id = event_id_of(cafe_id, idempotency_key) if idempotency_key else new_id()
    command = _command(cafe_id, user_id, own_id, body, correlation_id)
    known = await entries.find(conn, cafe_id, own_id)
    if known is not None and known.state != "entered":
        return _same(known, command, keys)
    if known is not None or await entries.is_taken(conn, cafe_id, command.device_id, command.receipt_number):
        return await _one(conn, command, keys)
    entry = DeskEntry(
        id=own_id,
        cafe_id=cafe_id,
        kind="bill",
        customer_id=await _guest_of(conn, cafe_id, body.phone, keys),
        visit_id=None,
        amount=_within_reason(body),
        created_by=user_id,
        created_at=now(),
    )
    oversight = await access.oversight(conn, cafe_id)
    limit = oversight.policy.staff_amount if role == "staff" else oversight.policy.amount
    if await _passes(conn, oversight, entry, limit):
        outcome = await _one(conn, command, keys)
        await entries.insert(conn, replace(entry, state="entered", visit_id=outcome.visit_id))
        return outcome
    return await _wait(conn, entry, _words_of(body), keys)


async def void(
    conn: Connection, cafe_id: UUID, user_id: UUID, visit_id: UUID, reason: str, correlation_id: UUID, *, keys: Keys
) -> BillOutcome | DeskEntry:
    """Voids a visit by its id. A `DeskEntry`: it waits for a second person.

    Raises `NotFound` when the cafe has no such visit, `Rejected` when it is archived.
    """
    await access.take_turn(conn, cafe_id, user_id)
    found = await visits.get_visit(conn, cafe_id, visit_id)
    if found is None or found["voided_at"] is not None:
        return await _void(conn, cafe_id, visit_id, reason, correlation_id, keys)
    waiting = await entries.find_waiting(conn, cafe_id, visit_id, "void")
    if waiting:
        return waiting
    entry = DeskEntry(
        id=new_id(),
        cafe_id=cafe_id,
        kind="void",
        customer_id=found["customer_id"],
        visit_id=visit_id,
        amount=inside(found["final_amount"], found["currency_unit"]),
        points=max(0, found["points_redeemed"]),
        created_by=user_id,
        created_at=now(),
    )
    oversight = await access.oversight(conn, cafe_id)
    if await _passes(conn, oversight, entry, oversight.policy.amount):
        outcome = await _void(conn, cafe_id, visit_id, reason, correlation_id, keys)
        await entries.insert(conn, replace(entry, state="entered"))
        return outcome
    return await _wait(conn, entry, reason, keys)


async def claim(
    conn: Connection, cafe_id: UUID, user_id: UUID, role: Role, visit_id: UUID, whose: ClaimBody, correlation_id: UUID,
    *, keys: Keys,
) -> BillOutcome | DeskEntry:  # fmt: skip
    """Gives a bill of nobody to the guest who paid it. A `DeskEntry`: it waits for a second person.

    Raises `NotFound`, and `Rejected`: 409 when it was voided or is another guest's, 410 when it is too old.
    """
    await access.take_turn(conn, cafe_id, user_id)
    found = await visits.get_visit(conn, cafe_id, visit_id)
    if found is None:
        raise NotFound("visit", "این بازدید")
    if found["voided_at"] is not None:
        raise claiming.void_cannot_be_claimed()
    entry = DeskEntry(
        id=new_id(),
        cafe_id=cafe_id,
        kind="claim",
        customer_id=await _guest_of(conn, cafe_id, whose.phone, keys),
        visit_id=visit_id,
        amount=inside(found["final_amount"], found["currency_unit"]),
        created_by=user_id,
        created_at=now(),
    )
    if found["customer_id"] is not None or entry.created_at - found["visit_date"] > claiming.CLAIM_WITHIN:
        return await _claim(conn, entry, whose, correlation_id, keys)
    waiting = await entries.find_waiting(conn, cafe_id, visit_id, "claim")
    if waiting:
        if waiting.customer_id != entry.customer_id:
            raise claiming.claim_waits()
        return waiting
    oversight = await access.oversight(conn, cafe_id)
    limit = oversight.policy.staff_amount if role == "staff" else oversight.policy.amount
    if await _passes(conn, oversight, entry, limit):
        outcome = await _claim(conn, entry, whose, correlation_id, keys)
        await entries.insert(conn, replace(entry, state="entered"))
        return outcome
    return await _wait(conn, entry, _words_of(whose), keys)


async def decide(
    conn: Connection, cafe_id: UUID, entry_id: UUID, by: UUID, correlation_id: UUID, *, approve: bool, keys: Keys
) -> DeskEntry:
    """The second person's answer to a bill or a void that waits.

    Raises `NotFound`, and `Rejected`: 403 to its author, 409 when it was decided otherwise, and as `enter` and `void`.
    """
    entry = await entries.find(conn, cafe_id, entry_id)
    if entry is None:
        raise NotFound("entry", "چنین ثبتی")
    if entry.state != "pending":
        if entry.state == ("entered" if approve else "declined"):
            return entry
        raise _already_decided()
    oversight = await access.oversight(conn, cafe_id)
    require_pass(oversight.judge([entry.created_by], Size(), approver=by))
    is_other = by != entry.created_by
    decided = replace(
        entry,
        state="entered" if approve else "declined",
        body_sealed=None,
        decided_by=by if is_other else None,
        decided_at=now() if is_other else None,
    )
    if approve:
        words = _opened(entry, keys)
        if entry.kind == "bill":
            body = pos.read(EnteredVisit, words.encode())
            outcome = await _one(conn, _command(cafe_id, entry.created_by, entry.id, body, correlation_id), keys)
        elif entry.kind == "claim":
            outcome = await _claim(conn, entry, pos.read(ClaimBody, words.encode()), correlation_id, keys)
        else:
            assert entry.visit_id is not None
            outcome = await _void(conn, cafe_id, entry.visit_id, words, correlation_id, keys)
        decided = replace(decided, visit_id=outcome.visit_id)
    await entries.decide(conn, decided)
    return decided


async def list_waiting(conn: Connection, cafe_id: UUID, caller: UUID, limit: int, *, keys: Keys) -> list[Waiting]:
    """Bills and voids that wait for a second person, the oldest first, and whether the caller may decide about each."""
    oversight, unit = await access.oversight(conn, cafe_id), await access.unit_of(conn, cafe_id)
    return [
        Waiting(
            kind=entry.kind,
            id=entry.id,
            what=_told(entry, unit, keys),
            points=entry.points if entry.kind == "void" else None,
            amount=in_unit(entry.amount, INSIDE, unit),
            currency_unit=unit,
            asked_by=entry.created_by,
            asked_at=entry.created_at,
            decide_at=f"/cafes/{cafe_id}/entries/{entry.id}/decision",
            **may_decide(oversight.judge([entry.created_by], Size(), approver=caller)),
        )
        for entry in await entries.list_pending(conn, cafe_id, limit)
    ]


def _told(entry: DeskEntry, unit: Unit, keys: Keys) -> dict[str, Any]:
    about = {"customer_id": entry.customer_id, "visit_id": entry.visit_id}
    if entry.kind == "void":
        return about | {"reason": _opened(entry, keys)}
    if entry.kind == "claim":
        return about | pos.read(ClaimBody, _opened(entry, keys).encode()).model_dump(include={"name"})
    return about | showing.asked(pos.read(EnteredVisit, _opened(entry, keys).encode()), unit)


async def _passes(conn: Connection, oversight: Oversight, entry: DeskEntry, limit: int) -> bool:
    """Whether its author may do it alone, after all that they did on that day."""
    done, points = await entries.done_alone(
        conn, entry.cafe_id, entry.created_by, oversight.day_begins(entry.created_at)
    )
    sizes = [Size(entry.amount, done, limit)]
    if entry.points:
        sizes.append(Size(entry.points, points, oversight.policy.points))
    return all(oversight.judge([entry.created_by], size).passes for size in sizes)


async def _wait(conn: Connection, entry: DeskEntry, words: str, keys: Keys) -> DeskEntry:
    sealed = seal(keys, words, table="hand_entries", column="body_sealed", row=entry.id)
    waiting = replace(entry, body_sealed=sealed)
    await entries.insert(conn, waiting)
    return waiting


def _words_of(body: VisitBody | ClaimBody) -> str:
    return msgspec.json.encode(body.model_dump(exclude_unset=True)).decode()


def _opened(entry: DeskEntry, keys: Keys) -> str:
    return unseal(keys, entry.body_sealed or "", table="hand_entries", column="body_sealed", row=entry.id)


def _same(known: DeskEntry, command: RecordVisit, keys: Keys) -> DeskEntry:
    if known.kind != "bill" or known.created_by != command.created_by:
        raise event_id_reused()
    if known.state == "declined":
        raise _already_decided()
    if _opened(known, keys) != _words_of(command.body):
        raise event_id_reused()
    return known


def _within_reason(body: EnteredVisit) -> Decimal:
    amount = inside(body.total, body.currency_unit)
    if amount > MOST_BY_HAND:
        problem = Problem(
            "total",
            "too_large_by_hand",
            f"At most {MOST_BY_HAND:,} Toman, or {in_unit(MOST_BY_HAND, INSIDE, 'IRR'):,} Rial, can be entered by"
            " hand; look at the amount and the currency unit.",
            "دستی حداکثر یک میلیارد تومان، یعنی ده میلیارد ریال، ثبت می‌شود؛ مبلغ و واحد پول را بررسی کنید.",
        )
        raise Rejected("invalid_input", problem.en, problem.fa, problems=[problem])
    return inside(body.total - body.discount, body.currency_unit)


async def _guest_of(conn: Connection, cafe_id: UUID, phone: str | None, keys: Keys) -> UUID | None:
    if phone is None:
        return None
    known = await entries.customer_of(conn, cafe_id, phone_hash(keys, cafe_id, phone))
    return known or ids.customer_id(keys, cafe_id, phone)


def _command(cafe_id: UUID, author: UUID, own_id: UUID, body: EnteredVisit, correlation_id: UUID) -> RecordVisit:
    return RecordVisit(
        cafe_id=cafe_id,
        device_id=f"{RESERVED_DEVICE}{author}",
        receipt_number=body.receipt_number or str(own_id),
        correlation_id=correlation_id,
        event_id=own_id,
        created_by=author,
        body=body,
    )


async def _void(
    conn: Connection, cafe_id: UUID, visit_id: UUID, reason: str, correlation_id: UUID, keys: Keys
) -> BillOutcome:
    receipt = await receipts.receipt_of(conn, cafe_id, visit_id)
    if receipt is None:
        raise NotFound("visit", "این بازدید")
    command = VoidVisit(
        cafe_id=cafe_id,
        device_id=receipt[0],
        receipt_number=receipt[1],
        correlation_id=correlation_id,
        voided_at=now(),
        reason=reason,
    )
    return await _one(conn, command, keys)


async def _claim(conn: Connection, entry: DeskEntry, whose: ClaimBody, correlation_id: UUID, keys: Keys) -> BillOutcome:
    assert entry.visit_id is not None
    found = await visits.get_visit(conn, entry.cafe_id, entry.visit_id)
    if found is None:
        raise NotFound("visit", "این بازدید")
    command = ClaimVisit(
        cafe_id=entry.cafe_id,
        device_id=found["device_id"],
        receipt_number=found["receipt_number"],
        correlation_id=correlation_id,
        corrected_at=entry.created_at,
        body=VisitBody(
            phone=whose.phone,
            guest_name=whose.name,
            occurred_at=found["visit_date"],
            total=found["total_amount"],
            currency_unit=found["currency_unit"],
            attributes={},
        ),
    )
    return await _one(conn, command, keys)


async def _one(conn: Connection, command: RecordVisit | ClaimVisit | VoidVisit, keys: Keys) -> BillOutcome:
    await plan_by_key(conn)
    commands: Sequence[RecordVisit | ClaimVisit | VoidVisit] = [command]
    [outcome] = await record_visits(conn, commands, keys=keys)
    if outcome.refusal:
        raise outcome.refusal
    return outcome


def _already_decided() -> Rejected:
    return Rejected("already_decided", "It was decided before.", "پیش‌تر دربارهٔ آن تصمیم گرفته شده است.", status=409)
