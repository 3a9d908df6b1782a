"""Every adapter that messages can leave by. Another one is a folder beside `kavenegar`, and a line here."""

from collections.abc import Mapping
from typing import Final

from services.campaign.audience.models.values import Contact
from services.campaign.channels.kavenegar.adapter import Kavenegar
from services.campaign.channels.models.values import Provider, Rendered
from services.campaign.channels.protocol import Adapter
from shared.consent import Channel

ADAPTERS: Final[Mapping[str, type[Adapter]]] = {
    Kavenegar.name: Kavenegar,
}
# Whose the installation's own account is.
OF_INSTALLATION: Final[type[Adapter]] = Kavenegar


def address_of(channel: Channel, contact: Contact) -> str | None:
    """Where that channel reaches this guest; None: nowhere."""
    return _of_channel(channel).address_of(contact)


def render(channel: Channel, text: str, account: Provider | None = None) -> Rendered:
    """In how many parts the text is billed on that channel, and what that is expected to cost by the account."""
    return _of_channel(channel).render(text, account)


def _of_channel(channel: Channel) -> type[Adapter]:
    # Addresses and parts are the channel's, whichever of its providers is asked.
    return next(adapter for adapter in ADAPTERS.values() if adapter.channel == channel)
