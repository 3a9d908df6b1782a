"""The steps of a life, each done by loyalty and told to the model, and what must hold after every one."""

from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from services.loyalty.handlers import adjustments, redemptions
from services.loyalty.models.accounts import Adjustment, Redemption
from services.loyalty.models.programs import ProgramRules
from shared.clock import new_id
from shared.database import db
from shared.errors import Rejected
from shared.events.visit import VisitCorrected, VisitEvent, VisitRecorded, VisitVoided
from tests.chaos.bills import about, bill_of, cents, on_the_bill
from tests.chaos.desk import START, Desk
from tests.chaos.model import Bill, Model, Redeemed, Rules, Tiers
from tests.chaos.stamps import CARDS, OTHER_CARDS, StampedLife
from tests.loyalty.schemes import BRANCH

TEHRAN = ZoneInfo("Asia/Tehran")
EVER = datetime(1970, 1, 1, tzinfo=START.tzinfo)
STEEP: Tiers = (("bronze", 0, Fraction(1)), ("gold", 900, Fraction(5, 2)))
PROGRAMS: tuple[dict[str, Any], ...] = (
    {},
    {"lapse_days": 30},
    {"lapse_days": 5, "forgives": True},
    {"lapse_days": 365, "earn_per_toman": 500, "approval_above": 100},
    {"forgives": True, "tiers": STEEP},
)
# Every kind of rule and cap, small enough that lives meet their limits.
EARNING: dict[str, Any] = {
    "base": {"minimum_toman": 1_000, "exclude": {"categories": ["دخانیات"]}},
    "earn": [
        {"key": "extra", "kind": "amount", "toman_per_point": 9000, "by_tier": True},
        {"key": "visit", "kind": "visit", "points": 7, "minimum_toman": 30_000, "per_day": 1},
        {"key": "beans", "kind": "item", "points": 11, "match": {"categories": ["دانه قهوه"]}},
        {"key": "cakes", "kind": "item", "toman_per_point": 900, "match": {"names": ["کیک"]}},
        {"key": "first", "kind": "nth_visit", "n": [1, 3], "points": 50},
        {"key": "second", "kind": "every_nth_visit", "n": 2, "points": 15},
    ],
    "multiply": [
        {"key": "mornings", "factor": "1.5", "on": ["base"], "from_time": "06:00", "until_time": "14:00"},
        {"key": "weekend", "factor": "0.5", "weekdays": ["thu", "fri"]},
        {"key": "garden", "factor": "3", "on": ["beans", "visit"], "branches": [str(BRANCH)]},
    ],
    "caps": {"visit": 700, "day": 900, "month": 1500},
    "cards": CARDS,
}
PROGRAMS += (
    {"earning": EARNING},
    {"earning": EARNING | {"stacking": "product", "caps": {}, "cards": OTHER_CARDS}, "lapse_days": 30},
    {"earning": {"cards": CARDS}},
)
# What the reward of the cafe costs, and how many there are of it.
COST, STOCK = 100, 3
HOLD = timedelta(hours=1)
PICK = st.integers(0, 99)
MONEY = st.integers(0, 1_500_000)
DAYS_AGO = st.one_of(st.just(0), st.integers(0, 40), st.integers(0, 500))
BILLS = st.lists(
    st.tuples(DAYS_AGO, MONEY, st.booleans(), st.sampled_from([0, 0, 0, 1, 50, 700])), min_size=1, max_size=3
)
WAYS = st.sampled_from(["earned_bonus", "earned_birthday", "adjustment_add", "adjustment_subtract"])
WAIT = st.sampled_from([timedelta(hours=1), timedelta(days=1), timedelta(days=10), timedelta(days=200)])


