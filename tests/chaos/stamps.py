"""Stamp cards in a life: vouchers used and taken back at any moment, and counted stamp by stamp beside loyalty."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.loyalty.handlers import cards
from services.loyalty.models.cards import VoucherUse
from shared.clock import new_id
from shared.database import db
from shared.errors import Rejected
from tests.chaos.desk import Desk
from tests.chaos.model import Model
from tests.loyalty.schemes import PlainBill, naive_cards

# Small enough that lives fill them.
CARDS: list[dict[str, Any]] = [
    {"key": "cakes", "name": "کیک", "need": 2, "match": {"names": ["کیک"]}, "reward": "یک کیک", "lives_days": 30},
    {"key": "visits", "name": "آمدن", "need": 2, "per": "visit", "minimum_toman": 1_000, "reward": "یک چای"},
]
OTHER_CARDS: list[dict[str, Any]] = [
    {"key": "visits", "name": "آمدن", "need": 2, "per": "visit", "reward": "دو چای", "lives_days": 5},
    {"key": "all", "name": "همه", "need": 4, "per_visit": 3, "reward": "یک قهوه"},
]
STATE = "SELECT cards FROM customer_loyalty WHERE cafe_id = $1"
VOUCHERS = (
    "SELECT voucher_id, card_key, number, visit_id, earned_at, expires_at, state FROM vouchers WHERE cafe_id = $1"
)

Name = tuple[str, int]


class StampedLife(RuleBasedStateMachine):
    """The part of a life that is about cards. `used` are the vouchers that were used and not taken back."""

    desk: Desk
    cafe_id: UUID
    model: Model

    def __init__(self) -> None:
        super().__init__()
        self.used: set[Name] = set()
        self.cards_told: list[UUID] = []

    @precondition(lambda self: self.vouchers())
    @rule(pick=st.integers(0, 99), again=st.booleans(), of_any=st.booleans())
    def use_voucher(self, pick: int, again: bool, of_any: bool) -> None:
        """Uses any voucher that ever was, once however often it is asked for; who may not is refused."""
        self.desk.counts["vouchers"] += 1
        now = self.desk.clock.tick()
        found = self.vouchers()
        found = [each for each in found if of_any or each["state"] == "open"] or found
        voucher = found[pick % len(found)]
        name = (voucher["card_key"], voucher["number"])
        wanted, expected = VoucherUse(request_id=new_id(), till_key_id="till"), self.may_use(name, now)
        for _ in range(2 if again else 1):
            assert self.is_done(cards.use, voucher["voucher_id"], wanted) == expected
        if expected:
            self.used.add(name)
            assert not self.is_done(cards.use, voucher["voucher_id"], VoucherUse(request_id=new_id(), till_key_id="t"))

    @precondition(lambda self: self.used)
    @rule(pick=st.integers(0, 99))
    def take_back_voucher(self, pick: int) -> None:
        """What was used is not; one whose card is owed is gone with it."""
        self.desk.clock.tick()
        name = sorted(self.used)[pick % len(self.used)]
        voucher = next(each for each in self.vouchers() if (each["card_key"], each["number"]) == name)
        assert self.is_done(cards.take_back, voucher["voucher_id"])
        self.used.remove(name)

    @invariant()
    def cards_agree(self) -> None:
        """Cards are those of the bills, vouchers those of the cards, and each was told once."""
        found, completed_by = self.counted()
        states = {key: (stamps, completed) for key, stamps, completed in self.read(STATE)[0]["cards"] or []}
        assert states == found, f"cards are {states}, must be {found}"
        rows = {(each["card_key"], each["number"]): each for each in self.vouchers()}
        held = {name for name, each in rows.items() if each["state"] == "open"}
        assert held == completed_by.keys() - self.used, "open vouchers are not those of completed cards"
        assert {name for name, each in rows.items() if each["state"] == "used"} == self.used
        for name, visit_id in completed_by.items():
            bill = self.model.bills[visit_id]
            assert (rows[name]["visit_id"], rows[name]["earned_at"]) == (visit_id, bill.at), (
                f"{name} is of another bill"
            )
            assert rows[name]["expires_at"] == self.expiry(name[0], bill.at), f"{name} lapses at another time"
        assert sorted(self.cards_told) == sorted(each["voucher_id"] for each in rows.values())

    def counted(self) -> tuple[dict[str, tuple[int, int]], dict[Name, Any]]:
        """The cards as they follow from the bills that stand."""
        bills = sorted(
            ((name, bill) for name, bill in self.model.bills.items() if not bill.is_void),
            key=lambda each: (each[1].at, each[1].order),
        )
        versions = [(rules.since, rules.earning) for rules in self.model.rules]
        plain = [PlainBill(name, bill.at, bill.toman, bill.branch, bill.lines) for name, bill in bills]
        return naive_cards(versions, plain)

    def may_use(self, name: Name, now: datetime) -> bool:
        """Whether this very voucher can be used now."""
        completed_by = self.counted()[1]
        held = [
            each
            for each, visit_id in completed_by.items()
            if each[0] == name[0] and each not in self.used and not self.is_over(each, visit_id, now)
        ]
        owed = [each for each in self.used if each[0] == name[0] and each not in completed_by]
        return name in held and len(held) > len(owed)

    def is_over(self, name: Name, visit_id: Any, now: datetime) -> bool:
        expiry = self.expiry(name[0], self.model.bills[visit_id].at)
        return expiry is not None and expiry <= now

    def expiry(self, key: str, at: datetime) -> datetime | None:
        """When a voucher lapses that a bill of that moment has earned."""
        card = next(each for each in self.model.in_force(at).earning["cards"] if each["key"] == key)
        return at + timedelta(days=card["lives_days"]) if "lives_days" in card else None

    def vouchers(self) -> Sequence[Any]:
        return sorted(self.read(VOUCHERS), key=lambda each: (each["card_key"], each["number"]))

    def read(self, statement: str) -> Sequence[Any]:
        return self.desk.do(self.desk.pool.fetch(statement, self.cafe_id))

    def is_done(self, handler: Any, *asked: Any) -> bool:
        """Asks a handler; False when it refuses."""

        async def ask() -> None:
            async with db.transaction(self.desk.pool) as conn:
                await handler(conn, self.cafe_id, *asked)

        try:
            self.desk.do(ask())
        except Rejected:
            return False
        return True
