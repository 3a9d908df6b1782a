"""A guest about whom words stand everywhere is erased, and no word and no number is left anywhere."""

import asyncio
import base64
import json
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from deploy.crm import processes
from deploy.crm.migrate import owner_dsn
from deploy.demo import run as demo
from shared.clock import new_id
from shared.database.db import Pool
from shared.messaging.topics import TOPICS
from shared.persian.text import persian_digits
from shared.security.crypto import derive
from shared.security.ids import customer_id
from shared.services import WITH_DATABASE
from tests.e2e.bills import bill
from tests.e2e.conftest import System, eventually
from tests.e2e.test_journey import LINK, to_kafka

ENVELOPE = re.compile(r"s1\.([0-9a-f]+)\.([A-Za-z0-9_-]+=*)")
BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
COUNTED_FROM = b"\0\0\0\2"
TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'crm') AND c.relkind IN ('r', 'm') AND c.relname <> 'schema_migrations'
"""


class Words:
    """A different word for every place: `words["notes"]` is made when first asked for, and never longer than a table's
    name may be. `number` is the guest's, without its first zero."""

    def __init__(self) -> None:
        self.number = f"912{secrets.randbelow(10**7):07}"
        self._of: dict[str, str] = {}

    def __getitem__(self, place: str) -> str:
        # Letters alone: an identifier of ours never holds them by chance.
        letters = "".join(secrets.choice("ghijkmnopqrstuvwxyz") for _ in range(10))
        return self._of.setdefault(place, letters)

    @property
    def spelled(self) -> dict[str, str]:
        """The number as different tills and people write it."""
        national = f"0{self.number}"
        return {
            "plain": national,
            "persian": persian_digits(national),
            "spaced": f"+98 {self.number[:3]} {self.number[3:6]} {self.number[6:]}",
            "dashed": f"0098-{self.number[:3]}-{self.number[3:]}",
        }

    def found_in(self, text: str) -> list[str]:
        """The places whose words stand in a text, however they are written there."""
        folded = re.sub(r"[\s\-]", "", text)
        numbers = [spelling for spelling in (self.number, persian_digits(self.number)) if spelling in folded]
        return [place for place, word in self._of.items() if word in text] + numbers


def with_opened(text: str, secret: str) -> str:
    """The text and what is sealed in it, opened without asking for the place that it is bound to."""
    found = [text]
    for match in ENVELOPE.finditer(text):
        raw = base64.urlsafe_b64decode(match[2])
        key, nonce, sealed = derive(secret, "seal"), raw[:12], raw[12:-16]
        opened = Cipher(algorithms.AES(key), modes.CTR(nonce + COUNTED_FROM)).decryptor().update(sealed)
        found.append(opened.decode(errors="replace"))
        found += [_decoded(each) for each in BASE64.findall(found[-1])]
    return "\n".join(found)


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode(errors="replace")
    except ValueError:
        return ""


async def database(system: System, service: str) -> str:
    """Every row of every table of a database, as a dump has it."""
    config = system.config
    conn = await asyncpg.connect(owner_dsn(config, config.database_name(service)))
    try:
        tables = [row[0] for row in await conn.fetch(TABLES)]
        rows = [str(tuple(row)) for table in tables for row in await conn.fetch(f"SELECT * FROM {table}")]
    finally:
        await conn.close()
    # Bytes of an event on its way are text.
    return "\n".join(rows).encode().decode("unicode_escape", "replace") + "\n".join(rows)


