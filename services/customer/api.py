"""Guests and segments over HTTP, for staff."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import APIRouter, FastAPI, Request

from services.customer.handlers import customers, segments
from services.customer.models.http import (
    AttributeView,
    ChangeCustomer,
    ChangeSegment,
    Consents,
    CreateSegment,
    Customer,
    CustomerCard,
    CustomerPage,
    CustomerSummary,
    FindCustomers,
    MemberPage,
    Preview,
    PreviewSegment,
    RecordConsent,
    RegisterCustomer,
    SegmentView,
    SetStatus,
    Stay,
)
from services.customer.models.shapes import Act, Guest
from services.customer.store import customers as store
from shared import clock
from shared.database import db
from shared.database.db import Connection
from shared.events.identity import Role
from shared.inputs.fields import Day, PageSize
from shared.messaging import parked
from shared.security.access import ask_alone, require_role, unit_of
from shared.security.auth import Staff
from shared.security.crypto import Keys
from shared.settings import Settings
from shared.web import http
from shared.web.dependencies import StaffCaller
from shared.web.documents import problems
from shared.web.serving import run

guests = APIRouter(prefix="/cafes/{cafe_id}/customers", tags=["customers"])
definitions = APIRouter(prefix="/cafes/{cafe_id}/segments", tags=["segments"])


@guests.post("", status_code=201)
async def register_customer(request: Request, caller: StaffCaller, cafe_id: UUID, body: RegisterCustomer) -> Customer:
    """Registers a guest by phone number, in any spelling."""
    async with _as_staff(request, caller, cafe_id) as conn:
        registered = await customers.register_customer(
            conn, cafe_id, body, act=_act(request, caller), keys=_keys(request)
        )
    request.app.state.waker.wake()
    return registered


@guests.post("/search")
async def search_customers(request: Request, caller: StaffCaller, cafe_id: UUID, body: FindCustomers) -> CustomerPage:
    """Finds guests by any part of the name in any spelling, by the whole number, or by its last four digits."""
    pool = request.app.state.pool
    async with _as_staff(request, caller, cafe_id):
        pass  # only to learn whether this person may look into this cafe at all
    async with db.transaction(pool) as conn:
        ids = await customers.find_customers(conn, cafe_id, body, keys=_keys(request))
    more = body.name is None and len(ids) == body.limit
    return CustomerPage(customers=await _cards(request, caller, cafe_id, ids), after=ids[-1] if more else None)


@guests.get("/birthdays")
async def list_birthdays(request: Request, caller: StaffCaller, cafe_id: UUID, on: Day) -> list[CustomerCard]:
    """Guests whose birthday is on that day of the cafe's calendar."""
    async with _as_staff(request, caller, cafe_id) as conn:
        ids = await customers.find_birthdays(conn, cafe_id, on)
    return await _cards(request, caller, cafe_id, ids)


