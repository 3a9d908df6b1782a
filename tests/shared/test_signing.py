"""Who reaches the broker can add nothing to our topics, change nothing in them and move nothing between them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import new_id, now
from shared.events.identity import AccessGranted
from shared.events.registry import BY_TYPE
from shared.messaging.signing import FORGED, HEADER, UNSIGNED, Doorkeeper, number_of, publisher_of, signature
from shared.messaging.topics import TOPICS
from shared.security.crypto import Keys
from shared.services import SERVICES
from shared.settings import settings
from tests.shared.records import CAFE, FakeRecord, record_of, signed, visit
from tests.support import SECRET

OLDER, NEWER = "an-older-secret-" + "o" * 32, "a-newer-secret-" + "n" * 32


def fault_of(record: FakeRecord, keys: Keys | None = None, **setting: object) -> str | None:
    headers = dict(record.headers)
    kind = (headers.get("ce_type") or b"").decode("utf-8", "replace")
    doorkeeper = Doorkeeper(keys or settings().keys, setting.get("until"))  # type: ignore[arg-type]
    found = doorkeeper.fault(record.topic, record, headers, BY_TYPE.get(kind), live=bool(setting.get("live", True)))
    return found.code if found else None


def changed(record: FakeRecord, name: str, value: bytes) -> FakeRecord:
    return replace(record, headers=[(each, value if each == name else old) for each, old in record.headers])


def test_record_as_its_publisher_signed_it_is_let_in() -> None:
    assert fault_of(record_of(visit())) is None
    assert fault_of(signed(FakeRecord("customer.profiles", None))) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda record: replace(record, value=record.value + b" "),
        lambda record: replace(record, value=b""),
        lambda record: replace(record, value=None),
        lambda record: replace(record, key=str(new_id()).encode()),
        lambda record: replace(record, key=None),
        lambda record: replace(record, topic="loyalty.events"),
        lambda record: replace(record, topic="visit.contacts"),
        lambda record: changed(record, "ce_type", b"visit.voided"),
        lambda record: changed(record, "ce_id", str(new_id()).encode()),
        lambda record: changed(record, "ce_cafeid", str(new_id()).encode()),
        lambda record: changed(record, HEADER, dict(record.headers)[HEADER].replace(b".1.", b".2.")),
        lambda record: changed(record, HEADER, dict(record.headers)[HEADER][:-1]),
        lambda record: changed(record, HEADER, b""),
        lambda record: changed(record, HEADER, b"\xff\x00"),
        lambda record: replace(record, headers=[*record.headers, (HEADER, b"x" * 60)]),
        lambda record: replace(record, headers=[*record.headers, ("ce_type", b"visit.voided")]),
    ],
)
def test_record_of_which_anything_was_changed_or_moved_is_forged(change: Callable[[FakeRecord], FakeRecord]) -> None:
    assert fault_of(change(record_of(visit()))) == FORGED


@given(st.lists(st.binary(max_size=8), min_size=4, max_size=4), st.integers(0, 3), st.integers(1, 8))
def test_bytes_can_not_wander_from_one_field_into_the_next(parts: list[bytes], place: int, count: int) -> None:
    def mac(fields: list[bytes]) -> bytes:
        headers = [("ce_type", fields[1]), ("ce_id", fields[2])]
        return signature(settings().keys, "visit.events", fields[0], headers, fields[3], 1)

    moved = list(parts)
    following = (place + 1) % len(parts)
    moved[place], moved[following] = parts[place][:-count], parts[place][-count:] + parts[following]
    assert (mac(moved) == mac(parts)) == (moved == parts)


def test_each_service_signs_for_its_own_topics_only() -> None:
    granted = AccessGranted(cafe_id=CAFE, occurred_at=now(), user_id=new_id(), role="owner", version=999_999)
    by_visit = signed(replace(record_of(granted), topic="visit.events", headers=record_of(granted).headers[:-1]))
    assert fault_of(by_visit) == FORGED
    assert fault_of(replace(by_visit, topic="identity.events")) == FORGED
    internal = [topic.name for topic in TOPICS if not topic.open_to_others]
    assert {publisher_of(topic) for topic in internal} <= set(SERVICES)
    assert {event.topic for event in BY_TYPE.values()} <= set(internal)
    keys = settings().keys
    assert len({signature(keys, topic, b"k", [], b"{}", 1) for topic in internal}) == len(internal)


def test_signature_of_an_earlier_secret_holds_and_an_unknown_one_does_not() -> None:
    old, new, both = Keys.from_secret(OLDER), Keys.from_secret(NEWER), Keys.from_secret(NEWER, OLDER)
    unsigned = replace(record_of(visit()), headers=record_of(visit()).headers[:-1])
    by_old = replace(unsigned, headers=[*unsigned.headers, (HEADER, _signed(old, unsigned))])
    by_new = replace(unsigned, headers=[*unsigned.headers, (HEADER, _signed(both, unsigned))])
    assert [fault_of(by_old, keys) for keys in (old, both, new)] == [None, None, FORGED]
    assert [fault_of(by_new, keys) for keys in (new, both, old)] == [None, None, FORGED]
    # While secrets change, those that still sign with the old one already know the new one.
    assert fault_of(by_new, Keys.from_secret(OLDER, f"{NEWER},{OLDER}")) is None


def _signed(keys: Keys, record: FakeRecord) -> bytes:
    return signature(keys, record.topic, record.key or b"", list(record.headers), record.value, 7)


def test_unsigned_record_is_let_in_only_until_the_set_moment_by_the_broker_s_clock_and_ours() -> None:
    record = replace(record_of(visit()), headers=record_of(visit()).headers[:-1])
    soon, ago = now() + timedelta(minutes=1), now() - timedelta(minutes=1)
    old = replace(record, timestamp=record.timestamp - 3_600_000)
    assert fault_of(record) == UNSIGNED
    assert fault_of(record, until=soon) is None
    assert fault_of(old, until=ago) == UNSIGNED
    assert fault_of(old, until=ago, live=False) is None
    assert fault_of(record, until=ago, live=False) == UNSIGNED
    assert fault_of(changed(record_of(visit()), HEADER, b""), until=soon) == FORGED


def test_number_of_the_outbox_row_is_believed_only_with_its_signature() -> None:
    keys = Keys.from_secret(SECRET)
    record = signed(FakeRecord("visit.events", b"{}"), number=41)
    assert number_of(keys, "visit.events", record) == 41
    forged = changed(record, HEADER, dict(record.headers)[HEADER].replace(b".41.", b".99."))
    assert number_of(keys, "visit.events", forged) is None
    assert number_of(keys, "visit.events", FakeRecord("visit.events", b"{}")) is None