async def records(system: System, topic: str) -> list[tuple[bytes | None, str | None]]:
    """Key and text of every record of a topic, headers and all; None for a tombstone."""
    consumer = AIOKafkaConsumer(bootstrap_servers=system.config.kafka_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        name = system.config.topic_prefix + topic
        partitions = [TopicPartition(name, each) for each in range(system.config.partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends, found = await consumer.end_offsets(partitions), list[tuple[bytes | None, str | None]]()
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                for record in batch:
                    whole = b" ".join([record.key or b"", record.value or b"", *(value for _, value in record.headers)])
                    text = None if record.value is None else whole.decode(errors="replace")
                    found.append((record.key, text))
        return found
    finally:
        await consumer.stop()


async def kept_for_ever(system: System) -> str:
    """What long-lived topics hold: of a compacted one the last record of each key."""
    texts = []
    for topic in TOPICS:
        if topic.keep_ms is None:
            found = await records(system, topic.name)
            kept: Iterator[str | None] = iter(dict(found).values() if topic.compacted else (text for _, text in found))
            texts += [text for text in kept if text]
    assert len(texts) > 20
    return "\n".join(texts)


def logs(system: System) -> list[Path]:
    """The log files of all processes but the simulator, which is the provider and no part of the system."""
    return [path for path in (system.folder / "logs").glob("*.log") if "simulator" not in path.name]


async def told(system: System) -> str:
    """Logs and metrics of all processes."""
    started = processes.read_state(system.folder).started
    texts = [path.read_text(errors="replace") for path in logs(system)]
    async with httpx2.AsyncClient(timeout=10, follow_redirects=True) as client:
        answers = [await client.get(f"{each.part.url}/metrics") for each in started if each.part.name[-3:] != "tor"]
    texts += [answer.text for answer in answers if answer.status_code == 200]
    assert sum("crm_" in text for text in texts) > len(WITH_DATABASE)
    return "\n".join(texts)


def full_bill(words: Words, receipt: str, spelling: str, **changes: Any) -> dict[str, Any]:
    """A bill with a word in every field that takes one."""
    return bill(
        receipt,
        phone=words.spelled[spelling],
        guest_name=words[f"{receipt} guest_name"],
        table_number=words[f"{receipt} table"],
        server_name=words[f"{receipt} server"],
        notes=words[f"{receipt} notes"] + f" {words.spelled['spaced']}",
        attributes={words[f"{receipt} key"]: {words[f"{receipt} deep"]: [words[f"{receipt} value"], words.number]}},
        items=[
            {"name": words[f"{receipt} item"], "quantity": 1, "amount": "100000", "sku": words[f"{receipt} sku"]},
            {"name": words[f"{receipt} other"], "quantity": 1, "category": words[f"{receipt} category"]},
        ],
        marketing_consent=True,
        **changes,
    )


async def bills(system: System, cafe: demo.DemoCafe, till: httpx2.AsyncClient, words: Words) -> str:
    """Bills over both ways in, a correction, a void, and records that can't be read. Returns the id of the first."""
    url, moment = f"{system.api('visit')}/visits", datetime.now(UTC)
    first = await till.post(url, json=full_bill(words, "h", "persian"))
    assert first.status_code == 201, first.text
    await to_kafka(system, cafe, "pos.visit_recorded", full_bill(words, "k", "spaced"))
    change = full_bill(words, "h", "dashed", corrected_at=moment.isoformat(), total="90000")
    change["notes"] = words["correction"]
    assert (await till.post(f"{url}/corrections", json=change)).status_code == 200
    await till.post(url, json=full_bill(words, "v", "plain"))
    void = {"device_id": "till-1", "receipt_number": "v", "voided_at": moment.isoformat(), "reason": words["void"]}
    assert (await till.post(f"{url}/voids", json=void)).status_code == 200
    for receipt, spelling in (("bad1", "persian"), ("bad2", "spaced"), ("bad3", "dashed")):
        await to_kafka(system, cafe, "pos.visit_recorded", full_bill(words, receipt, spelling, total="-1"))
    broken = f'{{"phone": "{words.spelled["plain"]}", "{words["broken"]}'.encode()
    await to_kafka(system, cafe, "pos.visit_recorded", broken)
    unknown = {"pos_key_id": b"nobodys_keys"}
    await to_kafka(system, cafe, "pos.visit_recorded", full_bill(words, "u", "plain"), **unknown)
    visit_id: str = first.json()["visit_id"]
    return visit_id


async def desk(system: System, cafe: demo.DemoCafe, owner: httpx2.AsyncClient, words: Words, guest: UUID) -> None:
    """What staff write about the guest."""
    of_cafe = f"/cafes/{cafe.cafe_id}"
    profile = {
        "name": words["name"], "name_english": words["name_english"], "email": f"{words['email']}@example.com",
        "notes": words["profile notes"], "address": words["address"], "city": words["city"],
        "preferences": {words["preference"]: words["preferred"]},
    }  # fmt: skip
    url = f"{system.api('customer')}{of_cafe}/customers/{guest}"
    (await owner.patch(url, json=profile)).raise_for_status()
    consent = {"channel": "email", "purpose": "marketing", "granted": True, "source": words["source"]}
    assert (await owner.put(f"{url}/consents", json=consent)).status_code == 422
    loyalty = f"{system.api('loyalty')}{of_cafe}"
    adjustment = {
        "adjustment_id": str(new_id()), "type": "earned_bonus", "points": 500, "reason": words["adjustment"],
        "order_reference": words["adjustment reference"],
    }  # fmt: skip
    (await owner.post(f"{loyalty}/customers/{guest}/adjustments", json=adjustment)).raise_for_status()
    spent = {
        "redemption_id": str(new_id()), "points": 50, "customer_id": str(guest), "order_reference": words["redemption"]
    }  # fmt: skip
    (await owner.post(f"{loyalty}/redemptions", json=spent)).raise_for_status()
    feedback = f"{system.api('feedback')}{of_cafe}"
    entry = {
        "overall_rating": 1, "source": "phone_call", "comment": words["entry"], "customer_id": str(guest),
        "source_reference": words["entry reference"], "table_number": words["entry table"],
    }  # fmt: skip
    feedback_id = (await owner.post(f"{feedback}/feedback", json=entry)).raise_for_status().json()["feedback_id"]
    (await owner.put(f"{feedback}/feedback/{feedback_id}/response", json={"text": words["answer"]})).raise_for_status()
    cases = (await owner.get(f"{feedback}/cases")).raise_for_status().json()
    for case in cases:
        closed = await owner.post(f"{feedback}/cases/{case['id']}/close", json={"resolution": words["case"]})
        assert closed.status_code == 204


async def reply(system: System, words: Words) -> None:
    """The guest answers a message with words."""
    async with httpx2.AsyncClient(timeout=10) as client:
        said = {"sender": f"0{words.number}", "message": words["reply"]}
        (await client.post(f"{system.config.sms_endpoint}/control/replies", json=said)).raise_for_status()


async def rate(words: Words) -> None:
    """The guest opens the link of the message and says something."""
    async with httpx2.AsyncClient(follow_redirects=True, timeout=10) as phone:
        rated = await phone.post(words["link"], data={"overall_rating": "1", "comment": words["comment"]})
        assert rated.status_code == 200, rated.text


async def at_rest(pools: Mapping[str, Pool]) -> None:
    """Waits until nothing is on its way any more."""
    for _ in range(2):
        for pool in pools.values():
            await eventually(pool, "SELECT count(*) FROM crm.outbox", wanted=0)
        await asyncio.gather(*(_quiet(pool) for pool in pools.values()))


async def _quiet(pool: Pool) -> None:
    last = None
    while last != (last := await pool.fetchval("SELECT count(*) FROM crm.inbox")):
        await eventually(pool, "SELECT coalesce(max(received_at) < now() - interval '1 second', true) FROM crm.inbox",
                         wanted=True)  # fmt: skip


@pytest.mark.timeout(300)
async def test_no_word_about_an_erased_guest_is_left_anywhere(
    system: System, cafe: demo.DemoCafe, pools: dict[str, Pool], till: httpx2.AsyncClient, owner: httpx2.AsyncClient
) -> None:
    words, secret = Words(), system.config.secret.get_secret_value()
    guest = customer_id(system.config.keys, cafe.cafe_id, f"+98{words.number}")
    await demo.thank_at_once(system.config, cafe)
    await bills(system, cafe, till, words)
    await eventually(pools["visit"], "SELECT count(*) FROM customer_visits WHERE customer_id = $1", guest, wanted=3)
    await eventually(pools["visit"], "SELECT count(*) FROM crm.parked WHERE guests @> ARRAY[$1::uuid]", guest, wanted=4)
    await eventually(pools["customer"], "SELECT count(*) FROM customers WHERE id = $1", guest, wanted=1)
    await eventually(
        pools["loyalty"], "SELECT current_points > 100 FROM customer_loyalty WHERE customer_id = $1", guest, wanted=True
    )
    async with httpx2.AsyncClient(timeout=10) as client, asyncio.timeout(30):
        while not (texts := await _texts_to(client, system, words)):
            await asyncio.sleep(0.1)
    link = LINK.search(" ".join(texts))
    assert link is not None
    words._of["link"] = link[0]
    await rate(words)
    await reply(system, words)
    await desk(system, cafe, owner, words, guest)
    await at_rest(pools)

    before = {name: words.found_in(with_opened(await database(system, name), secret)) for name in WITH_DATABASE}
    assert {"h item", "correction", "void", "h value", "bad1 notes", "broken"} <= set(before["visit"])
    assert {"name", "email", "address", "preferred"} <= set(before["customer"])
    assert {"comment", "answer", "case", "entry reference"} <= set(before["feedback"])
    assert {"adjustment", "adjustment reference", "redemption"} <= set(before["loyalty"])
    assert words.number in before["campaign"]
    assert words.found_in(await kept_for_ever(system)) == []
    assert words.found_in(await told(system)) == []

    gone = await owner.delete(f"{system.api('customer')}/cafes/{cafe.cafe_id}/customers/{guest}")
    assert gone.status_code == 204, gone.text
    await eventually(
        pools["visit"], "SELECT count(*) FROM customer_visits WHERE customer_id = $1 AND forgotten_at IS NULL", guest,
        wanted=0,
    )  # fmt: skip
    await eventually(pools["campaign"], "SELECT erased_at IS NOT NULL FROM contacts WHERE customer_id = $1", guest,
                     wanted=True)  # fmt: skip
    await eventually(pools["feedback"], "SELECT count(*) FROM erased_guests WHERE customer_id = $1", guest, wanted=1)
    await eventually(pools["loyalty"], "SELECT count(*) FROM adjustments WHERE customer_id = $1 AND reason IS NOT NULL",
                     guest, wanted=0)  # fmt: skip
    # What comes late brings nothing back.
    late = full_bill(words, "late", "plain", occurred_at=(datetime.now(UTC) - timedelta(minutes=2)).isoformat())
    answer = await till.post(f"{system.api('visit')}/visits", json=late)
    assert (answer.status_code, answer.json()["customer_id"]) == (201, None)
    change = full_bill(words, "k", "plain", corrected_at=datetime.now(UTC).isoformat(), total="80000")
    assert (await till.post(f"{system.api('visit')}/visits/corrections", json=change)).status_code == 200
    await at_rest(pools)
    after = {name: words.found_in(with_opened(await database(system, name), secret)) for name in WITH_DATABASE}
    assert not any(after.values()), after
    assert words.found_in(with_opened(await kept_for_ever(system), secret)) == []
    assert words.found_in(await told(system)) == []
    # Sums stay, and the guest is back with a new bill.
    assert (
        await pools["visit"].fetchval(
            "SELECT sum(final_amount)::int FROM customer_visits WHERE customer_id = $1 AND voided_at IS NULL", guest
        )
        == 90_000 + 80_000
    )
    new = full_bill(words, "new", "plain", occurred_at=(datetime.now(UTC) + timedelta(seconds=5)).isoformat())
    assert (await till.post(f"{system.api('visit')}/visits", json=new)).json()["customer_id"] == str(guest)
    await eventually(
        pools["customer"], "SELECT name FROM customers WHERE id = $1", guest, wanted=words["new guest_name"]
    )


async def _texts_to(client: httpx2.AsyncClient, system: System, words: Words) -> list[str]:
    sent = (await client.get(f"{system.config.sms_endpoint}/control/messages")).raise_for_status().json()
    return [each["message"] for each in sent if words.number in json.dumps(each) and LINK.search(each["message"])]
