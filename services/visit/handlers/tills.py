"""Records that tills publish on `pos.visits`: whose they are, and whether they are what that till signed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from pydantic import ValidationError

from services.visit.handlers.ingest import record_visits
from services.visit.models.values import BillCommand, CorrectVisit, RecordVisit, VoidVisit
from shared.clock import compiled_id, new_id, now
from shared.database.db import Connection
from shared.errors import Poison
from shared.events import pos
from shared.messaging.records import Record, Refusal, headers
from shared.persian.phone import phones_in
from shared.security import ids
from shared.security.auth import TillKey, load_till_keys
from shared.security.crypto import Keys

REQUIRED = ("ce_id", "ce_type", "pos_key_id", "pos_signature")
READ = (*REQUIRED, "traceparent")
LONGEST_ID = 200
SCOPE = "ingest"
TOPIC = "pos.visits"

_FIELD = re.compile("[a-z_]{1,40}")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_TRACEPARENT = re.compile("[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


async def on_pos_records(conn: Connection, records: Sequence[Record], *, keys: Keys) -> list[Refusal]:
    """Takes in what tills published; returns what was not taken and why.

    The cafe comes from the key that signed the record. A record whose key is not known yet is refused as
    `unknown_key`: it can be redriven once the key has arrived.
    """
    told = [headers(record, READ) for record in records]
    known = await load_till_keys(conn, keys, [each["pos_key_id"] for each in told if each["pos_key_id"]])
    refusals: list[Refusal] = []
    accepted: list[tuple[Record, BillCommand]] = []
    for record, each in zip(records, told, strict=True):
        try:
            accepted.append((record, _command(record, each, known)))
        except Poison as why:
            key = known.get(each["pos_key_id"] or "")
            refusals.append(Refusal(record, why.code, why.detail, guests=_named(record, key, keys)))
    if accepted:
        outcomes = await record_visits(conn, [command for _, command in accepted], keys=keys)
        refusals += [
            Refusal(record, refusal.code, refusal.en, guests=guests_named(record.value, command.cafe_id, keys))
            for (record, command), outcome in zip(accepted, outcomes, strict=True)
            if (refusal := outcome.refusal)
        ]
    return refusals


def command_of(
    cafe_id: UUID, body: pos.PosVisit | pos.PosVoid, *, event_id: UUID | None, correlation_id: UUID
) -> BillCommand:
    """What a till's body asks for, in the cafe of its key."""
    receipt: dict[str, Any] = {
        "cafe_id": cafe_id,
        "device_id": body.device_id,
        "receipt_number": body.receipt_number,
        "device_sequence": body.device_sequence,
        "event_id": event_id,
        "correlation_id": correlation_id,
    }
    if isinstance(body, pos.PosVoid):
        return VoidVisit(**receipt, voided_at=body.voided_at, reason=body.reason)
    if isinstance(body, pos.PosCorrection):
        return CorrectVisit(**receipt, body=body, corrected_at=body.corrected_at)
    return RecordVisit(**receipt, body=body)


def event_id_of(cafe_id: UUID, text: str) -> UUID:
    """The sender's id of a message (CloudEvents allows any text) as one of ours."""
    for read in (compiled_id, UUID):
        try:
            return read(text)
        except ValueError:
            continue
    return uuid5(cafe_id, text)


def _command(record: Record, told: Mapping[str, str | None], known: Mapping[str, TillKey]) -> BillCommand:
    missing = [name for name in REQUIRED if not told[name]]
    if missing or record.value is None:
        raise Poison("malformed", f"headers missing: {', '.join(missing)}" if missing else "the record has no body")
    event_id, kind, key_id, signature = (told[name] or "" for name in REQUIRED)
    key = _judge_key(known.get(key_id))
    if not ids.verify(key.signing_key, event_id, kind, record.value, signature):
        raise Poison("wrong_signature", "pos_signature does not fit the key, ce_id, ce_type and body")
    if kind not in pos.BODIES:
        raise Poison("unknown_type", f"ce_type is none of {', '.join(pos.BODIES)}")
    if len(event_id) > LONGEST_ID:
        raise Poison("malformed", f"ce_id has more than {LONGEST_ID} characters")
    try:
        body = pos.read(pos.BODIES[kind], record.value)
    except ValidationError as error:
        raise Poison("malformed", _faults(error)) from None
    trace = _TRACEPARENT.fullmatch(told["traceparent"] or "")
    return command_of(
        key.till.cafe_id,
        body,
        event_id=event_id_of(key.till.cafe_id, event_id),
        correlation_id=compiled_id(trace[1]) if trace else new_id(),
    )


def guests_named(body: bytes | None, cafe_id: UUID, keys: Keys) -> set[UUID]:
    """The guests of a cafe whose numbers stand anywhere in a body, also in one that is no JSON."""
    return {ids.customer_id(keys, cafe_id, phone) for phone in phones_in(_text_of(body or b""))}


def _text_of(body: bytes) -> str:
    # Digits may be escaped, and the rest need not be JSON.
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), str(body, "utf-8", "replace"))


def _named(record: Record, key: TillKey | None, keys: Keys) -> set[UUID] | None:
    return None if key is None else guests_named(record.value, key.till.cafe_id, keys)


def _judge_key(key: TillKey | None) -> TillKey:
    if key is None:
        raise Poison("unknown_key", "pos_key_id is not known (yet); redrive when the key has been created")
    if not key.is_live(now()):
        raise Poison("dead_key", "the key is revoked or expired")
    if SCOPE not in key.till.scopes:
        raise Poison("scope_missing", f"the key lacks the scope {SCOPE}")
    return key


def _faults(error: ValidationError) -> str:
    """Which fields are wrong and why, without their values and without names that a till made up."""
    return "; ".join(
        f"{'.'.join(_safe(part) for part in fault['loc']) or 'body'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    )


def _safe(part: int | str) -> str:
    return str(part) if isinstance(part, int) or _FIELD.fullmatch(part) else "?"
