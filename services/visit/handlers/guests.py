"""From a phone number to a guest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from services.visit import rules
from services.visit.handlers import announce
from services.visit.models import Draft, Guest, PhoneKey
from services.visit.store import guests
from shared import ids
from shared.crypto import Keys
from shared.db import Connection
from shared.events.visit import ContactLearned


@dataclass(frozen=True)
class Learned:
    """What bills tell about their guests: the guest of each bill that names one, by its place; what is to be written
    about those known before; and the events that tell the others."""

    customers: Mapping[int, UUID]
    told: Mapping[PhoneKey, Guest]
    news: Sequence[ContactLearned]


def customer_of(draft: Draft, keys: Keys) -> UUID | None:
    """The guest of a bill, None when it names no number. A number not seen before has its guest's id already."""
    phone = draft.command.body.phone
    if phone is None:
        return None
    return draft.found.guest.customer_id if draft.found.guest else ids.customer_id(keys, draft.command.cafe_id, phone)


async def learn_guests(conn: Connection, drafts: Mapping[int, Draft], keys: Keys) -> Learned:
    """What the bills tell about their guests; those seen for the first time are written.

    Args:
        drafts: new bills by their place in the batch.
    """
    by_phone: dict[PhoneKey, list[Draft]] = {}
    for draft in drafts.values():
        if draft.phone_key:
            by_phone.setdefault(draft.phone_key, []).append(draft)
    known = {phone: group[0].found.guest for phone, group in by_phone.items()}
    learned = {
        phone: rules.learn(known[phone] or _stranger(group[0], keys), group, is_new=known[phone] is None)
        for phone, group in by_phone.items()
    }
    strangers = {phone: learned[phone][0] for phone, guest in known.items() if guest is None}
    if strangers:
        # Whoever another transaction wrote in the meantime is no stranger any more.
        met = set(strangers) - await guests.insert(conn, strangers)
        found = await guests.find(conn, list(met)) if met else {}
        known |= found
        learned |= {phone: rules.learn(guest, by_phone[phone], is_new=False) for phone, guest in found.items()}
    return Learned(
        customers={
            place: learned[draft.phone_key][0].customer_id for place, draft in drafts.items() if draft.phone_key
        },
        told={phone: learned[phone][0] for phone, guest in known.items() if guest and learned[phone][0] != guest},
        news=[
            announce.contact(told, guest.customer_id, keys) for guest, all_told in learned.values() for told in all_told
        ],
    )


def _stranger(draft: Draft, keys: Keys) -> Guest:
    customer_id = customer_of(draft, keys)
    assert customer_id is not None
    return Guest(customer_id)