class Life(StampedLife):
    """One guest in a cafe of their own. `desk` is given by a subclass."""

    desk: ClassVar[Desk]

    def __init__(self) -> None:
        super().__init__()
        self.cafe_id, self.guest = new_id(), new_id()
        self.author, self.other = new_id(), new_id()
        self.model = Model([Rules(EVER)])
        self.events: dict[UUID, VisitEvent] = {}
        self.voided: set[UUID] = set()
        self.pending: list[Adjustment] = []
        # Points that the author gave and took on a day, without anybody else's word.
        self.given: dict[date, int] = defaultdict(int)
        self.version = 0
        self.balance = 0
        self.numbers = 0
        self.desk.clock.moment = START
        self.desk.do(self.desk.open(self.cafe_id, self.guest, [self.author, self.other]))
        self.coffee = new_id()
        self.desk.do(self.desk.offer(self.cafe_id, self.author, self.coffee, COST, STOCK))

    def new_name(self) -> UUID:
        self.numbers += 1
        return uuid5(self.cafe_id, str(self.numbers))

    def begin(self, what: str) -> datetime:
        self.desk.counts[what] += 1
        return self.desk.clock.tick()

    # --- visits

    @rule(bills=BILLS, again=st.booleans(), link=st.booleans())
    def come(self, bills: list[tuple[int, int, bool, int]], again: bool, link: bool) -> None:
        """Visits of today or told late, in one batch, perhaps twice; some spend points, some name what was spent."""
        now = self.begin("visits")
        events = [self.recorded(now, *bill, link=link) for bill in bills]
        self.take_bills(events, events * (2 if again else 1))

    @rule(money=MONEY)
    def buy(self, money: int) -> None:
        """The plainest visit."""
        now = self.begin("visits")
        event = self.recorded(now, 0, money, False, 0, link=False)
        self.take_bills([event], [event])

    @precondition(lambda self: self.events)
    @rule(
        pick=PICK,
        money=MONEY,
        moved=st.sampled_from([0, 0, 0, -300, -20, 20]),
        stale=st.booleans(),
        redeem=st.sampled_from([None, 0, 0, 1, 50, 700]),
    )
    def correct(self, pick: int, money: int, moved: int, stale: bool, redeem: int | None = None) -> None:
        """Another sum, perhaps another day or other points to spend; one older than what stands changes nothing."""
        now = self.begin("corrections")
        old = self.pick_event(pick)
        at = min(old.occurred_at + timedelta(days=moved), now.replace(microsecond=old.occurred_at.microsecond))
        newest = old.corrected_at if isinstance(old, VisitCorrected) else None
        is_old = stale and newest is not None
        corrected_at = newest - timedelta(seconds=1) if is_old and newest else now
        event = self.corrected(old, at, Decimal(money), corrected_at, redeem)
        self.take_bills([] if is_old or old.visit_id in self.voided else [event], [event])

    @precondition(lambda self: self.events)
    @rule(pick=PICK, moved=st.sampled_from([-300, -20, -3, 3, 20]))
    def move(self, pick: int, moved: int) -> None:
        """The right sum under a wrong day."""
        self.correct(pick, int(self.pick_event(pick).final_amount), moved, stale=False)

    @precondition(lambda self: self.events)
    @rule(pick=PICK)
    def void(self, pick: int) -> None:
        """A visit that never was; what it spent comes back."""
        now = self.begin("voids")
        old = self.pick_event(pick)
        event = VisitVoided(**about(old), final_amount=old.final_amount, currency_unit=old.currency_unit, voided_at=now)
        if old.visit_id not in self.voided:
            self.model.bills[old.visit_id] = replace(bill_of(old), is_void=True, voided_at=now)
        self.voided.add(old.visit_id)
        self.take_bills([], [event])

    @precondition(lambda self: self.events)
    @rule(pick=PICK)
    def repeat(self, pick: int) -> None:
        """What is known comes again."""
        self.begin("repeats")
        self.take_bills([], [self.pick_event(pick)])

    # --- points

    @rule(points=st.sampled_from([1, 100, 2_000, None]), again=st.booleans(), reserves=st.booleans())
    def redeem(self, points: int | None, again: bool, reserves: bool) -> None:
        """Spends points, or for the reward, once however often it is asked for; more than there are is refused."""
        now = self.begin("redemptions" if points else "rewards")
        until = now + HOLD if reserves else None
        wanted = Redemption(
            redemption_id=self.new_name(), cafe_id=self.cafe_id, customer_id=self.guest, kind="discount",
            points=points or 0, state="completed", created_at=now, till_key_id="till", reserved_until=until,
            reward_id=None if points else self.coffee,
        )  # fmt: skip
        is_there, points = points is not None or self.model.pieces < STOCK, points or COST
        expected = is_there and self.model.balance >= points
        for _ in range(2 if again else 1):
            self.ask(self.as_service(redemptions.redeem, wanted, new_id()), is_done=expected)
        if expected:
            self.model.spend(wanted.redemption_id, points)
            of_reward = wanted.reward_id is not None
            self.model.redeemed_as[wanted.redemption_id] = Redeemed(
                points, "completed", now, whole=of_reward, until=until
            )
            self.model.tier = self.model.tier_at(now)

    @precondition(lambda self: self.model.redeemed_as)
    @rule(pick=PICK)
    def reverse(self, pick: int) -> None:
        """Gives points back, once."""
        now = self.begin("reversals")
        name = list(self.model.redeemed_as)[pick % len(self.model.redeemed_as)]
        known = self.model.redeemed_as[name]
        possible = known.state != "refused"
        self.ask(self.as_service(redemptions.reverse, self.cafe_id, name, new_id()), is_done=possible)
        if known.state == "completed":
            self.model.give_back(name, now)
            known.state, known.by_hand, known.back_at, known.until = "reversed", True, now, None
            self.model.tier = self.model.tier_at(now)

    @rule(way=WAYS, points=st.sampled_from([1, 99, 101, 1_001]))
    def adjust(self, way: Any, points: int) -> None:
        """Points by hand, at once or, beyond what one may give and take in a day, once another manager agrees."""
        now = self.begin("adjustments")
        wanted = Adjustment(
            adjustment_id=self.new_name(), cafe_id=self.cafe_id, customer_id=self.guest, type=way, points=points,
            reason=None, state="pending", created_by=self.author, created_at=now,
        )  # fmt: skip
        today = now.astimezone(TEHRAN).date()
        if points + self.given[today] > self.model.in_force(now).approval_above:
            self.ask(self.as_staff(self.author, adjustments.adjust, wanted, new_id()), is_done=True)
            self.pending.append(wanted)
        else:
            expected = self.is_possible(wanted)
            self.ask(self.as_staff(self.author, adjustments.adjust, wanted, new_id()), is_done=expected)
            if expected:
                self.given[today] += points
                self.post(wanted, now)

    @precondition(lambda self: self.pending)
    @rule(pick=PICK, approve=st.booleans(), alone=st.booleans())
    def decide(self, pick: int, approve: bool, alone: bool) -> None:
        """The word of a second manager; the author's own is refused."""
        now = self.begin("decisions")
        wanted = self.pending[pick % len(self.pending)]
        decider = self.author if alone else self.other
        expected = not alone and (not approve or self.is_possible(wanted))
        answer = self.as_staff(
            decider, adjustments.decide, self.cafe_id, wanted.adjustment_id, decider, approve=approve,
            correlation_id=new_id(),
        )  # fmt: skip
        self.ask(answer, is_done=expected)
        if expected:
            self.pending.remove(wanted)
            if approve:
                self.post(wanted, now)

    # --- time and rules

    @initialize(choice=st.sampled_from(PROGRAMS))
    def open_with(self, choice: dict[str, Any]) -> None:
        """The cafe chose its rules a year ago, so that late visits too are of their time."""
        self.publish_rules(choice, None)
        self.desk.clock.tick(timedelta(days=365))

    @rule(choice=st.sampled_from(PROGRAMS), later=st.sampled_from([0, 0, 1, 24, 24 * 15]))
    def publish(self, choice: dict[str, Any], later: int) -> None:
        """New rules, from now or from some half hour on."""
        now = self.begin("programs")
        since = now + timedelta(hours=later, minutes=30) if later else None
        if (since or now) > self.model.rules[-1].since:
            self.publish_rules(choice, since)

    @rule(how_long=WAIT)
    def wait(self, how_long: timedelta) -> None:
        """Time passes and nobody looks: what lapses now can still be spent."""
        self.desk.clock.tick(how_long)

    @rule(how_long=WAIT, order=st.permutations(["expire", "end tiers", "recount", "release"]))
    def night(self, how_long: timedelta, order: list[str]) -> None:
        """Time passes and the jobs run, in any order."""
        self.begin("nights")
        now = self.desk.clock.tick(how_long + timedelta(minutes=2))
        while any(timedelta(0) <= now - rules.since <= timedelta(minutes=1) for rules in self.model.rules):
            now = self.desk.clock.tick(timedelta(minutes=2))
        for job in order:
            self.desk.do(self.desk.run_job(job))
            if job == "expire":
                self.model.lapse(now)
            if job == "release":
                self.model.release(now)
            if job == "recount" and self.recount_at is not None and self.recount_at <= now:
                self.model.take_bills({}, now)
                self.model.forgive(self.new_name(), now)
                self.recount_at = min((r.since for r in self.model.rules if r.since > now), default=None)
        self.model.tier = self.model.tier_at(now)

    recount_at: datetime | None = None

    # --- what must hold

    @invariant()
    def books_agree(self) -> None:
        """Loyalty, its ledger, its lots, the others' events and the model say the same."""
        seen = self.desk.do(self.desk.look(self.cafe_id, self.version))
        account, model = seen.account, self.model
        bills = model.standing()
        days = sorted(bill.at.astimezone(TEHRAN).date() for bill in bills)
        found = {name: account[name] for name in account.keys() if name != "account_version"}  # noqa: SIM118
        wanted = {
            "points_earned": model.earned,
            "points_redeemed": model.redeemed,
            "points_expired": model.lapsed,
            "current_points": model.balance,
            "points_owed": max(0, -model.balance),
            "tier_level": model.tier,
            "total_visits": len(bills),
            "lifetime_spent": sum((cents(bill.toman) for bill in bills), Decimal(0)),
            "first_visit_date": days[0] if days else None,
            "last_visit_date": days[-1] if days else None,
            "ledger": model.balance,
            "lots": model.balance,
            "of_visits": sum(model.points.values()),
            "pieces": model.pieces,
        }
        differing = [
            f"{name} is {found[name]}, must be {wanted[name]}" for name in wanted if found[name] != wanted[name]
        ]
        assert not differing, "; ".join(differing)
        for _, change, balance_after in seen.rows:
            self.balance += change
            assert balance_after == self.balance, "balance_after does not follow from the row before"
        assert seen.told == seen.rows, "the others were told something else than the ledger's rows"
        assert seen.tier_told in (None, model.tier), f"the others were told {seen.tier_told}, the tier is {model.tier}"
        self.version = account["account_version"]
        self.cards_told += seen.cards_told

    # --- helpers

    def pick_event(self, pick: int) -> VisitEvent:
        return list(self.events.values())[pick % len(self.events)]

    def recorded(
        self, now: datetime, days_ago: int, money: int, in_rial: bool, redeem: int, *, link: bool
    ) -> VisitRecorded:
        visit_id = self.new_name()
        # No two visits at one moment: which of two lots of one moment is spent first is nobody's business.
        at = (now - timedelta(days=days_ago)).replace(microsecond=self.numbers)
        open_ones = [
            name for name, each in self.model.redeemed_as.items() if each.state == "completed" and each.bill is None
        ]
        named = open_ones[0] if link and open_ones else None
        # Naming is enough where it is a reward.
        if named is not None and not redeem and not self.model.redeemed_as[named].whole:
            named = None
        return VisitRecorded(
            cafe_id=self.cafe_id, customer_id=self.guest, visit_id=visit_id, occurred_at=min(at, now), device_id="till",
            receipt_number=f"{self.numbers:05}", final_amount=Decimal(money), total_amount=Decimal(money),
            discount_amount=Decimal(0), currency_unit="IRR" if in_rial else "IRT", points_to_redeem=redeem,
            redemption_id=named,
            **on_the_bill(self.cafe_id, visit_id, money),
        )  # fmt: skip

    def corrected(
        self, old: VisitEvent, at: datetime, money: Decimal, corrected_at: datetime, redeem: int | None
    ) -> VisitCorrected:
        return VisitCorrected(
            **(about(old) | {"occurred_at": at}), final_amount=money, total_amount=money, discount_amount=Decimal(0),
            currency_unit="IRT", previous_final_amount=old.final_amount, previous_currency_unit=old.currency_unit,
            previous_occurred_at=old.occurred_at, first_visit_at=at, last_visit_at=at, corrected_at=corrected_at,
            points_to_redeem=redeem, redemption_id=self.model.bills[old.visit_id].names if redeem else None,
            **on_the_bill(self.cafe_id, old.visit_id, int(money)),
        )  # fmt: skip

    def take_bills(self, fresh: list[Any], batch: list[Any]) -> None:
        """Hands the batch to loyalty, and what is new in it to the model."""
        self.desk.do(self.desk.take_in(batch))
        now = self.desk.clock()
        self.events |= {event.visit_id: event for event in fresh}
        news: dict[Any, Bill] = {}
        for event in fresh:
            known = self.model.bills.get(event.visit_id)
            bill = bill_of(event)
            says_nothing = isinstance(event, VisitCorrected) and event.points_to_redeem is None
            news[event.visit_id] = replace(bill, asks=known.asks, names=known.names) if known and says_nothing else bill
        self.model.take_bills(news, now)
        self.model.forgive(self.new_name(), now)

    def is_possible(self, wanted: Adjustment) -> bool:
        return wanted.type != "adjustment_subtract" or self.model.balance >= wanted.points

    def post(self, wanted: Adjustment, now: datetime) -> None:
        if wanted.type == "adjustment_subtract":
            self.model.take(wanted.points, now)
        else:
            self.model.give(wanted.adjustment_id, wanted.points, now)
        self.model.tier = self.model.tier_at(now)

    def publish_rules(self, choice: dict[str, Any], since: datetime | None) -> None:
        rules = Rules(since or self.desk.clock(), **choice)
        self.desk.do(self.desk.publish(self.cafe_id, self.author, published(rules), since))
        self.model.rules.append(rules)
        self.recount_at = min(self.recount_at or rules.since, rules.since)

    def ask(self, asked: Any, *, is_done: bool) -> None:
        """Asks for something that is to be done, or to be refused."""
        refusal = None
        try:
            self.desk.do(asked)
        except Rejected as why:
            refusal = why.code
        assert (refusal is None) == is_done, f"refused as {refusal}" if refusal else "done, but must be refused"

    async def as_service(self, handler: Any, *asked: Any) -> None:
        async with db.transaction(self.desk.pool) as conn:
            await handler(conn, *asked)

    async def as_staff(self, user: UUID, handler: Any, *asked: Any, **named: Any) -> None:
        async with db.staff_transaction(self.desk.pool, user) as conn:
            await handler(conn, *asked, **named)


def published(rules: Rules) -> ProgramRules:
    """The rules as a manager publishes them."""
    tiers = [{"tier": name, "threshold": least, "multiplier": str(float(by))} for name, least, by in rules.tiers]
    return ProgramRules.model_validate(
        {
            "earn_per_toman": rules.earn_per_toman,
            "tiers": tiers,
            "tier_period": "jalali_year",
            "points_expire_days": rules.lapse_days,
            "negative_balance": "forgive_after_refund" if rules.forgives else "allow_after_refund",
            "approval_above": rules.approval_above,
            **rules.earning,
        }
    )
