"""The way of a bill into the tables, whoever sends it and however often: set by set, in one transaction.

The devices' rows are held first, then the guests'; everybody takes them in the same order, so nobody waits in a circle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.visit.handlers import announce, changes, claims, records
from services.visit.models.values import (
    BillCommand,
    BillOutcome,
    ClaimVisit,
    CorrectVisit,
    DeviceKey,
    Gap,
    RecordVisit,
    SequenceSpan,
    VoidVisit,
)
from services.visit.rules import numbering
from services.visit.store import devices, receipts
from shared.database.db import Connection
from shared.messaging.outbox import emit
from shared.security.crypto import Keys


async def record_visits(conn: Connection, commands: Sequence[BillCommand], *, keys: Keys) -> list[BillOutcome]:
    """Takes in records, corrections and voids of any number of cafes, in the caller's transaction, which plans by key.

    What they end in depends neither on their order nor on how often each comes.
    Returns how each command ended, in their order; a refused one changed nothing.
    """
    spans, with_old_spellings = await devices.lock(conn, {command.device for command in commands})
    sent = commands
    if with_old_spellings:
        commands = await _as_kept(conn, commands, with_old_spellings)
    recorded = {index: each for index, each in enumerate(commands) if isinstance(each, RecordVisit)}
    claimed = {index: each for index, each in enumerate(commands) if isinstance(each, ClaimVisit)}
    corrected = {
        index: each for index, each in enumerate(commands) if isinstance(each, CorrectVisit) and index not in claimed
    }
    voided = {index: each for index, each in enumerate(commands) if isinstance(each, VoidVisit)}
    outcomes: dict[int, BillOutcome] = {}
    if recorded:
        outcomes |= zip(recorded, await records.record(conn, list(recorded.values()), keys), strict=True)
    if claimed:
        outcomes |= zip(claimed, await claims.claim_by_hand(conn, list(claimed.values()), keys), strict=True)
    if corrected:
        outcomes |= zip(corrected, await changes.correct(conn, list(corrected.values()), keys), strict=True)
    if voided:
        outcomes |= zip(voided, await changes.void(conn, list(voided.values())), strict=True)
    taken = [command for index, command in enumerate(sent) if outcomes[index].status != "refused"]
    await _follow_sequences(conn, taken, spans)
    return [outcomes[index] for index in range(len(commands))]


async def _as_kept(conn: Connection, commands: Sequence[BillCommand], devices_of: set[DeviceKey]) -> list[BillCommand]:
    """The commands, under the spelling that their receipts were kept with."""
    asked = {index: command for index, command in enumerate(commands) if command.device in devices_of}
    found = await receipts.old_spellings(conn, list(asked.values()))
    indexes = list(asked)
    kept = {indexes[index]: spelling for index, spelling in found.items()}
    return [
        replace(command, device_id=kept[index][0], receipt_number=kept[index][1]) if index in kept else command
        for index, command in enumerate(commands)
    ]


async def _follow_sequences(
    conn: Connection, commands: Sequence[BillCommand], spans: Mapping[DeviceKey, SequenceSpan]
) -> None:
    numbers: dict[DeviceKey, dict[int, BillCommand]] = {}
    for command in commands:
        if command.device_sequence is not None:
            numbers.setdefault(command.device, {})[command.device_sequence] = command
    if not numbers:
        return
    followed = {device: numbering.follow_sequence(spans[device], sent) for device, sent in numbers.items()}
    await devices.advance(conn, {device: span for device, (span, _, _) in followed.items()})
    late = [(device, number) for device, (_, _, before) in followed.items() for number in before]
    if late:
        await _close_gaps(conn, late)
    gaps = [(device, gap) for device, (_, skipped, _) in followed.items() for gap in skipped]
    if gaps:
        await devices.open_gaps(conn, gaps)
        await emit(conn, [announce.gap(device, gap, _shown_by(numbers[device], gap)) for device, gap in gaps])


def _shown_by(numbers: Mapping[int, BillCommand], gap: Gap) -> BillCommand:
    """The record that showed the gap: the one after it, or the one before it when the later one was there already."""
    after = numbers.get(gap[1] + 1)
    return numbers[gap[0] - 1] if after is None else after


async def _close_gaps(conn: Connection, late: Sequence[tuple[DeviceKey, int]]) -> None:
    taken = await devices.take_gaps(conn, late)
    arrived: dict[DeviceKey, list[int]] = {}
    for device, number in late:
        arrived.setdefault(device, []).append(number)
    remaining = [(device, gap) for device, gaps in taken.items() for gap in numbering.without(gaps, arrived[device])]
    if remaining:
        await devices.open_gaps(conn, remaining)
