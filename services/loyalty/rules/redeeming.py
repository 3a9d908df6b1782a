"""Which points that bills ask for are spent: folded from the guest's bills, like points.

The published rule: a bill spends the points it asks for if the guest had them just before it, whenever it arrives. The
guest had what earlier bills earned and what was given, less what earlier bills spent. Points that were spent over HTTP,
taken by hand or have lapsed are gone, even if that came later: the bill may not take from them. Points that wait count
from the moment on at which they can be spent. If a bill is voided
after another one was paid with its points, these stay spent, and the guest owes them. All or nothing: what is not
covered is refused.

A redemption over HTTP that a bill names is the bill's: as much of it as the bill asks for, the rest goes back. What the
bill asks beyond it is a redemption under the visit's own id. One for a reward is used whole, whatever the bill asks
for, because half a coffee is none: naming it is enough. Once it went back, by time or by hand or because its bill asked
for it no more, its piece is on sale again; a bill that names it then spends the points that it asks for, as a discount.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from services.loyalty.models.accounts import Counted, Fact, Redemption, Visit, Wish
from services.loyalty.rules.tiers import order_of

INSUFFICIENT = "insufficient_points"
TAKEN = "redemption_taken"
# Above any sum of points.
_PLENTY = 2**62

RedemptionOrder = tuple[datetime, int, str, str, UUID]
_NOBODY = UUID(int=0)


class Weighed(msgspec.Struct, frozen=True):
    """What a bill spends or is refused, and how many points it could have spent."""

    wish: Wish
    had: int


def is_of_bill(redemption: Redemption) -> bool:
    """Whether a bill asked for it, and not a till or a person over HTTP."""
    return redemption.created_by is None and redemption.till_key_id is None


def wishes_of(
    bills: Sequence[Counted],
    lost: Mapping[UUID, int],
    redemptions: Mapping[UUID, Redemption],
    facts: Iterable[Fact],
    customer_id: UUID,
    waits: Mapping[UUID, datetime],
) -> list[Wish]:
    """What each bill that stands spends or is refused, in the order of the bills.

    Args:
        bills: all of the guest's, in `order_of`, with what they earned.
        lost: what each voided bill would have earned.
        redemptions: all of the guest's, and those of others that the bills name, by id.
        facts: all that came and went apart from bills and redemptions.
        waits: from when on the points of bills count that wait, by visit.
    """
    return [weighed.wish for weighed in weigh(bills, lost, redemptions, facts, customer_id, waits)]


def weigh(
    bills: Sequence[Counted],
    lost: Mapping[UUID, int],
    redemptions: Mapping[UUID, Redemption],
    facts: Iterable[Fact],
    customer_id: UUID,
    waits: Mapping[UUID, datetime],
) -> list[Weighed]:
    """The same as `wishes_of`, each with what its bill could have spent."""
    claimed: set[UUID] = set()
    asked = _claims(bills, redemptions, claimed, customer_id)
    gone = _spent_anyway(bills, asked, claimed, redemptions, customer_id)
    room = _room(bills, lost, [*facts, *gone], waits)
    weighed, granted = [], 0
    for wish in asked:
        is_open = not wish.is_fact and wish.refusal is None
        had = room[wish.visit.visit_id] - granted
        covered = is_open and had >= wish.points
        granted += wish.points if covered else 0
        judged = wish if covered or not is_open else msgspec.structs.replace(wish, refusal=INSUFFICIENT)
        weighed.append(Weighed(judged, had))
    return weighed


def _claims(
    bills: Sequence[Counted], redemptions: Mapping[UUID, Redemption], claimed: set[UUID], customer_id: UUID
) -> list[Wish]:
    """What bills ask for, and under which id. When two bills name one redemption, the first has it. Adds the ids that
    they name to `claimed`."""
    by_visit = {each.visit_id: each for each in redemptions.values() if each.visit_id and not each.undone_by_bill}
    wishes: list[Wish] = []
    for counted in bills:
        visit = counted.visit
        if visit.state == "voided":
            continue
        if visit.points_to_redeem is None:
            wishes += _of_before(visit, by_visit.get(visit.visit_id))
        elif visit.points_to_redeem or _names_reward(visit, redemptions):
            wishes += _claim(visit, visit.points_to_redeem, redemptions, claimed, customer_id)
    return wishes


def _of_before(visit: Visit, known: Redemption | None) -> list[Wish]:
    """What a bill asks from before bills kept it: what was spent is settled, what was refused is tried again."""
    if known is None or known.state == "reversed":
        return []
    return [Wish(known.redemption_id, visit, known.points, is_fact=known.state == "completed")]


def _claim(
    visit: Visit, points: int, redemptions: Mapping[UUID, Redemption], claimed: set[UUID], customer_id: UUID
) -> list[Wish]:
    own_id = visit.visit_id
    named = visit.redemption_id or own_id
    known = redemptions.get(named)
    if named in claimed or (known is not None and known.customer_id != customer_id):
        return _own(visit, points, redemptions, TAKEN)
    claimed.add(named)
    if known is None or (is_of_bill(known) and (known.state != "reversed" or known.undone_by_bill)):
        return [Wish(named, visit, points)]
    if known.state == "reversed":
        # Given back by hand, a redemption is settled. If it was released before the bill came, the bill asks anew.
        is_settled = is_of_bill(known) or known.visit_id == own_id
        return [] if is_settled and not known.undone_by_bill else _own(visit, points, redemptions)
    used = min(points, known.points) if known.reward_id is None else known.points
    rest = _own(visit, points - used, redemptions) if points > used else []
    return [Wish(named, visit, used, is_fact=True), *rest]


def _names_reward(visit: Visit, redemptions: Mapping[UUID, Redemption]) -> bool:
    named = redemptions.get(visit.redemption_id) if visit.redemption_id else None
    return named is not None and named.reward_id is not None and named.state == "completed"


def _own(visit: Visit, points: int, redemptions: Mapping[UUID, Redemption], refusal: str | None = None) -> list[Wish]:
    if not points:
        return []
    known = redemptions.get(visit.visit_id)
    is_settled = known is not None and known.state == "reversed" and not known.undone_by_bill
    return [] if is_settled else [Wish(visit.visit_id, visit, points, refusal)]


def _spent_anyway(
    bills: Sequence[Counted],
    asked: Iterable[Wish],
    claimed: Collection[UUID],
    redemptions: Mapping[UUID, Redemption],
    customer_id: UUID,
) -> list[Fact]:
    """What was spent whatever bills ask now: over HTTP, and by bills from before. Also what was spent until it was
    given back by hand or by time, unless the bill that names it asks for it anew."""
    used = {wish.redemption_id: wish for wish in asked if wish.is_fact}
    came = {each.visit.visit_id: each.visit.occurred_at for each in bills if each.visit.state != "voided"}
    facts: list[Fact] = []
    for each in redemptions.values():
        wish = used.get(each.redemption_id)
        at = came.get(each.visit_id) if is_of_bill(each) and each.visit_id else each.created_at
        if each.customer_id != customer_id or at is None:
            continue
        if wish or (each.state == "completed" and not is_of_bill(each)):
            facts.append(Fact(at, -(wish.points if wish else each.points)))
        elif each.reversed_at and not each.undone_by_bill and (each.visit_id or each.redemption_id not in claimed):
            facts += [Fact(at, -each.points), Fact(each.reversed_at, each.points)]
    return facts


def _room(
    bills: Sequence[Counted], lost: Mapping[UUID, int], facts: Iterable[Fact], waits: Mapping[UUID, datetime]
) -> dict[UUID, int]:
    """How many points each bill could spend if no bill before it had spent any."""
    # its order, what changes for good, what changes until a void, and whose bill it is
    steps: list[tuple[RedemptionOrder, int, int, UUID | None]] = [
        ((fact.at, 0, "", "", _NOBODY), fact.change, 0, None) for fact in facts
    ]
    for counted in bills:
        at, device, receipt, visit_id = order_of(counted.visit)
        order = (at, 1, device, receipt, visit_id)
        counts_at = waits.get(visit_id)
        counts = order if counts_at is None else (counts_at, 0, "", "", visit_id)
        if counted.visit.state != "voided":
            steps.append((order, 0 if counts_at else counted.points, 0, visit_id))
            if counts_at:
                steps.append((counts, counted.points, 0, None))
        elif counted.visit.voided_at and counted.visit.voided_at > counts[0] and lost.get(visit_id):
            steps.append((counts, 0, lost[visit_id], None))
            steps.append(((counted.visit.voided_at, 0, "", "", visit_id), 0, -lost[visit_id], None))
    steps.sort(key=lambda step: step[0])
    before: list[tuple[int, int]] = []
    held = until_void = 0
    for _, change, passing, _ in steps:
        before.append((held, until_void))
        held, until_void = held + change, until_void + passing
    room: dict[UUID, int] = {}
    least = _PLENTY
    for (had, passing), (_, change, _, whose) in zip(reversed(before), reversed(steps), strict=True):
        if whose is not None:
            room[whose] = min(had, least) + passing
        elif change < 0:
            least = min(least, had + change)
    return room
