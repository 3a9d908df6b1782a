"""A till, written from the published contract alone: it knows the wire format and its own key, no service."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from aiokafka import AIOKafkaProducer

from deploy.demo.dataset import Basket, Line

IN_FLIGHT = 2_000


def phone_of(household_id: int) -> str:
    """The guest's number as a cashier types it: Persian digits now and then, spaces now and then."""
    number = f"0999{household_id:07d}"
    if household_id % 3 == 0:
        return number.translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"))
    if household_id % 3 == 1:
        return f"+98 {number[1:4]} {number[4:7]} {number[7:]}"
    return number


def visit_body(basket: Basket) -> dict[str, Any]:
    """The contract's body of one visit."""
    named = {"guest_name": basket.guest_name} if basket.guest_name else {}
    return named | {
        "device_id": f"till-{basket.store_id}",
        "receipt_number": str(basket.basket_id),
        "phone": phone_of(basket.household_id),
        "marketing_consent": basket.household_id % 10 < 8,
        "occurred_at": basket.at.isoformat(),
        "items": [_item(line) for line in basket.lines],
        "total": str(basket.total),
        "discount": str(basket.discount),
        "currency_unit": "IRT",
        "payment_method": "card",
    }


def _item(line: Line) -> dict[str, Any]:
    item = {"name": line.name, "quantity": line.quantity, "amount": str(line.amount)}
    return item | {"category": line.category} if line.category else item


def event_id(basket: Basket) -> str:
    """Made by the till once per receipt, so that sending again is recognised."""
    return str(uuid5(NAMESPACE_URL, f"urn:till:{basket.store_id}:{basket.basket_id}"))


def signed_headers(api_key: str, visit_id: str, kind: str, body: bytes) -> list[tuple[str, bytes]]:
    """Headers of a record on `pos.visits`: who, what, and the signature over id, type and body."""
    _, key_id, secret = api_key.split("_", 2)
    mac = hmac.new(_signing_key(secret), f"{visit_id}.{kind}.".encode() + body, hashlib.sha256).digest()
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", visit_id.encode()),
        ("ce_type", kind.encode()),
        ("pos_key_id", key_id.encode()),
        ("pos_signature", b"v1," + base64.b64encode(mac)),
    ]


def _signing_key(secret: str) -> bytes:
    # HKDF-SHA256 (RFC 5869) without salt, info "pos-signing", one block.
    extracted = hmac.new(bytes(32), secret.encode(), hashlib.sha256).digest()
    return hmac.new(extracted, b"pos-signing\x01", hashlib.sha256).digest()


@asynccontextmanager
async def producer(kafka_servers: str) -> AsyncIterator[AIOKafkaProducer]:
    """A started producer that loses nothing it was told is taken."""
    client = AIOKafkaProducer(bootstrap_servers=kafka_servers, enable_idempotence=True, linger_ms=5)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def publish(
    client: AIOKafkaProducer, topic: str, api_key: str, baskets: Iterable[Basket], *, per_second: float | None = None
) -> AsyncIterator[int]:
    """Publishes each basket as one signed visit; yields how many the broker has confirmed."""
    waiting: list[asyncio.Future[Any]] = []
    sent, started = 0, asyncio.get_running_loop().time()
    for basket in baskets:
        body = json.dumps(visit_body(basket), ensure_ascii=False).encode()
        visit_id = event_id(basket)
        headers = signed_headers(api_key, visit_id, "pos.visit_recorded", body)
        waiting.append(await client.send(topic, body, key=f"till-{basket.store_id}".encode(), headers=headers))
        if per_second:
            due = started + (sent + len(waiting)) / per_second
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        if len(waiting) >= IN_FLIGHT or per_second:
            await asyncio.gather(*waiting)
            sent += len(waiting)
            waiting = []
            yield sent
    await asyncio.gather(*waiting)
    yield sent + len(waiting)
