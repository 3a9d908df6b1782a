"""Bad records among good ones: each is kept with its reason or passed over, and nobody else notices."""

import asyncio
import importlib
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from deploy.crm.migrate import migrate
from deploy.demo import till
from shared.clock import new_id, now
from shared.database import db
from shared.database.db import Connection, Pool
from shared.events.identity import ApiKeyCreated
from shared.events.registry import BY_TYPE
from shared.messaging.consumer import Consumer, Reactions
from shared.security import ids
from shared.security.access import on_api_key_created
from shared.security.crypto import seal
from shared.services import WITH_INBOX
from shared.settings import settings
from tests.chaos import fuzz, payloads
from tests.chaos.payloads import SAMPLE_ID, Body, Payload, written
from tests.chaos.scenario import Scenario, World
from tests.contract.pos.write import VISIT
from tests.shared.records import CAFE, FakeRecord, signed

SAMPLES: Final = Path(__file__).parents[1] / "contract" / "samples"
TILL_KEY: Final = ids.ApiKey("PPPPPPPPPPPP", "p" * 43)
LARGEST_BATCH: Final = 40
BAD_FOR_EACH_GOOD: Final = 3
# The samples' plain words stand for any text; some readers need to know more of what it means.
MEANT: Final[Mapping[str, Any]] = {
    "calendar": "jalali", "channel": "sms", "currency_unit": "IRT", "device_name": "till-1", "key_hash": "0a" * 32,
    "language": "fa", "quiet_from": "22:00", "quiet_until": "08:00", "scopes": ["ingest"], "time_zone": "Asia/Tehran",
}  # fmt: skip
TILL: Final = "pos.visits"
# Without the branch, which nobody has told the visit service of.
BILL: Final[Body] = {name: value for name, value in VISIT.items() if name != "branch"}

PARKED: Final = "SELECT record_offset, reason, detail FROM crm.parked WHERE topic = $1"
TAKEN: Final = "SELECT event_id FROM crm.inbox WHERE event_id = any($1)"
RECORDED: Final = "SELECT event_id FROM visit_receipts WHERE event_id = any($1)"
# What a good visit leaves behind with each of its readers.
EFFECTS: Final[Mapping[str, str]] = {
    "loyalty": "SELECT count(*) FROM visit_earnings WHERE visit_id = any($1)",
    "feedback": "SELECT count(*) FROM feedback_links WHERE visit_id = any($1)",
    "visit": "SELECT count(*) FROM customer_visits v JOIN visit_receipts r ON r.visit_id = v.id"
    " WHERE r.event_id = any($1)",
}


@dataclass
class Eaten:
    """How many records of which fate a service was given."""

    fates: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        told = ", ".join(f"{count:,} {fate}" for fate, count in sorted(self.fates.items()))
        return f"{told}; {len(self.reasons)} reasons"


def reactions_of(service: str) -> Reactions:
    """What a service's worker listens to."""
    found: Reactions = importlib.import_module(f"services.{service}.worker").REACTIONS
    return found


def fresh_event(kind: str) -> Body:
    """The first released sample of an event type, with ids of its own and with words in it that its readers take."""
    sample: Body = json.loads((SAMPLES / kind / "1.json").read_text())
    body = {name: MEANT.get(name, value) for name, value in sample.items()} | {"recorded_at": now().isoformat()}
    body |= {name: str(new_id()) for name, value in body.items() if value == SAMPLE_ID and name != "cafe_id"}
    if "phone_sealed" in body:
        phone = f"+9891{random.randrange(10**8):08}"
        guest = ids.customer_id(settings().keys, CAFE, phone)
        words = {"phone": phone, "birthday": "1370-01-01"}
        body |= {
            name: seal(
                settings().keys, words.get(column, "سارا"), table=BY_TYPE[kind].topic, column=column, row=guest
            )
            for name in body
            if (column := name.removesuffix("_sealed")) != name
        } | {"customer_id": str(guest)}  # fmt: skip
    return body


def bill_of_till(body: bytes, kind: str = "pos.visit_recorded") -> FakeRecord:
    """A record on pos.visits as a till signs it."""
    headers = till.signed_headers(f"crm_{TILL_KEY.key_id}_{TILL_KEY.secret}", str(new_id()), kind, body)
    return FakeRecord(TILL, body, headers, b"till-1")


async def know_the_till(conn: Connection, cafe_id: UUID = CAFE) -> None:
    """Lets the visit service know the key that `bill_of_till` signs with."""
    signing = ids.signing_key(TILL_KEY.secret).hex()
    created = ApiKeyCreated(
        cafe_id=cafe_id, occurred_at=now(), key_id=TILL_KEY.key_id, key_hash=ids.hash_api_key(TILL_KEY).hex(),
        signing_key_sealed=seal(
            settings().keys, signing, table="till_keys", column="signing_key_sealed", row=TILL_KEY.key_id
        ),
        scopes=["ingest"], device_name="till",
    )  # fmt: skip
    await on_api_key_created(conn, [created])


