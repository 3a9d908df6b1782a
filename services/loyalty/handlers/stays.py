"""Visits with the segments in which their guests were, where a cafe's rules name any."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from services.loyalty.models.accounts import GuestKey, Plan, Visit
from services.loyalty.models.earning import MembershipMove
from services.loyalty.rules.counting import News
from services.loyalty.rules.stays import named_by, placed, placed_all
from services.loyalty.store import stays, visits
from services.loyalty.store.visits import History
from shared.database.db import Connection

Plans = Mapping[UUID, Plan]


async def place(conn: Connection, plans: Plans, news: Mapping[GuestKey, News]) -> dict[GuestKey, News]:
    """What is new of these guests' visits, each visit with its guest's segments. The caller has locked the accounts: a
    move that is not here yet has the guest counted again when it comes."""
    known = await _moves(conn, plans, list(news))
    return {
        guest: {key: (placed(visit, known[guest]), cause) for key, (visit, cause) in own.items()}
        if guest in known
        else own
        for guest, own in news.items()
    }


async def place_one(conn: Connection, plan: Plan, guest: GuestKey, visit: Visit) -> Visit:
    """A visit that is not here yet, with its guest's segments."""
    return placed(visit, (await _moves(conn, {guest[0]: plan}, [guest])).get(guest, ()))


async def histories_of(conn: Connection, plans: Plans, guests: Sequence[GuestKey]) -> dict[GuestKey, History]:
    """All visits of each of `guests`, by visit id, each with its guest's segments."""
    histories = await visits.load_histories(conn, guests)
    for guest, own in (await _moves(conn, plans, guests)).items():
        histories[guest] = placed_all(histories[guest], own)
    return histories


async def _moves(conn: Connection, plans: Plans, guests: Sequence[GuestKey]) -> dict[GuestKey, list[MembershipMove]]:
    named = {cafe_id: keys for cafe_id in {guest[0] for guest in guests} if (keys := named_by(plans[cafe_id]))}
    asked = [guest for guest in guests if guest[0] in named]
    if not asked:
        return {}
    found = await stays.load(conn, asked, frozenset().union(*named.values()))
    return {guest: [each for each in own if each.segment_key in named[guest[0]]] for guest, own in found.items()}
