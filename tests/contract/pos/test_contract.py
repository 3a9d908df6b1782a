"""The till's contract: what was ever released is still taken, and what is refused says what to do."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.clock import now
from shared.events import pos
from shared.web.validation_errors import problems_of
from tests.contract.compatible import breaking_changes
from tests.contract.pos.write import RECEIPT, VISIT

HERE = Path(__file__).parent
EXAMPLES = [path for path in sorted(HERE.glob("*.json")) if not path.name.endswith(".schema.json")]


def schema_of(kind: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((HERE / f"{kind}.schema.json").read_text())
    return loaded


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_signed_as_the_contract_says_and_still_read(path: Path) -> None:
    record = json.loads(path.read_text())
    headers, body = record["headers"], record["body"].encode()
    secret = record["api_key"].split("_", 2)[2]
    # Written out, so that the words of the contract are tested and not our own functions.
    extracted = hmac.digest(bytes(32), secret.encode(), hashlib.sha256)
    key = hmac.digest(extracted, b"pos-signing\x01", hashlib.sha256)
    signed = f"{headers['ce_id']}.{headers['ce_type']}.".encode() + body
    mac = hmac.digest(key, signed, hashlib.sha256)
    assert headers["pos_signature"] == "v1," + base64.b64encode(mac).decode()
    kind = headers["ce_type"]
    assert pos.read(pos.BODIES[kind], body).device_id == record["key"]
    jsonschema.validate(json.loads(body), schema_of(kind))


@pytest.mark.parametrize("kind", pos.BODIES)
def test_schema_is_committed_and_only_grows(kind: str) -> None:
    committed = schema_of(kind)
    current = json.loads(json.dumps(pos.BODIES[kind].model_json_schema(), sort_keys=True))
    assert not breaking_changes(_definitions(committed), _definitions(current))
    assert committed == current, "only additions: run python -m tests.contract.pos.write"


def _definitions(schema: dict[str, Any]) -> dict[str, Any]:
    return {"$defs": schema.get("$defs", {}) | {"body": schema}}


def visit(**changes: Any) -> bytes:
    body = VISIT | changes
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


def problems(body: bytes, model: Any = pos.PosVisit) -> dict[str, str]:
    """Faulty field -> code; every fault has words in both languages that do not quote the body."""
    with pytest.raises(ValidationError) as caught:
        pos.read(model, body)
    found = problems_of(caught.value.errors(include_input=False))
    assert all(problem.en and problem.fa != "مقدار درست نیست" for problem in found)
    return {problem.field: problem.code for problem in found}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("total", -1, "negative"),
        ("total", "12,000", "exact_number"),
        ("total", "1e5", "exact_number"),
        ("total", True, "exact_number"),
        ("total", None, "exact_number"),
        ("total", "NaN", "exact_number"),
        ("total", "1.234", "two_decimals"),
        ("total", 10**12 + 1, "too_large"),
        ("total", "1000000000000.01", "too_large"),
        ("total", "9999999999999999", "too_large"),
        ("total", 10**16, "too_large"),
        ("items.0.amount", [{"name": "x", "amount": 10**12 + 1}], "too_large"),
        ("items.1.amount", [{"name": "x"}, {"name": "y", "amount": -(10**12) - 1}], "too_large"),
        ("points_to_redeem", 10**9 + 1, "less_than_equal"),
        ("total", "9" * 30, "too_large"),
        ("total", ..., "missing"),
        ("discount", "185001", "discount_above_total"),
        ("discount", "-1", "negative"),
        ("currency_unit", "USD", "literal_error"),
        ("currency_unit", ..., "missing"),
        ("payment_method", "cheque", "literal_error"),
        ("phone", "0912", "phone"),
        ("phone", "مریم", "phone"),
        ("phone", True, "phone"),
        ("phone", ["09123456789"], "phone"),
        ("occurred_at", 1774105200, "moment"),
        ("occurred_at", "1774105200", "moment"),
        ("occurred_at", "2026-03-21", "moment"),
        ("occurred_at", "2026-03-21T18:30:00", "timezone_aware"),
        ("occurred_at", "1405-01-01T18:30:00+03:30", "too_early"),
        ("occurred_at", "0001-01-01T00:00:00+14:00", "too_early"),
        ("occurred_at", "9999-12-31T23:59:59-14:00", "in_the_future"),
        ("device_id", "", "string_too_short"),
        ("device_id", "till\u0000", "control_character"),
        ("device_id", "till\u200f1", "control_character"),
        ("device_id", "staff:1", "reserved_device"),
        ("device_id", 7, "string_type"),
        ("receipt_number", "x" * 65, "string_too_long"),
        ("receipt_number", "1\n2", "control_character"),
        ("device_sequence", -1, "greater_than_equal"),
        ("device_sequence", "5", "int_type"),
        ("device_sequence", 2**63, "less_than_equal"),
        ("marketing_consent", "yes", "bool_type"),
        ("points_to_redeem", -1, "greater_than_equal"),
        ("points_to_redeem", 1.5, "int_type"),
        ("redemption_id", "1", "uuid_parsing"),
        ("table_number", "x" * 11, "string_too_long"),
        ("server_name", "x" * 101, "string_too_long"),
        ("service_duration", -5, "greater_than_equal"),
        ("notes", "x" * 2001, "string_too_long"),
        ("items", "coffee", "list_type"),
        ("items", [{"name": "x"}] * 501, "too_long"),
        ("items.0.name", [{"name": "\u0001"}], "blank"),
        ("items.0.quantity", [{"name": "x", "quantity": 0}], "quantity"),
        ("items.0.quantity", [{"name": "x", "quantity": "0.0001"}], "quantity"),
        ("items.0.price", [{"name": "x", "price": 1}], "extra_forbidden"),
        ("items.0", ["coffee"], "model_type"),
        ("body", {"total_items": 1, "lines": []}, "items_shape"),
        ("attributes", [], "object"),
        ("attributes", {"a": 2**64}, "free_value"),
        ("attributes", {"a": {"b": {"c": {"d": {"e": [1]}}}}}, "free_value"),
        ("attributes", {"a": "x" * 8192}, "too_large"),
        ("cafe_id", "01890a5d-ac96-774b-bcce-b302099a8057", "extra_forbidden"),
    ],
)
def test_fault_is_named_with_its_field(field: str, value: Any, code: str) -> None:
    assert problems(visit(**{field.partition(".")[0] if field != "body" else "items": value})) == {field: code}


def test_who_was_asked_has_answered() -> None:
    asked = "2026-03-21T18:29:00+03:30"
    assert problems(visit(consent_asked_at=asked, marketing_consent=...)) == {
        "consent_asked_at": "asked_without_answer"
    }
    assert problems(visit(consent_asked_at="soon")) == {"consent_asked_at": "moment"}


def test_points_need_a_guest() -> None:
    assert problems(visit(points_to_redeem=5, phone=...)) == {"points_to_redeem": "points_without_guest"}


def test_all_faults_are_named_at_once() -> None:
    assert set(problems(visit(total="x", phone="1", receipt_number=...))) == {"total", "phone", "receipt_number"}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 10_000, b'{"total": ' + b"9" * 10_000 + b"}"])
def test_bytes_that_are_no_json_are_one_fault(body: bytes) -> None:
    assert problems(body) == {"body": "json_invalid"}


@pytest.mark.parametrize("exponent", [b"1e9999999999999999999", b"-1e9999999999999999999", b"1e-9999999999999999999"])
def test_exponent_beyond_all_bounds_is_a_fault_of_its_field(exponent: bytes) -> None:
    assert problems(visit(total="@").replace(b'"@"', exponent)) == {"total": "exact_number"}
    assert problems(visit(attributes={"a": "@"}).replace(b'"@"', exponent)) == {"attributes": "free_value"}


def test_lone_surrogates_never_reach_the_database() -> None:
    problems(visit().replace(b'"till-1"', b'"\\ud800"'))


def test_till_may_be_a_day_ahead_and_no_more() -> None:
    pos.read(pos.PosVisit, visit(occurred_at=(now() + timedelta(hours=23)).isoformat()))
    assert problems(visit(occurred_at=(now() + timedelta(hours=25)).isoformat())) == {"occurred_at": "in_the_future"}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"185000", "185000.00"),
        (b"185000.5", "185000.50"),
        (b'"185000.50"', "185000.50"),
        ('"۱۸۵۰۰۰٫۵"'.encode(), "185000.50"),
        (b"0.1", "0.10"),
        (b"1.85e5", "185000.00"),
        (b"999999999999.99", "999999999999.99"),
        (b"1000000000000", "1000000000000.00"),
        (b"-0.0", "0.00"),
    ],
)
def test_money_is_read_digit_by_digit(written: bytes, read: str) -> None:
    body = visit(discount=...).replace(b'"total": "185000"', b'"total": ' + written)
    total = pos.read(pos.PosVisit, body).total
    assert (total, str(total)) == (Decimal(read), read)


@pytest.mark.parametrize(("unit", "most"), [("IRT", 10**12), ("IRR", 10**13)])
def test_unit_of_the_bill_decides_how_much_is_too_much(unit: str, most: int) -> None:
    largest = {"total": most, "discount": most, "currency_unit": unit, "items": [{"name": "x", "amount": -most}]}
    assert pos.read(pos.PosVisit, visit(**largest)).total == most
    for field in ("total", "discount"):
        assert problems(visit(**largest | {field: f"{most}.01"})).keys() <= {"total", "discount"}


@given(st.integers(0, 10**14))
@settings(deadline=None)
def test_any_amount_that_fits_survives_both_ways_of_writing(cents: int) -> None:
    amount = f"{cents // 100}.{cents % 100:02}"
    for written in (amount.encode(), b'"' + amount.encode() + b'"'):
        body = visit(discount=...).replace(b'"total": "185000"', b'"total": ' + written)
        assert pos.read(pos.PosVisit, body).total == Decimal(cents).scaleb(-2)


def test_free_text_is_cleaned_and_identifiers_are_folded() -> None:
    body = pos.read(
        pos.PosVisit,
        visit(
            notes="كنار\u0000 پنجره\u0007", guest_name=" علي ", server_name="  ", receipt_number=" A-۱ ",
            items=[{"name": "چاي\u202e", "category": ""}], attributes={"k\u0000": "v\u0000", "n": 1.5},
        ),
    )  # fmt: skip
    assert (body.notes, body.guest_name, body.server_name) == ("کنار پنجره", "علی", None)
    assert (body.receipt_number, body.items[0].name, body.items[0].category) == ("A-1", "چای", None)
    assert body.attributes == {"k": "v", "n": 1.5}


def test_moments_are_kept_in_utc_and_may_have_persian_digits() -> None:
    body = pos.read(pos.PosVisit, visit(occurred_at="۲۰۲۶-۰۳-۲۱T۱۸:۳۰:۰۰+۰۳:۳۰"))
    assert body.occurred_at == datetime(2026, 3, 21, 15, tzinfo=UTC)


def test_correction_and_void_need_their_moment() -> None:
    assert problems(visit(), pos.PosCorrection) == {"corrected_at": "missing"}
    assert problems(json.dumps(RECEIPT).encode(), pos.PosVoid) == {"voided_at": "missing"}
