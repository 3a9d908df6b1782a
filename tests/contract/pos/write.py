"""Writes the till's contract as JSON Schema, and examples of records with the signatures that a till would put on them.

`python -m tests.contract.pos.write`. Released examples are never rewritten: they must be taken for ever.
"""

import json
from pathlib import Path
from typing import Any

from shared.events import pos
from shared.security import ids

HERE = Path(__file__).parent
# A key that exists nowhere: implementers check their signatures with it.
API_KEY = "crm_EXAMPLEkey22_ThisSecretIsPublicAndOnlyForTryingSignature"

VISIT: dict[str, Any] = {
    "device_id": "till-1",
    "device_sequence": 4711,
    "receipt_number": "20260321-17",
    "branch": "VANAK",
    "phone": "۰۹۱۲ ۳۴۵ ۶۷۸۹",
    "guest_name": "مریم احمدی",
    "marketing_consent": True,
    "occurred_at": "2026-03-21T18:30:00+03:30",
    "items": [
        {"name": "قهوه ترک", "quantity": 2, "amount": "120000", "sku": "C-12", "category": "گرم"},
        {"name": "کیک روز", "quantity": 1, "amount": "65000"},
    ],
    "total": "185000",
    "discount": "5000",
    "currency_unit": "IRT",
    "payment_method": "card",
    "table_number": "7",
    "server_name": "سارا",
    "service_duration": 45,
    "attributes": {"channel": "dine-in"},
}
RECEIPT = {"device_id": "till-1", "receipt_number": "20260321-17"}
EXAMPLES: dict[str, tuple[str, dict[str, Any]]] = {
    "visit": ("pos.visit_recorded", VISIT),
    "visit_of_an_unknown_guest": (
        "pos.visit_recorded",
        {
            "device_id": "till-1",
            "receipt_number": "20260321-18",
            "occurred_at": "2026-03-21T15:05:00Z",
            "items": {"total_items": 3, "items": []},
            "total": 2450000.5,
            "currency_unit": "IRR",
        },
    ),
    "visit_with_points": (
        "pos.visit_recorded",
        {
            "device_id": "till-1",
            "receipt_number": "20260321-19",
            "phone": "+989123456789",
            "occurred_at": "2026-03-21T19:00:00+03:30",
            "total": "90000",
            "currency_unit": "IRT",
            "payment_method": "mixed",
            "points_to_redeem": 50,
            "redemption_id": "01890a5d-ac96-774b-bcce-b302099a8057",
        },
    ),
    "correction": (
        "pos.visit_corrected",
        VISIT | {"device_sequence": 4712, "total": "165000", "corrected_at": "2026-03-21T18:40:00+03:30"},
    ),
    "void": (
        "pos.visit_voided",
        RECEIPT | {"device_sequence": 4713, "voided_at": "2026-03-21T18:50:00+03:30", "reason": "سفارش پس گرفته شد"},
    ),
    "visit_whose_guest_was_asked": (
        "pos.visit_recorded",
        {
            "device_id": "till-1",
            "receipt_number": "20260321-20",
            "phone": "09123456789",
            "marketing_consent": True,
            "consent_asked_at": "2026-03-21T19:10:00+03:30",
            "occurred_at": "2026-03-21T19:11:00+03:30",
            "total": "90000",
            "currency_unit": "IRT",
        },
    ),
}


def example(number: int, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """One record: the body as the text whose UTF-8 bytes are signed, and its headers."""
    key = ids.parse_api_key(API_KEY)
    assert key is not None
    text = json.dumps(body, ensure_ascii=False)
    event_id = f"00000000-0000-7000-8000-{number:012}"
    headers = {
        "ce_id": event_id,
        "ce_type": kind,
        "pos_key_id": key.key_id,
        "pos_signature": ids.sign(ids.signing_key(key.secret), event_id, kind, text.encode()),
    }
    return {"api_key": API_KEY, "topic": "pos.visits", "key": body["device_id"], "headers": headers, "body": text}


def main() -> None:
    """Writes the schemas anew and the examples that are missing."""
    for kind, model in pos.BODIES.items():
        schema = json.dumps(model.model_json_schema(), indent=1, ensure_ascii=False, sort_keys=True)
        (HERE / f"{kind}.schema.json").write_text(schema + "\n")
    for number, (name, (kind, body)) in enumerate(EXAMPLES.items(), 1):
        path = HERE / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(example(number, kind, body), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
