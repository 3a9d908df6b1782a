"""What the simulated provider remembers: messages on their way to phones, and the faults it was told to have."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

# Kavenegar's words for the states of a message.
STATUS_TEXTS: Final = {
    1: "در صف ارسال",
    4: "ارسال شده به مخابرات",
    5: "ارسال شده به مخابرات",
    6: "خطا در ارسال",
    10: "رسیده به گیرنده",
    11: "نرسیده به گیرنده",
    14: "بلاک شده است",
    100: "شناسه نامعتبر",
}
_WAY: Final = {1: 4, 4: 5, 5: 10}
FINAL: Final = frozenset({6, 10, 11, 14})
LOCAL_ID_SECONDS: Final = 12 * 3600

FaultKind = Literal[
    "hang", "drop", "error_after", "error_before", "slow", "refuse",
    "drip", "flood", "bomb", "headers", "redirect", "say",
]  # fmt: skip


@dataclass(frozen=True)
class NetworkFault:
    """What happens to one call. All but `slow`, `refuse` and `error_before` come after the messages were accepted;
    `code` is the refusal's number, `seconds` how long `hang` and `slow` last, `words` what is answered by `say`.

    `drip` answers drop by drop, `flood` without end, `bomb` packed a thousandfold, `headers` with a megabyte of them.
    """

    kind: FaultKind
    code: int = 409
    seconds: float = 60.0
    words: str = ""


@dataclass
class Sent:
    """One message, as the provider knows it."""

    messageid: int
    localid: int | None
    receptor: str
    sender: str
    message: str
    cost: int
    date: int
    status: int = 1
    moved_at: float = field(default_factory=time.monotonic)

    def entry(self) -> dict[str, object]:
        """The row of an answer."""
        return {
            "messageid": self.messageid,
            "message": self.message,
            "status": self.status,
            "statustext": STATUS_TEXTS[self.status],
            "sender": self.sender,
            "receptor": self.receptor,
            "date": self.date,
            "cost": self.cost,
        }


@dataclass
class FaultyNetwork:
    """The account and everything sent through it.

    `step_seconds` is the pace at which messages move by themselves; None: only when told to. `ends` gives numbers
    another end than 10 (delivered); `refused` are numbers that are no numbers to this provider. `moods` is what happens
    to every call with a key, also to questions, as long as it stands there; a key that is not in `keys` is refused.
    """

    step_seconds: float | None = 1.0
    credit: int = 1_000_000_000_000
    cost_per_part: int = 1390
    sent: list[Sent] = field(default_factory=list)
    under_way: list[Sent] = field(default_factory=list)
    by_local_id: dict[int, Sent] = field(default_factory=dict)
    by_id: dict[int, Sent] = field(default_factory=dict)
    faults: deque[NetworkFault] = field(default_factory=deque)
    moods: dict[str, NetworkFault] = field(default_factory=dict)
    keys: set[str] | None = None
    ends: dict[str, int] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    receipts_url: str | None = None
    replies_url: str | None = None
    receipts_twice: bool = False
    calls: int = 0

    def take(self, receptor: str, sender: str, message: str, localid: int | None) -> Sent:
        """Accepts a message, or finds the one that came with the same local id before."""
        earlier = self.by_local_id.get(localid) if localid is not None else None
        if earlier is not None and time.time() - earlier.date < LOCAL_ID_SECONDS:
            return earlier
        found = Sent(
            messageid=8_000_000_000 + len(self.sent),
            localid=localid,
            receptor=receptor,
            sender=sender,
            message=message,
            cost=self.cost(message),
            date=int(time.time()),
        )
        self.credit -= found.cost
        self.sent.append(found)
        self.under_way.append(found)
        self.by_id[found.messageid] = found
        if localid is not None:
            self.by_local_id[localid] = found
        return found

    def cost(self, message: str) -> int:
        """Rial of one message, by Kavenegar's simple rule: 70 characters, or 67 in each of several parts."""
        parts = 1 if len(message) <= 70 else -(-len(message) // 67)
        return parts * self.cost_per_part

    def move(self, *, everything: bool = False) -> list[Sent]:
        """Moves messages one state on, those whose time has come or all; returns those that came to their end."""
        moment = time.monotonic()
        for message in self.under_way:
            due = self.step_seconds is not None and moment - message.moved_at >= self.step_seconds
            if everything or due:
                following = _WAY[message.status]
                message.status = self.ends.get(message.receptor, following) if following == 10 else following
                message.moved_at = moment
        arrived = [message for message in self.under_way if message.status in FINAL]
        self.under_way = [message for message in self.under_way if message.status not in FINAL]
        self.credit += sum(message.cost for message in arrived if message.status == 14)
        return arrived

    def next_fault(self) -> NetworkFault | None:
        """The fault of this call, if there is one left."""
        return self.faults.popleft() if self.faults else None
