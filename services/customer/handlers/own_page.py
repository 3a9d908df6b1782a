"""What a guest sees and says on their own page."""

from services.customer.handlers import consents
from services.customer.models.http import OwnAnswer, OwnCard, OwnConsent
from services.customer.models.values import Act, ConsentAnswer, GuestKey
from services.customer.store import activity
from services.customer.store import consents as consents_store
from services.customer.store import own_page as store
from shared.database.db import Connection
from shared.security.guest_links import GuestLink
from shared.web.guests import link_gone

SOURCE = "guest_page"
# By which messages go today; answers about others are shown where there are any.
ALWAYS_ASKED = (("sms", "service"), ("sms", "marketing"))


async def show(conn: Connection, link: GuestLink) -> OwnCard:
    """The guest's cafe and what they agreed to.

    Raises Rejected when the guest is not there any more, or was erased since the link was made.
    """
    cafe = await store.cafe_of(conn, link.cafe_id, link.customer_id, link.made_at)
    if cafe is None:
        raise link_gone()
    said = {(row["channel"], row["purpose"]): row["granted"] for row in await _current(conn, link)}
    asked = dict.fromkeys([*ALWAYS_ASKED, *said])
    # The guest's own visit is reason enough to write; advertising needs a yes.
    answers = [
        OwnConsent(channel=channel, purpose=purpose, granted=said.get((channel, purpose), purpose == "service"))
        for channel, purpose in asked
    ]
    return OwnCard(**cafe, consents=answers)


async def answer(conn: Connection, link: GuestLink, said: OwnAnswer, *, act: Act) -> OwnCard:
    """Keeps what the guest says now; it counts like any other answer.

    Raises Rejected as `show`.
    """
    guest = GuestKey(link.cafe_id, link.customer_id)
    await activity.lock(conn, [guest])
    await show(conn, link)
    given = ConsentAnswer(guest, said.channel, said.purpose, said.granted, SOURCE, act.at)
    await consents.keep(conn, [given], {guest: {"correlation_id": act.trace}}, act.at)
    return await show(conn, link)


async def _current(conn: Connection, link: GuestLink) -> list[dict[str, object]]:
    return await consents_store.current(conn, GuestKey(link.cafe_id, link.customer_id))
