"""What a text would be as a message: rendered for somebody made up, with its parts and its cost."""

from typing import Any, Final
from uuid import UUID

from services.campaign.channels import store as channels_store
from services.campaign.channels.handlers.accounts import account_to_send_by
from services.campaign.channels.registry import render
from services.campaign.messages.models.http import AskWording
from services.campaign.messages.store import cafes
from services.campaign.texts.rules import template
from services.campaign.texts.rules.wording import check_text, warnings_of
from shared.clock import now
from shared.database.db import Connection
from shared.security.guest_links import guest_page_address
from shared.security.ids import feedback_address
from shared.settings import Settings

# A name as long as most are, and the numbers of a table and of stars.
_SOMEBODY: Final = {"name": "سارا", "rating": "۲", "table": "۴"}


async def wording(conn: Connection, config: Settings, cafe_id: UUID, asked: AskWording) -> dict[str, Any]:
    """The text to one guest, how many parts the operator bills and what that costs by the account that would send now.

    Raises `Rejected` for a text that could not be saved, each fault with its field.
    """
    allowed = template.VARIABLES[asked.trigger] if asked.trigger else template.EVERY_VARIABLE
    checked = check_text(asked.content, asked.variables, allowed, ("content", "variables"))
    rules = (await cafes.cafe_rules(conn, [cafe_id])).get(cafe_id)
    # Links as long as a guest's own.
    link = feedback_address(config.keys, config.public_url, cafe_id, cafe_id)
    page = guest_page_address(config.keys, config.guest_page_url, cafe_id, cafe_id, now())
    values = {**_SOMEBODY, "cafe": rules.name if rules else None, "link": link, "page": page}
    text = template.with_stop_line(template.render(checked.content, values, checked.fallbacks), asked.purpose)
    account = account_to_send_by(await channels_store.of_cafe(conn, cafe_id), config, now())
    rendered = render("sms", text, account)
    return {
        "text": text.replace(link, _cut(link)).replace(page, _cut(page)),
        "characters": len(text),
        "parts": rendered.parts,
        "cost": rendered.cost,
        "currency_unit": "IRR",
        "warnings": warnings_of(checked.content, checked.fallbacks, allowed),
    }


def _cut(link: str) -> str:
    """Nobody should try it: it leads nowhere."""
    return f"{link.rpartition('/')[0]}/…"
