"""The numbers of a guest's visits, and those of a device's messages."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from uuid import UUID

from services.visit.models.values import BillDraft, Gap, GuestKey, SequenceSpan


def number_visits(
    drafts: Mapping[int, BillDraft], customers: Mapping[int, UUID], last_numbers: Mapping[GuestKey, int]
) -> dict[int, int]:
    """Index of a draft -> the number of the visit among its guest's.

    Args:
        customers: index of a draft -> its guest.
        last_numbers: the counters after they were raised by these visits.
    """
    order = sorted(customers, key=lambda index: (drafts[index].command.body.occurred_at, drafts[index].command.key))
    left: dict[GuestKey, int] = {}
    for index in customers:
        guest = (drafts[index].command.cafe_id, customers[index])
        left[guest] = left.get(guest, 0) + 1
    numbers = {}
    for index in order:
        guest = (drafts[index].command.cafe_id, customers[index])
        left[guest] -= 1
        numbers[index] = last_numbers[guest] - left[guest]
    return numbers


def follow_sequence(known: SequenceSpan, numbers: Iterable[int]) -> tuple[SequenceSpan, list[Gap], list[int]]:
    """A device's numbering after these numbers: the lowest and the highest, the ranges it skipped, and which of these
    numbers fall between those known before.

    A device is followed between the lowest and the highest number it has sent, in whatever order. One whose lowest was
    never kept is followed upwards only.
    """
    lowest, highest = known
    sent = sorted(set(numbers))
    if highest is None:
        lowest, highest, sent = sent[0], sent[0], sent[1:]
    below = [number for number in sent if lowest is not None and number < lowest]
    above = [number for number in sent if number > highest]
    late = [number for number in sent if number <= highest and (lowest is None or number >= lowest)]
    ends = [*below, *([lowest] if lowest is not None else [])]
    skipped = [(one + 1, other - 1) for line in (ends, [highest, *above]) for one, other in pairwise(line)]
    return (ends[0] if ends else None, max([highest, *above])), [gap for gap in skipped if gap[0] <= gap[1]], late


def without(gaps: Iterable[Gap], numbers: Iterable[int]) -> list[Gap]:
    """The gaps that remain when these numbers have arrived."""
    arrived = sorted(set(numbers))
    remaining = []
    for start, end in gaps:
        begin = start
        for number in arrived:
            if begin <= number <= end:
                if begin < number:
                    remaining.append((begin, number - 1))
                begin = number + 1
        if begin <= end:
            remaining.append((begin, end))
    return remaining
