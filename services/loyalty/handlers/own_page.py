"""What a guest sees of their points on their own page."""

from datetime import timedelta
from uuid import UUID

from services.loyalty.handlers import accounts, cards, offers
from services.loyalty.models.http import LapsingPoints, OwnPoints
from services.loyalty.store import club
from shared.clock import now
from shared.database.db import Connection

SOON = timedelta(days=60)
MOST_DAYS = 3


async def show(conn: Connection, cafe_id: UUID, customer_id: UUID) -> OwnPoints:
    """Points, tier and stamp cards as a till sees them, the days on which some points lapse, rewards, and the code with
    which others come."""
    account = await accounts.look_up(conn, cafe_id, customer_id)
    lapsing = await club.expiry(conn, cafe_id, customer_id, now() + SOON, MOST_DAYS)
    days = [LapsingPoints.model_validate(row) for row in lapsing]
    own = await cards.show(conn, cafe_id, customer_id)
    near = await offers.near(conn, cafe_id, customer_id)
    return OwnPoints(**account.model_dump(exclude={"guest_link"}), **dict(own), lapsing=days, rewards=near)
