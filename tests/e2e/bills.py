"""The bill that end-to-end tests send."""

from datetime import UTC, datetime, timedelta
from typing import Any

PHONE = "۰۹۱۲ ۱۱۱ ۲۲۳۳"


def bill(receipt: str, **changes: Any) -> dict[str, Any]:
    """A bill of 120,000 Toman a minute ago."""
    return {
        "device_id": "till-1",
        "receipt_number": receipt,
        "phone": PHONE,
        "guest_name": "سارا",
        "occurred_at": (datetime.now(UTC) - timedelta(minutes=1)).isoformat(),
        "items": [{"name": "قهوه ترک", "quantity": 2, "amount": "120000"}],
        "total": "120000",
        "discount": "0",
        "currency_unit": "IRT",
        "payment_method": "card",
    } | changes