@guests.get("/{customer_id}")
async def get_customer(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> Customer:
    """Everything known about a guest."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return await customers.get_customer(conn, Guest(cafe_id, customer_id), keys=_keys(request))


@guests.patch("/{customer_id}")
async def change_customer(
    request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID, body: ChangeCustomer
) -> Customer:
    """Changes what the body names; null empties a field."""
    guest, act = Guest(cafe_id, customer_id), _act(request, caller)
    async with _as_staff(request, caller, cafe_id) as conn:
        changed = await customers.change_customer(conn, guest, body, act=act, keys=_keys(request))
    request.app.state.waker.wake()
    return changed


@guests.put("/{customer_id}/status")
async def set_status(
    request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID, body: SetStatus
) -> Customer:
    """Makes a guest active, inactive or blocked."""
    guest, act = Guest(cafe_id, customer_id), _act(request, caller)
    async with _as_staff(request, caller, cafe_id) as conn:
        changed = await customers.set_status(conn, guest, body, act=act, keys=_keys(request))
    request.app.state.waker.wake()
    return changed


@guests.delete("/{customer_id}", status_code=204)
async def erase_customer(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> None:
    """Erases a guest here and in every service (managers). Sums stay."""
    pool = request.app.state.pool
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        await customers.get_customer(conn, Guest(cafe_id, customer_id), keys=_keys(request))
    # Before the guest is gone here, so that whoever is interrupted can begin again. People can't see parked records.
    async with db.transaction(pool) as conn:
        await parked.forget(conn, [customer_id])
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        await customers.erase_customer(conn, Guest(cafe_id, customer_id), act=_act(request, caller))
    request.app.state.waker.wake()


@guests.get("/{customer_id}/summary")
async def summarize(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> CustomerSummary:
    """A guest's points, tier, visits, spending and rating."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return await customers.summarize(conn, Guest(cafe_id, customer_id))


@guests.get("/{customer_id}/consents")
async def list_consents(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> Consents:
    """What a guest agreed to, and every answer so far."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return await customers.list_consents(conn, Guest(cafe_id, customer_id))


@guests.put("/{customer_id}/consents")
async def record_consent(
    request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID, body: RecordConsent
) -> Consents:
    """Keeps what a guest answered just now."""
    guest, act = Guest(cafe_id, customer_id), _act(request, caller)
    async with _as_staff(request, caller, cafe_id) as conn:
        kept = await customers.record_consent(conn, guest, body, act=act)
    request.app.state.waker.wake()
    return kept


@guests.get("/{customer_id}/segments")
async def list_stays(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> list[Stay]:
    """The segments a guest is and was in, with when and why."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return await customers.list_stays(conn, Guest(cafe_id, customer_id))


@definitions.get("")
async def list_segments(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[SegmentView]:
    """The cafe's segments."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return await segments.list_segments(conn, cafe_id)


@definitions.post("", status_code=201)
async def create_segment(request: Request, caller: StaffCaller, cafe_id: UUID, body: CreateSegment) -> SegmentView:
    """Adds a segment (managers). Its guests are found within seconds, and from then on live."""
    act = _act(request, caller)
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        return await segments.create_segment(conn, cafe_id, body, author=act.author, now=act.at)


@definitions.get("/attributes")
async def list_attributes(request: Request, caller: StaffCaller, cafe_id: UUID) -> list[AttributeView]:
    """What criteria may ask about, and how to write it."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return segments.list_attributes(await unit_of(conn, cafe_id))


@definitions.post("/preview", responses=problems(429))
async def preview_segment(request: Request, caller: StaffCaller, cafe_id: UUID, body: PreviewSegment) -> Preview:
    """How many guests the criteria would hold now. One at a time in a cafe."""
    async with _as_staff(request, caller, cafe_id) as conn:
        await ask_alone(conn, cafe_id)
        return await segments.preview(conn, cafe_id, body, now=clock.now())


@definitions.get("/{segment_id}")
async def get_segment(request: Request, caller: StaffCaller, cafe_id: UUID, segment_id: UUID) -> SegmentView:
    """One segment."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return await segments.get_segment(conn, cafe_id, segment_id)


@definitions.patch("/{segment_id}")
async def change_segment(
    request: Request, caller: StaffCaller, cafe_id: UUID, segment_id: UUID, body: ChangeSegment
) -> SegmentView:
    """Changes what the body names (managers)."""
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        return await segments.change_segment(conn, cafe_id, segment_id, body, now=clock.now())


@definitions.delete("/{segment_id}", status_code=204)
async def delete_segment(request: Request, caller: StaffCaller, cafe_id: UUID, segment_id: UUID) -> None:
    """Deletes a segment of the cafe's own (managers)."""
    async with _as_staff(request, caller, cafe_id, "manager") as conn:
        await segments.delete_segment(conn, cafe_id, segment_id, now=clock.now())


@definitions.get("/{segment_id}/members")
async def list_members(
    request: Request,
    caller: StaffCaller,
    cafe_id: UUID,
    segment_id: UUID,
    after: UUID | None = None,
    limit: PageSize = 100,
) -> MemberPage:
    """The guests in a segment, a page at a time."""
    async with _as_staff(request, caller, cafe_id) as conn:
        return await segments.list_members(conn, cafe_id, segment_id, after, limit)


def make_app(config: Settings | None = None) -> FastAPI:
    """The application, not yet started."""
    return http.make_api("customer", guests, definitions, config=config)


@asynccontextmanager
async def _as_staff(request: Request, caller: Staff, cafe_id: UUID, least: Role = "staff") -> AsyncIterator[Connection]:
    async with db.staff_transaction(
        request.app.state.pool, caller.user_id, caller.generation, caller.session_id
    ) as conn:
        await require_role(conn, cafe_id, caller.user_id, least)
        yield conn


async def _cards(request: Request, caller: Staff, cafe_id: UUID, ids: list[UUID]) -> list[CustomerCard]:
    async with _as_staff(request, caller, cafe_id) as conn:
        return [CustomerCard.model_validate(row) for row in await store.cards(conn, cafe_id, ids)]


def _act(request: Request, caller: Staff) -> Act:
    return Act(caller.user_id, clock.now(), request.state.correlation_id)


def _keys(request: Request) -> Keys:
    config: Settings = request.app.state.settings
    return config.keys


if __name__ == "__main__":
    run(make_app(), "customer")
