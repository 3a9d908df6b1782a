"""Guests over HTTP, for staff."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.customer.handlers import customers, lists
from services.customer.models.http import (
    CardsOf,
    ChangeCustomer,
    Consents,
    Customer,
    CustomerCard,
    CustomerList,
    CustomerPage,
    CustomerSummary,
    FindCustomers,
    ListCustomers,
    RecordConsent,
    RegisterCustomer,
    SetStatus,
    Stay,
    WholePhone,
)
from services.customer.models.values import Act, GuestKey
from services.customer.store import customers as store
from shared import clock
from shared.database import db
from shared.inputs.fields import Day
from shared.messaging import parked
from shared.security.auth import Staff
from shared.security.crypto import Keys
from shared.settings import Settings
from shared.web.acting import acting, acting_in_role
from shared.web.dependencies import StaffCaller

router = APIRouter(prefix="/cafes/{cafe_id}/customers", tags=["customers"])


@router.post("", status_code=201)
async def register_customer(request: Request, caller: StaffCaller, cafe_id: UUID, body: RegisterCustomer) -> Customer:
    """Registers a guest by phone number, in any spelling."""
    async with acting(request, caller, cafe_id) as conn:
        return await customers.register_customer(conn, cafe_id, body, act=_act(request, caller), keys=_keys(request))


@router.post("/search")
async def search_customers(request: Request, caller: StaffCaller, cafe_id: UUID, body: FindCustomers) -> CustomerPage:
    """Finds guests by any part of the name in any spelling, by the whole number, or by its last four digits."""
    pool = request.app.state.pool
    async with acting(request, caller, cafe_id):
        pass  # only to learn whether this person may look into this cafe at all
    async with db.transaction(pool) as conn:
        ids = await customers.find_customers(conn, cafe_id, body, keys=_keys(request))
    more = body.name is None and len(ids) == body.limit
    return CustomerPage(customers=await _cards(request, caller, cafe_id, ids), after=ids[-1] if more else None)


@router.post("/list")
async def list_customers(request: Request, caller: StaffCaller, cafe_id: UUID, body: ListCustomers) -> CustomerList:
    """Guests in an order, filtered, a page at a time. By what they spent for managers only."""
    async with acting(request, caller, cafe_id, "manager" if body.sort == "spent" else "staff"):
        pass  # as in a search
    async with db.transaction(request.app.state.pool) as conn:
        ids, after = await lists.list_customers(conn, cafe_id, body, clock.now())
    return CustomerList(customers=await _cards(request, caller, cafe_id, ids), after=after)


@router.post("/cards")
async def list_cards(request: Request, caller: StaffCaller, cafe_id: UUID, body: CardsOf) -> list[CustomerCard]:
    """The cards of these guests in that order; whom nobody knows, or who was erased, is left out."""
    return await _cards(request, caller, cafe_id, body.ids)


@router.get("/birthdays")
async def list_birthdays(request: Request, caller: StaffCaller, cafe_id: UUID, on: Day) -> list[CustomerCard]:
    """Guests whose birthday is on that day of the cafe's calendar."""
    async with acting(request, caller, cafe_id) as conn:
        ids = await customers.find_birthdays(conn, cafe_id, on)
    return await _cards(request, caller, cafe_id, ids)


@router.get("/{customer_id}")
async def get_customer(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> Customer:
    """Everything known about a guest, with the number masked. Who looks is kept."""
    guest, act = GuestKey(cafe_id, customer_id), _act(request, caller)
    async with acting(request, caller, cafe_id) as conn:
        return await customers.open_customer(conn, guest, act=act, keys=_keys(request))


@router.post("/{customer_id}/phone")
async def reveal_phone(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> WholePhone:
    """The guest's whole number. Who asked for it is kept and shown to owners."""
    guest, act = GuestKey(cafe_id, customer_id), _act(request, caller)
    async with acting(request, caller, cafe_id) as conn:
        return await customers.reveal_phone(conn, guest, act=act, keys=_keys(request))


@router.patch("/{customer_id}")
async def change_customer(
    request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID, body: ChangeCustomer
) -> Customer:
    """Changes what the body names; null empties a field."""
    guest, act = GuestKey(cafe_id, customer_id), _act(request, caller)
    async with acting(request, caller, cafe_id) as conn:
        return await customers.change_customer(conn, guest, body, act=act, keys=_keys(request))


@router.put("/{customer_id}/status")
async def set_status(
    request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID, body: SetStatus
) -> Customer:
    """Makes a guest active, inactive or blocked."""
    guest, act = GuestKey(cafe_id, customer_id), _act(request, caller)
    async with acting(request, caller, cafe_id) as conn:
        return await customers.set_status(conn, guest, body, act=act, keys=_keys(request))


@router.delete("/{customer_id}", status_code=204)
async def erase_customer(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> None:
    """Erases a guest here and in every service (managers). Sums stay."""
    pool = request.app.state.pool
    async with acting(request, caller, cafe_id, "manager") as conn:
        await customers.get_customer(conn, GuestKey(cafe_id, customer_id), keys=_keys(request))
    # Before the guest is gone here, so that whoever is interrupted can begin again. People can't see parked records.
    async with db.transaction(pool) as conn:
        await parked.forget(conn, [customer_id])
    async with acting(request, caller, cafe_id, "manager") as conn:
        await customers.erase_customer(conn, GuestKey(cafe_id, customer_id), act=_act(request, caller))


@router.get("/{customer_id}/summary")
async def summarize(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> CustomerSummary:
    """A guest's points, tier, visits and rating, and for managers what the guest spent."""
    async with acting_in_role(request, caller, cafe_id) as (conn, role):
        return await customers.summarize(conn, GuestKey(cafe_id, customer_id), role)


@router.get("/{customer_id}/consents")
async def list_consents(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> Consents:
    """What a guest agreed to, and every answer so far."""
    async with acting(request, caller, cafe_id) as conn:
        return await customers.list_consents(conn, GuestKey(cafe_id, customer_id))


@router.put("/{customer_id}/consents")
async def record_consent(
    request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID, body: RecordConsent
) -> Consents:
    """Keeps what a guest answered just now."""
    guest, act = GuestKey(cafe_id, customer_id), _act(request, caller)
    async with acting(request, caller, cafe_id) as conn:
        return await customers.record_consent(conn, guest, body, act=act)


@router.get("/{customer_id}/segments")
async def list_stays(request: Request, caller: StaffCaller, cafe_id: UUID, customer_id: UUID) -> list[Stay]:
    """The segments a guest is and was in, with when and why."""
    async with acting(request, caller, cafe_id) as conn:
        return await customers.list_stays(conn, GuestKey(cafe_id, customer_id))


async def _cards(request: Request, caller: Staff, cafe_id: UUID, ids: list[UUID]) -> list[CustomerCard]:
    async with acting(request, caller, cafe_id) as conn:
        return [CustomerCard.model_validate(row) for row in await store.cards(conn, cafe_id, ids)]


def _act(request: Request, caller: Staff) -> Act:
    return Act(caller.user_id, clock.now(), request.state.correlation_id)


def _keys(request: Request) -> Keys:
    config: Settings = request.app.state.settings
    return config.keys
