"""Guests' answers about advertising, in any order and by clocks that are wrong, through the real handlers.

Bills with ticks, questions asked at the till, stops, returns, staff's entries, corrections, voids, erasures and returns
come as the dice will; events of the services travel as Kafka may deliver them. In the end visit, customer and campaign
say the same of each guest as a small model that knows no ranks, and nobody else was written to.
"""

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from deploy.crm.audit import look, opened
from services.campaign.journeys.handlers import enrolling
from services.campaign.messages.handlers import replies, sending
from services.customer.handlers import customers
from services.customer.models.http import RecordConsent
from services.customer.models.values import Act
from services.customer.models.values import GuestKey as Key
from shared.clock import new_id, now
from shared.database import db
from shared.errors import NotFound
from shared.events.customer import SegmentEntered
from shared.security import ids
from shared.settings import Settings
from tests.campaign.conftest import API_KEY, ended, running_simulator
from tests.chaos.databases import databases_on
from tests.chaos.house import House, open_house
from tests.chaos.scenario import Scenario, World, assert_sound

STOPS = ("لغو۱۱", "لغو.", "stop!", "۱۱ لطفا")
RETURNS = ("12", "۱۲", "عضویت")
OTHERS = ("ساعت ۱۱ میام", "ممنون")
ANSWERS = {
    "visit": "SELECT customer_id, granted FROM guest_consents WHERE cafe_id = $1",
    "customer": """
        SELECT customer_id, granted FROM consents WHERE cafe_id = $1 AND channel = 'sms' AND purpose = 'marketing'
    """,
    "campaign": """
        SELECT customer_id, granted FROM consents WHERE cafe_id = $1 AND channel = 'sms' AND purpose = 'marketing'
    """,
}
SENT = """
SELECT d.customer_id
FROM send_decisions s
JOIN campaign_deliveries d ON d.cafe_id = s.cafe_id AND d.id = s.delivery_id
JOIN campaigns c ON c.cafe_id = d.cafe_id AND c.id = d.campaign_id
WHERE s.cafe_id = $1 AND s.outcome = 'send' AND c.purpose = 'marketing'
"""
KNOWN = "SELECT FROM contacts WHERE cafe_id = $1 AND customer_id = $2 AND phone_hash IS NOT NULL"


GUESTS, STEPS = 16, 160
TOWNS = 60
QUICK_SECONDS = 15.0


async def run(world: World) -> str:
    """One town after the other, or as many as fit into some seconds."""
    async with databases_on(world, "answers") as databases:
        house = await open_house(databases.config, databases, world.dice)
        told = await play(house, TOWNS, QUICK_SECONDS if world.quick else None)
        await assert_sound(house.config)
    world.say(told)
    return told


async def play(house: House, towns: int, seconds: float | None = None) -> str:
    """Plays up to so many towns, no new one begun after `seconds`; says how many."""
    started, done, bills = time.monotonic(), 0, 0
    async with running_simulator() as simulator:
        key = SecretStr(API_KEY)
        settings = {"sms_endpoint": simulator.url, "sms_api_key": key, "sms_sender": "10004346"}
        while done < towns and (seconds is None or time.monotonic() - started < seconds):
            bills += await live(house, STEPS, GUESTS, house.config.model_copy(update=settings))
            done += 1
    return f"{done} towns of {GUESTS} guests, {done * STEPS:,} deeds, {bills:,} bills, three services of one mind"


@dataclass
class Person:
    """A guest and what they truly answered: (tick, yes or no; when it counts)."""

    phone: str
    customer_id: UUID
    answers: list[tuple[str, datetime]] = field(default_factory=list)
    bills: list[dict[str, Any]] = field(default_factory=list)
    erased_at: datetime | None = None
    story: list[str] = field(default_factory=list)

    def consent(self) -> bool | None:
        """What counts: the later of no and yes, the no of two at once; a tick where there is neither."""
        said = [answer for answer in self.answers if self.erased_at is None or answer[1] > self.erased_at]
        noes = [at for kind, at in said if kind == "no"]
        yeses = [at for kind, at in said if kind == "yes"]
        if yeses and (not noes or max(yeses) > max(noes)):
            return True
        if noes:
            return False
        return True if said else None


