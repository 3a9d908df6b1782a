"""A guest as the cafe sees them: found, written down, explained."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from services.console.handlers.panels import found, panel, there
from services.console.models import guests, work
from services.console.models.club import ExpiryDay
from services.console.models.session import Insider
from services.console.rules.timeline import Chain, chains, since_oldest_visit
from services.console.store import campaign, club, customer, loyalty, visit
from services.console.store.upstream import Away, Upstream
from shared.persian.text import latin_digits

HITS = 8
VISITS, LINES, MESSAGES = 12, 40, 30
_PHONE_DIGITS = 10


@dataclass(frozen=True)
class GuestPage:
    """Everything that the page of a guest shows; what could not be asked is `Away`."""

    file: guests.GuestFile
    balance: guests.Balance | Away | None
    consents: guests.ConsentsGiven | Away
    stays: tuple[guests.SegmentStay, ...] | Away
    expiry: tuple[ExpiryDay, ...] | Away | None
    timeline: tuple[Chain, ...]
    is_whole: bool

    @property
    def allows_advertising(self) -> bool | None:
        """What the guest said about advertising by SMS; None when nobody asked, or nobody can tell now."""
        if isinstance(self.consents, Away):
            return None
        said = [each.granted for each in self.consents.current if (each.channel, each.purpose) == ("sms", "marketing")]
        return said[0] if said else None


def wanted(typed: str) -> dict[str, object] | None:
    """What a search for the typed text asks for: four digits, a number, or a name; None for too little."""
    text = typed.strip()
    digits = "".join(letter for letter in latin_digits(text) if letter.isdigit())
    if text and not any(letter.isalpha() for letter in text):
        if len(digits) == 4:
            return {"last_four": digits}
        return {"phone": text} if len(digits) >= _PHONE_DIGITS else None
    return {"name": text} if len(text) >= 2 else None


async def search(up: Upstream, here: Insider, typed: str) -> tuple[guests.GuestCard, ...] | None:
    """The guests that the typed text may mean; None when it is too little to search by."""
    asked = wanted(typed)
    if asked is None:
        return None
    page = await customer.search(up, here.access, here.cafe.cafe_id, {**asked, "limit": HITS})
    return page.customers


async def show(up: Upstream, here: Insider, guest_id: UUID) -> GuestPage:
    """The page of a guest, in eight calls beside each other. Raises `RefusedCall` 404 for a guest of nobody here."""
    access, cafe_id = here.access, here.cafe.cafe_id
    visits_wanted = {"customer_id": guest_id, "limit": VISITS, "with_voided": True}
    (file, balance, consents, stays), (visits, ledger, messages, expiry) = await asyncio.gather(
        asyncio.gather(
            customer.find(up, access, cafe_id, guest_id),
            panel(found(loyalty.balance(up, access, cafe_id, guest_id))),
            panel(customer.answers(up, access, cafe_id, guest_id)),
            panel(customer.stays(up, access, cafe_id, guest_id)),
        ),
        asyncio.gather(
            panel(visit.list_visits(up, access, cafe_id, visits_wanted)),
            panel(found(loyalty.ledger(up, access, cafe_id, guest_id, LINES))),
            panel(campaign.messages(up, access, cafe_id, guest_id, MESSAGES)),
            panel(found(club.expiry(up, access, cafe_id, guest_id))),
        ),
    )
    whole_story = chains(
        there(visits, work.VisitRows((), None)).items,
        (there(ledger, None) or guests.LedgerLines(())).entries,
        there(stays, ()),
        there(messages, guests.MessagesOfGuest((), (), ())),
    )
    timeline = since_oldest_visit(whole_story) if there(visits, work.VisitRows((), None)).next else whole_story
    is_whole = not any(isinstance(each, Away) for each in (visits, ledger, stays, messages))
    return GuestPage(file, balance, consents, stays, expiry, timeline, is_whole)
