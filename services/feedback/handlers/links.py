"""The links behind which guests say something, and why one can't be used."""

from services.feedback import rules
from services.feedback.models.values import Link
from services.feedback.store import links as link_store
from shared.clock import now
from shared.database.db import Connection
from shared.errors import Rejected
from shared.events.feedback import LinkOpened
from shared.messaging import outbox

REFUSALS = {
    "unknown": (
        "link_unknown",
        "This link is not valid. One that has just been sent may need a minute; try again.",
        "این پیوند معتبر نیست. اگر همین حالا رسیده است، یک دقیقه دیگر دوباره بازش کنید.",
        404,
    ),
    "no_point": ("point_unknown", "There is no such code.", "چنین کدی نیست.", 404),
    "used": ("link_used", "Feedback for this visit was already sent.", "نظر شما دربارهٔ این بازدید ثبت شده است.", 409),
    "expired": ("link_expired", "This link has expired.", "زمان این پیوند گذشته است.", 410),
    "closed": ("link_closed", "This link was withdrawn.", "این پیوند دیگر در دسترس نیست.", 410),
}


async def find_open_link(conn: Connection, token: str) -> Link:
    """The link, if it can still be used.

    Raises `Rejected` (404, 409 or 410) that says in both languages why it can't.
    """
    link = await link_store.find_link(conn, token) if rules.looks_like_token(token) else None
    state = rules.link_state(link, now())
    if link is None or state != "open":
        raise refusal(state)
    return link


async def note_opening(conn: Connection, token: str) -> None:
    """Counts that somebody opened a link, and publishes it when the link's guest is known."""
    moment = now()
    link = await link_store.note_opening(conn, token, moment, rules.OPENINGS_A_DAY)
    if link is not None and link["customer_id"] is not None:
        opened = LinkOpened(
            cafe_id=link["cafe_id"],
            occurred_at=moment,
            correlation_id=link["correlation_id"],
            customer_id=link["customer_id"],
            visit_id=link["visit_id"],
            times=link["times"],
        )
        await outbox.emit(conn, [opened])


def refusal(state: str) -> Rejected:
    """What a link in that state is answered with."""
    code, en, fa, status = REFUSALS[state]
    return Rejected(code, en, fa, status=status)
