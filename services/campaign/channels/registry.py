"""Every adapter that messages can leave by."""

from collections.abc import Callable, Mapping
from typing import Final

import httpx2

from services.campaign.channels.kavenegar.adapter import NAME, Kavenegar, receipt_of
from services.campaign.channels.models.values import Credentials
from services.campaign.channels.protocol import SmsProvider

Adapter = Callable[[Credentials, httpx2.AsyncClient], SmsProvider]
# Another provider is a module beside `kavenegar`, and a line here.
ADAPTERS: Final[Mapping[str, Adapter]] = {NAME: Kavenegar}
# A key travels to its provider and to nobody else, so addresses are not free text.
ENDPOINTS: Final[Mapping[str, str]] = {NAME: "https://api.kavenegar.com"}
# Whose the installation's own account is.
INSTALLATION_PROVIDER: Final = NAME
RECEIPTS: Final = {NAME: receipt_of}
