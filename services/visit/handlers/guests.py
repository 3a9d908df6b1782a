"""From a phone number to a guest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.visit.handlers import announce
from services.visit.models.values import BillDraft, GuestKey, KnownGuest, PhoneKey
from services.visit.rules import learning
from services.visit.store import guests
from shared.database.db import Connection
from shared.events.visit import ContactLearned
from shared.security.crypto import Keys


@dataclass(frozen=True)
class Learned:
    """Bills resolved to guests: the customer id by bill index, the guests' visit counters after this batch, and the
    events to publish."""

    customers: Mapping[int, UUID]
    counters: Mapping[GuestKey, int]
    news: Sequence[ContactLearned]


def customer_of(draft: BillDraft) -> UUID | None:
    """The guest of a bill, None when it names no number. A new number already has the id that its guest will get."""
    if draft.phone_hash is None:
        return None
    return draft.found.guest.customer_id if draft.found.guest else draft.own_id


async def learn_guests(conn: Connection, drafts: Mapping[int, BillDraft], keys: Keys) -> Learned:
    """Writes down what new bills say about their guests, and raises each guest's counter by these visits.

    Args:
        drafts: new bills by their index in the batch.
    """
    by_phone: dict[PhoneKey, list[BillDraft]] = {}
    for draft in drafts.values():
        if draft.phone_key:
            by_phone.setdefault(draft.phone_key, []).append(draft)
    known = {phone: group[0].found.guest for phone, group in by_phone.items()}
    learned = {
        phone: learning.learn(known[phone] or _stranger(group[0]), group, is_new=known[phone] is None)
        for phone, group in by_phone.items()
    }
    counters, met = await _note(conn, learned, known, {phone: len(group) for phone, group in by_phone.items()})
    if met:
        # A number that another transaction wrote in the meantime is not a new one any more.
        found = await guests.find(conn, list(met))
        again = {phone: learning.learn(guest, by_phone[phone], is_new=False) for phone, guest in found.items()}
        learned |= again
        counters |= (await _note(conn, again, found, {phone: len(by_phone[phone]) for phone in found}))[0]
    return Learned(
        customers={
            index: learned[draft.phone_key][0].customer_id for index, draft in drafts.items() if draft.phone_key
        },
        counters=counters,
        news=_news(learned, keys),
    )


async def learn_again(conn: Connection, drafts: Sequence[BillDraft], keys: Keys) -> list[ContactLearned]:
    """Writes down what is new about guests in bills whose visits are counted already; returns the events to publish.

    Such bills are corrections, and records that come after their correction.
    """
    by_phone: dict[PhoneKey, list[BillDraft]] = {}
    for draft in drafts:
        if draft.phone_key and _may_tell(draft):
            by_phone.setdefault(draft.phone_key, []).append(draft)
    if not by_phone:
        return []
    # Looked up again: this very batch may have written them.
    known = await guests.find(conn, list(by_phone))
    learned = {phone: learning.learn(guest, by_phone[phone], is_new=False) for phone, guest in known.items()}
    await _note(conn, learned, known, {})
    return _news(learned, keys)


def _may_tell(draft: BillDraft) -> bool:
    guest = draft.found.guest
    if guest is None:
        return True
    answer = learning.answer_of(draft)
    is_newer = answer is not None and (guest.answer is None or answer.rank > guest.answer.rank)
    return is_newer or bool(draft.command.body.guest_name and not guest.name_known)


def _news(learned: Mapping[PhoneKey, tuple[KnownGuest, list[learning.Told]]], keys: Keys) -> list[ContactLearned]:
    return [announce.contact(told, guest.customer_id, keys) for guest, said in learned.values() for told in said]


async def _note(
    conn: Connection,
    learned: Mapping[PhoneKey, tuple[KnownGuest, list[learning.Told]]],
    known: Mapping[PhoneKey, KnownGuest | None],
    visits: Mapping[PhoneKey, int],
) -> tuple[dict[GuestKey, int], set[PhoneKey]]:
    if not learned:
        return {}, set()
    now = {phone: guest for phone, (guest, _) in learned.items()}
    return await guests.note_visits(
        conn,
        {phone: (learned[phone][0].customer_id, count) for phone, count in visits.items()},
        named=[phone for phone, guest in now.items() if (was := known[phone]) and guest.name_known > was.name_known],
        answered={phone: guest for phone, guest in now.items() if guest.answer != (was.answer if was else None)},
        strangers={phone: guest for phone, guest in now.items() if known[phone] is None},
    )


def _stranger(draft: BillDraft) -> KnownGuest:
    customer_id = customer_of(draft)
    assert customer_id is not None
    return KnownGuest(customer_id)