@dataclass
class Town:
    """One cafe with its guests, whose clocks are wrong by up to hours."""

    house: House
    cafe_id: UUID
    api_key: str
    people: Sequence[Person]
    numbers: int = 0

    @property
    def dice(self) -> random.Random:
        """The house's dice."""
        return self.house.dice

    def moment(self, person: Person) -> datetime:
        """What a till's clock says: some time ago, now, or a time that has not come."""
        kind = self.dice.random()
        if kind < 0.5 and person.bills:
            # Also the very moment of another answer.
            return datetime.fromisoformat(self.dice.choice(person.bills)["occurred_at"])
        if kind < 0.7:
            return now() + timedelta(minutes=self.dice.randint(1, 600))
        return now() - timedelta(minutes=self.dice.choice((0, 0, 1, 5, 60)))

    async def hear(self, person: Person, kind: str, body: dict[str, Any], *, said: str | None) -> None:
        """A record comes to the visit service, which is the first to hear of it."""
        before = now()
        self.house.hand_in(self.api_key, f"pos.visit_{kind}", body)
        for (service, topic, partition), waiting in self.house.queues.items():
            while topic == "pos.visits" and waiting:
                refused = await self.house.consumers[service].handle([waiting.popleft()])
                assert not refused, (partition, refused)
        if said:
            at = datetime.fromisoformat(body.get("consent_asked_at") or body["occurred_at"])
            person.answers.append((said, min(at, before)))

    async def bill(self, person: Person) -> None:
        """A new bill, with an answer or without."""
        self.numbers += 1
        at, answer = self.moment(person), self.dice.choice(("tick", "tick", "tick", "yes", "no", "no", None))
        body = {
            "device_id": f"till-{self.dice.randint(1, 3)}", "receipt_number": str(self.numbers), "phone": person.phone,
            "occurred_at": at.isoformat(), "total": "1000", "currency_unit": "IRT",
        }  # fmt: skip
        if answer:
            body["marketing_consent"] = answer != "no"
        if answer == "yes":
            body["consent_asked_at"] = (at - timedelta(seconds=self.dice.choice((0, 0, 30)))).isoformat()
        is_nobodys = person.erased_at is not None and at <= person.erased_at
        person.story.append(f"bill {self.numbers} {answer} {at:%H:%M:%S.%f}")
        await self.hear(person, "recorded", body, said=None if is_nobodys else answer)
        if not is_nobodys:
            person.bills.append(body)

    async def again(self, person: Person) -> None:
        """A bill comes a second time."""
        if person.bills:
            body = self.dice.choice(person.bills)
            person.story.append(f"again {body['receipt_number']}")
            await self.hear(person, "recorded", body, said=None)

    async def correct(self, person: Person) -> None:
        """A bill is corrected, and the correction may come again later."""
        if not person.bills:
            return
        body = dict(self.dice.choice(person.bills))
        answer = self.dice.choice((True, False, None))
        body |= {"total": str(self.dice.randint(1, 9) * 1000), "marketing_consent": answer}
        if answer is None:
            body.pop("consent_asked_at", None)
        body["corrected_at"] = self.moment(person).isoformat()
        person.story.append(f"corrected {body['receipt_number']} {answer} {body['corrected_at']}")
        await self.hear(person, "corrected", body, said="no" if answer is False else None)
        if self.dice.random() < 0.5:
            await self.hear(person, "corrected", body, said=None)

    async def void(self, person: Person) -> None:
        """A bill never was; what its guest answered, they answered."""
        if person.bills:
            body = self.dice.choice(person.bills)
            void = {name: body[name] for name in ("device_id", "receipt_number")}
            person.story.append(f"void {body['receipt_number']}")
            await self.hear(person, "voided", void | {"voided_at": self.moment(person).isoformat()}, said=None)

    async def reply(self, person: Person) -> None:
        """An SMS from the guest."""
        kind = self.dice.choice(("no", "no", "yes", None))
        text = self.dice.choice({"no": STOPS, "yes": RETURNS, None: OTHERS}[kind])
        pool = self.house.pools["campaign"]
        if await pool.fetchrow(KNOWN, self.cafe_id, person.customer_id) is None:
            return
        person.story.append(f"reply {kind}")
        async with db.transaction(pool) as conn:
            await replies.take_reply(conn, self.house.config.keys, self.cafe_id, person.phone, text)
        if kind:
            person.answers.append((kind, now()))

    async def enter(self, person: Person) -> None:
        """Staff note what the guest told them."""
        granted = self.dice.random() < 0.5
        command = RecordConsent(channel="sms", purpose="marketing", granted=granted)
        try:
            async with db.transaction(self.house.pools["customer"]) as conn:
                act = Act(new_id(), now(), new_id())
                await customers.record_consent(conn, Key(self.cafe_id, person.customer_id), command, act=act)
        except NotFound:
            return
        person.story.append(f"staff {granted}")
        person.answers.append(("yes" if granted else "no", act.at))

    async def erase(self, person: Person) -> None:
        """The guest is erased; what happens later is of somebody who may be back."""
        if self.dice.random() < 0.5:
            return
        try:
            async with db.transaction(self.house.pools["customer"]) as conn:
                act = Act(new_id(), now(), new_id())
                await customers.erase_customer(conn, Key(self.cafe_id, person.customer_id), act=act)
        except NotFound:
            return
        person.story.append("erased")
        person.erased_at, person.bills = act.at, []
        await self.house.settle()

    async def travel(self) -> None:
        """Some of what waits is delivered, to whom the dice say."""
        for _ in range(self.dice.randint(0, 3)):
            await self.house.relay()
            waiting = [queue for queue, records in self.house.queues.items() if records]
            if waiting:
                await self.house.deliver(self.dice.choice(waiting))


