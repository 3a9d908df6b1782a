"""What of the events each role may be told on the live stream, and how it is written."""

from collections.abc import Mapping
from typing import Final

import msgspec

from services.console.models.live import Sign
from services.console.rules import roles
from shared.events.identity import Role

# kind: the least role that may know that it happened
SHOWN: Final[Mapping[str, Role]] = {
    "visit.recorded": "staff",
    "visit.claimed": "staff",
    "visit.corrected": "staff",
    "visit.voided": "staff",
    "points.earned": "staff",
    "points.changed": "staff",
    "tier.changed": "staff",
    "redemption.completed": "staff",
    "redemption.reversed": "staff",
    "redemption.refused": "staff",
    "card.completed": "staff",
    "customer.registered": "staff",
    "customer.status_changed": "staff",
    "consent.changed": "staff",
    "segment.entered": "staff",
    "segment.left": "staff",
    "feedback.received": "staff",
    "feedback.responded": "staff",
    "case.opened": "staff",
    "case.closed": "staff",
    "message.sent": "staff",
    "message.skipped": "staff",
    "message.failed": "manager",
    "device.gap_detected": "manager",
}
# What ends streams, and is shown to nobody.
ENDING: Final = ("access.revoked", "access.granted", "sessions.ended")
TOPICS: Final = (
    "visit.events", "loyalty.events", "customer.events", "campaign.events", "feedback.events", "identity.events",
)  # fmt: skip
OPEN, OVER = "open", "over"
HEARTBEAT: Final = b":\n\n"


def may_know(role: Role, kind: str) -> bool:
    """Whether somebody of that role may be told of an event of that kind."""
    return kind in SHOWN and roles.reaches(role, SHOWN[kind])


def written(sign: Sign) -> bytes:
    """The sign as the data of a message of the stream."""
    return msgspec.json.encode(sign)


def message(data: bytes, *, event: str = "", number: str = "") -> bytes:
    """One message of a server-sent stream (https://html.spec.whatwg.org/multipage/server-sent-events.html). `data` is
    one line; a message without `event` is a sign."""
    head = (f"event: {event}\n" if event else "") + (f"id: {number}\n" if number else "")
    return head.encode() + b"data: " + data + b"\n\n"


def state(*, live: bool) -> bytes:
    """Says whether the stream is live: while the broker is away it is not."""
    return message(b"{}", event="live" if live else "stale")
