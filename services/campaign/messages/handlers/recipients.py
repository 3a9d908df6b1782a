"""Recipients who become known while a message waits, or are erased."""

from collections.abc import Sequence

from services.campaign.audience.handlers.guests import erasures_of, keep_profiles
from services.campaign.messages.handlers.settling import count_skipped
from services.campaign.messages.store import deliveries, erasure
from shared.clock import now
from shared.database.db import Connection
from shared.events.customer import CustomerErased, CustomerProfiled
from shared.messaging import parked
from shared.security.crypto import Keys


async def on_customer_profiled(conn: Connection, events: Sequence[CustomerProfiled], *, keys: Keys) -> None:
    """Keeps guests' profiles. A message that was quicker than the first word about its guest waits no longer."""
    await keep_profiles(conn, events, keys=keys)
    await deliveries.end_wait_for_contact(conn, [(e.cafe_id, e.customer_id) for e in events if e.version == 1], now())


async def on_customer_erased(conn: Connection, events: Sequence[CustomerErased]) -> None:
    """Empties what is personal, and takes back what was waiting to be sent."""
    await count_skipped(conn, await erasure.erase(conn, erasures_of(events)), "erased")
    await parked.forget(conn, [event.customer_id for event in events])
