"""The bill that end-to-end tests send."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.clock import new_id


def a_phone() -> str:
    """A number that no other test has, as somebody types it in Persian digits: what is sent to it is this test's."""
    digits = f"0912{new_id().int % 10**7:07}".translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"))
    return f"{digits[:4]} {digits[4:7]} {digits[7:]}"


def bill(receipt: str, **changes: Any) -> dict[str, Any]:
    """A bill of 120,000 Toman a minute ago, of a guest whom no other bill has unless `changes` name the phone."""
    return {
        "device_id": "till-1",
        "receipt_number": receipt,
        "phone": a_phone(),
        "guest_name": "سارا",
        "occurred_at": (datetime.now(UTC) - timedelta(minutes=1)).isoformat(),
        "items": [{"name": "قهوه ترک", "quantity": 2, "amount": "120000"}],
        "total": "120000",
        "discount": "0",
        "currency_unit": "IRT",
        "payment_method": "card",
    } | changes
