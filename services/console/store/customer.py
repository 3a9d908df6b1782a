"""What the console asks of the customer service."""

from datetime import date
from typing import Any
from uuid import UUID

from services.console.models import guests
from services.console.models.session import Access
from services.console.models.why import Explained
from services.console.store.upstream import Upstream

SERVICE = "customer"


async def list_guests(up: Upstream, access: Access, cafe_id: UUID, wanted: dict[str, Any]) -> guests.GuestCards:
    """Guests in an order, page by page."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/customers/list", guests.GuestCards, wanted)


async def whole_number(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID) -> guests.WholeNumber:
    """The guest's whole number; the service keeps who asked."""
    path = f"/cafes/{cafe_id}/customers/{guest_id}/phone"
    return await up.send(access, SERVICE, "POST", path, guests.WholeNumber)


async def list_looks(up: Upstream, access: Access, cafe_id: UUID, before: UUID | None) -> guests.LooksAtGuests:
    """Who of the cafe looked at which guest."""
    query = {"before": before, "limit": 50}
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/guest-views", guests.LooksAtGuests, query)


async def cards(up: Upstream, access: Access, cafe_id: UUID, ids: list[UUID]) -> tuple[guests.GuestCard, ...]:
    """The cards of these guests; who is not known any more is left out."""
    path = f"/cafes/{cafe_id}/customers/cards"
    return await up.send(access, SERVICE, "POST", path, tuple[guests.GuestCard, ...], {"ids": ids})


async def search(up: Upstream, access: Access, cafe_id: UUID, wanted: dict[str, Any]) -> guests.GuestCards:
    """Guests by `name`, `phone` or `last_four`; without any of them all, page by page."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/customers/search", guests.GuestCards, wanted)


async def register(up: Upstream, access: Access, cafe_id: UUID, written: dict[str, Any]) -> guests.GuestFile:
    """A new guest. Raises `RefusedCall` 409 when the cafe knows the number."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/customers", guests.GuestFile, written)


async def find(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID) -> guests.GuestFile:
    """All that is written down about a guest."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/customers/{guest_id}", guests.GuestFile)


async def change(
    up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, changed: dict[str, Any]
) -> guests.GuestFile:
    """Changes what is given of a guest's file."""
    return await up.send(access, SERVICE, "PATCH", f"/cafes/{cafe_id}/customers/{guest_id}", guests.GuestFile, changed)


async def forget(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID) -> None:
    """Erases a guest who wants to be forgotten."""
    await up.send(access, SERVICE, "DELETE", f"/cafes/{cafe_id}/customers/{guest_id}", type(None))


async def answers(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID) -> guests.ConsentsGiven:
    """What the guest allows."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/customers/{guest_id}/consents", guests.ConsentsGiven)


async def record_answer(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, *, granted: bool) -> None:
    """Writes down what the guest said about advertising by SMS."""
    body = {"channel": "sms", "purpose": "marketing", "granted": granted}
    await up.send(access, SERVICE, "PUT", f"/cafes/{cafe_id}/customers/{guest_id}/consents", guests.ConsentsGiven, body)


async def stays(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID) -> tuple[guests.SegmentStay, ...]:
    """The guest's segments, past ones too."""
    path = f"/cafes/{cafe_id}/customers/{guest_id}/segments"
    return await up.get(access, SERVICE, path, tuple[guests.SegmentStay, ...])


async def birthdays(up: Upstream, access: Access, cafe_id: UUID, day: date) -> tuple[guests.GuestCard, ...]:
    """Whose birthday that day is."""
    path = f"/cafes/{cafe_id}/customers/birthdays"
    return await up.get(access, SERVICE, path, tuple[guests.GuestCard, ...], {"on": day})


async def explain_visit(
    up: Upstream, access: Access, cafe_id: UUID, visit_id: UUID, guest_id: UUID | None
) -> Explained:
    """Why what this service did about a visit is as it is."""
    path = f"/cafes/{cafe_id}/explain/visits/{visit_id}"
    return await up.get(access, SERVICE, path, Explained, {"customer_id": guest_id})


async def explain_guest(up: Upstream, access: Access, cafe_id: UUID, guest_id: UUID, before: str | None) -> Explained:
    """Why what this service knows of a guest is as it is: what is older than `before`, a moment, the newest first."""
    path = f"/cafes/{cafe_id}/explain/guests/{guest_id}"
    return await up.get(access, SERVICE, path, Explained, {"before": before})