async def open_town(house: House, guests: int) -> Town:
    """A cafe and people who have not been there."""
    cafe_id, api_key = await house.make_cafe()
    phones = [f"+98912{house.dice.randint(0, 9_999_999):07}" for _ in range(guests)]
    people = [Person(phone, ids.customer_id(house.config.keys, cafe_id, phone)) for phone in dict.fromkeys(phones)]
    return Town(house, cafe_id, api_key, people)


async def live(house: House, steps: int, guests: int, config: Settings) -> int:
    """Plays so many steps in one cafe; half-way everybody is greeted, and the greetings wait. Returns the bills.

    Raises AssertionError with the story of the first guest of whom somebody says something else.
    """
    town = await open_town(house, guests)
    deeds: Sequence[Callable[[Person], Awaitable[None]]] = (
        *[town.bill] * 6, *[town.reply] * 4, *[town.enter] * 3, *[town.correct] * 2, town.again, town.void, town.erase,
    )  # fmt: skip
    for half in range(2):
        for _ in range(steps // 2):
            await house.dice.choice(deeds)(house.dice.choice(town.people))
            await town.travel()
        if half == 0:
            await greet(town)
    await house.settle()
    await assert_all_say(town)
    await send(town, config)
    return town.numbers


async def greet(town: Town) -> None:
    """Everybody enters a segment whose members are greeted."""
    entered = [
        SegmentEntered(
            cafe_id=town.cafe_id, occurred_at=now(), customer_id=person.customer_id, segment_id=new_id(),
            segment_key="vip_customers", reason="time",
        )
        for person in town.people
    ]  # fmt: skip
    async with db.transaction(town.house.pools["campaign"]) as conn:
        await enrolling.on_segment_entered(conn, entered)


async def send(town: Town, config: Settings) -> None:
    """What waits is decided about: a greeting goes only to who agrees."""
    pool = town.house.pools["campaign"]
    sender = sending.Sender(config)
    while await sender.send_due(pool):
        await ended(sender.lanes)
    sent = {row["customer_id"] for row in await pool.fetch(SENT, town.cafe_id)}
    agreed = {person.customer_id for person in town.people if person.consent()}
    assert sent <= agreed, [person.story for person in town.people if person.customer_id in sent - agreed]
    assert sent, "somebody was greeted"


async def assert_all_say(town: Town) -> None:
    """The three services and the model say the same of everybody, and `crm audit` agrees."""
    found = {}
    for service, sql in ANSWERS.items():
        rows = await town.house.pools[service].fetch(sql, town.cafe_id)
        found[service] = {row["customer_id"]: row["granted"] for row in rows}
    for person in town.people:
        said = {service: answers.get(person.customer_id) for service, answers in found.items()}
        assert set(said.values()) == {person.consent()}, "\n".join(
            [f"{said}, must be {person.consent()}", *person.story, *map(str, person.answers), str(person.erased_at)]
        )
    async with opened(town.house.config) as connections:
        breaches = [each for each in await look(connections, town.cafe_id) if "answers" in each.invariant]
    assert not breaches, breaches


SCENARIOS = [Scenario("answers_by_wrong_clocks", run)]