async def feed(service: str, pool: Pool, dice: random.Random, *, share: float = 1.0) -> Eaten:
    """Gives a service the list on every topic it reads, `share` of what only its reader can judge, mixed with good
    records.

    Raises AssertionError naming the payload that did not end as it must.
    """
    consumer = Consumer(service, pool, reactions_of(service), settings().keys)
    eaten = Eaten()
    kinds = sorted(event.type for event in consumer.reactions.events)
    heaviest = dice.choice(kinds)
    for kind in kinds:
        largest = payloads.TEN_MEGABYTES if kind == heaviest else payloads.LARGE
        bad = chosen(payloads.of_event(BY_TYPE[kind].topic, kind, partial(fresh_event, kind), largest), dice, share)
        await _one_meal(consumer, bad, _good_events(kind), TAKEN, dice, eaten)
    if TILL in consumer.reactions.ingress:
        async with db.transaction(pool) as conn:
            await know_the_till(conn)
        bad = chosen(payloads.of_till(BILL, bill_of_till), dice, share)
        await _one_meal(consumer, bad, _good_bills(), RECORDED, dice, eaten)
    return eaten


def chosen(found: Sequence[Payload], dice: random.Random, share: float) -> list[Payload]:
    """All that must end in one way, and a share of what may end in two."""
    return [each for each in found if each.fate != "judged" or dice.random() < share]


def _good_events(kind: str) -> Iterator[Payload]:
    while True:
        body = fresh_event(kind)
        record = signed(FakeRecord(BY_TYPE[kind].topic, written(body), [("ce_type", kind.encode())]))
        yield Payload("good", record, "taken", UUID(body["event_id"]))


def _good_bills() -> Iterator[Payload]:
    while True:
        yield Payload("good", bill_of_till(written(BILL | {"receipt_number": str(new_id())})), "taken")


async def _one_meal(
    consumer: Consumer, bad: Sequence[Payload], good: Iterator[Payload], taken_sql: str, dice: random.Random,
    eaten: Eaten,
) -> None:  # fmt: skip
    mixed = list(bad) + [next(good) for _ in range(1 + len(bad) // BAD_FOR_EACH_GOOD)]
    dice.shuffle(mixed)
    for batch in batches(mixed, dice):
        await consumer.handle([each.record for each in batch])
    rows = {row["record_offset"]: row for row in await consumer.pool.fetch(PARKED, mixed[0].record.topic)}
    event_ids = {each.record.offset: _id_of(each) for each in mixed}
    taken = {row["event_id"] for row in await consumer.pool.fetch(taken_sql, [i for i in event_ids.values() if i])}
    for each in mixed:
        parked = rows.get(each.record.offset)
        fault = wrong_end(each, parked is not None, event_ids[each.record.offset], taken)
        assert not fault, f"{consumer.service}, {_kind_of(each)}, {each.name}: {fault} {dict(parked or {})}"
        if parked is not None:
            assert parked["reason"], f"{consumer.service}, {each.name}: parked without a reason"
            eaten.reasons[parked["reason"]] += 1
        eaten.fates["good" if each.name == "good" else "parked" if parked else "taken or passed over"] += 1
    await _effects(consumer, [each for each in mixed if each.name == "good"])


def wrong_end(payload: Payload, parked: bool, event_id: UUID | None, taken: set[UUID]) -> str:
    """What is wrong with a payload's end; nothing when it is right."""
    is_taken = event_id in taken
    if payload.fate == "judged":
        # Without an id there is nothing to look for, unless it was refused.
        unknown = event_id is None and not parked
        return "" if unknown or parked != is_taken else f"parked: {parked}, taken: {is_taken}"
    if (payload.fate == "parked") != parked:
        return f"must be {payload.fate}, but parked: {parked}"
    return "" if event_id is None or (payload.fate == "taken") == is_taken else f"must be {payload.fate}"


async def _effects(consumer: Consumer, good: Sequence[Payload]) -> None:
    kind = _kind_of(good[0])
    if kind not in ("visit.recorded", "pos.visit_recorded") or consumer.service not in EFFECTS:
        return
    if kind == "visit.recorded":
        of = [UUID(json.loads(each.record.value or b"")["visit_id"]) for each in good]
    else:
        of = [event_id for each in good if (event_id := _id_of(each))]
    count = await consumer.pool.fetchval(EFFECTS[consumer.service], of)
    assert count == len(good), f"{consumer.service}: {count} effects of {len(good)} good visits"


def batches(mixed: Sequence[Payload], dice: random.Random) -> Iterator[Sequence[Payload]]:
    """The records in pieces of any size."""
    at = 0
    while at < len(mixed):
        size = dice.randint(1, LARGEST_BATCH)
        yield mixed[at : at + size]
        at += size


def _kind_of(payload: Payload) -> str:
    return next((value.decode(errors="replace") for name, value in payload.record.headers if name == "ce_type"), "-")


def _id_of(payload: Payload) -> UUID | None:
    if payload.record.topic != TILL:
        return payload.event_id
    return next((UUID(value.decode()) for name, value in payload.record.headers if name == "ce_id"), None)


async def _swallow(world: World) -> str:
    config = settings().model_copy(update={"postgres_url": world.postgres.url, "database_prefix": "poison_"})
    await migrate(config)
    dice, total = world.dice, Eaten()
    for service in WITH_INBOX:
        if not reactions_of(service).topics:
            continue
        pool = await db.open_pool(config.dsn(service), name="poison")
        try:
            eaten = await feed(service, pool, dice, share=0.1 if world.quick else 1.0)
        finally:
            await pool.close()
        world.say(f"{service}: {eaten}")
        total.fates.update(eaten.fates)
        total.reasons.update(eaten.reasons)
    return str(total)


async def _fuzz(world: World) -> str:
    return fuzz.told(await asyncio.to_thread(fuzz.fuzz, world.dice, 20_000 if world.quick else 2_000_000))


SCENARIOS = [Scenario("poison on every topic", _swallow), Scenario("decoders", _fuzz)]
