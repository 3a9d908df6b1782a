"""Segments as rules see them: facts dated before a bill.

A guest is in a segment for the bills after they entered it, until they left it. The bill that brought a guest into a
segment is before that, so points never follow from a segment that follows from these points.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from msgspec.structs import replace

from services.loyalty.models.accounts import Counted, Plan, Visit
from services.loyalty.models.earning import MembershipMove


def named_by(plan: Plan) -> frozenset[str]:
    """The segments that the rules of any version name."""
    schemes = (program.scheme for program in plan.programs if program.scheme is not None)
    return frozenset(key for scheme in schemes for each in scheme.multipliers for key in each.segments)


def placed(visit: Visit, moves: Iterable[MembershipMove]) -> Visit:
    """The visit with the segments in which its guest was just before it. `moves` come in their order."""
    last = {each.segment_key: each.is_member for each in moves if each.moved_at < visit.occurred_at}
    return replace(visit, segments=tuple(sorted(key for key, is_member in last.items() if is_member)))


def placed_all(history: Mapping[UUID, Counted], moves: Sequence[MembershipMove]) -> dict[UUID, Counted]:
    """All visits of a guest so."""
    return {key: replace(each, visit=placed(each.visit, moves)) for key, each in history.items()}
