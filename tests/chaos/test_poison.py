"""The scenarios of poison in seconds: a share of the list, mutated bodies, and one guest whose every record fails."""

import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.events import pos
from tests.chaos import fuzz, poison, poisoned_key
from tests.chaos.payloads import Payload
from tests.shared.records import CAFE, FakeRecord
from tests.support import Databases, Kafka

SEED = 5
SHARE = 0.02


@pytest.mark.parametrize("service", ["customer", "visit", "loyalty", "campaign", "feedback"])
async def test_bad_records_end_as_they_must_and_good_ones_beside_them_have_their_effect(
    service: str, database: Databases
) -> None:
    eaten = await poison.feed(service, await database(service), random.Random(SEED), share=SHARE)
    assert eaten.fates["good"] > 50
    assert eaten.fates["parked"] > 50
    assert {"undecodable", "no_type"} <= set(eaten.reasons)


@pytest.mark.parametrize(
    ("payload", "parked", "taken", "right"),
    [
        (Payload("x", FakeRecord("t", b""), "parked"), True, False, True),
        (Payload("x", FakeRecord("t", b""), "parked"), False, False, False),
        (Payload("x", FakeRecord("t", b""), "passed_over", CAFE), False, True, False),
        (Payload("x", FakeRecord("t", b""), "taken", CAFE), False, False, False),
        (Payload("x", FakeRecord("t", b""), "judged", CAFE), True, True, False),
        (Payload("x", FakeRecord("t", b""), "judged", CAFE), False, False, False),
        (Payload("x", FakeRecord("t", b""), "judged", CAFE), False, True, True),
    ],
)
def test_end_of_a_payload_is_judged(payload: Payload, parked: bool, taken: bool, right: bool) -> None:
    assert (not poison.wrong_end(payload, parked, CAFE, {CAFE} if taken else set())) is right


def test_only_documented_errors_come_out_of_the_decoders() -> None:
    ends = fuzz.fuzz(random.Random(SEED), 4_000)
    assert min(ends["refused"], ends["taken"]) > 100


def test_fuzzer_finds_a_number_that_only_one_exponent_in_a_thousand_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    careless: Callable[..., Any] = msgspec.json.Decoder(float_hook=Decimal).decode
    monkeypatch.setattr(pos, "_json", type("Careless", (), {"decode": staticmethod(careless)}))
    with pytest.raises(AssertionError, match="InvalidOperation"):
        fuzz.fuzz(random.Random(SEED), 40_000)


async def test_one_poisoned_key_holds_up_nobody_else(kafka: Kafka, database: Databases, tmp_path: Path) -> None:
    pool = await database(poisoned_key.SERVICE)
    clean, spoiled = await poisoned_key.measure(tmp_path, kafka.config, pool, 3.0, tries=4)
    words = poisoned_key.told(clean, spoiled)
    # Against the same worker without poison, and in the middle: the slowest of both only tell what else runs here. The
    # goal itself is held by the scenario.
    assert spoiled.median - clean.median < poisoned_key.LAG_GOAL_SECONDS, words
    assert spoiled.cpu - clean.cpu < poisoned_key.CPU_GOAL, words
