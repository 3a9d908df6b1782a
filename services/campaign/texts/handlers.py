"""What staff do with the library of texts."""

from typing import Any
from uuid import UUID

from services.campaign.texts import store as texts_store
from services.campaign.texts.models.http import WriteTemplate
from services.campaign.texts.rules.template import EVERY_VARIABLE
from services.campaign.texts.rules.wording import Wording, check_text, require_channel, warnings_of
from shared.clock import new_id, now
from shared.database.db import Connection
from shared.errors import NotFound


async def list_templates(conn: Connection, cafe_id: UUID) -> list[dict[str, Any]]:
    """The cafe's library of texts, each with what is odd about it."""
    return [
        row | {"warnings": warnings_of(row["content"], row["variables"], EVERY_VARIABLE)}
        for row in await texts_store.list_templates(conn, cafe_id)
    ]


async def add_template(conn: Connection, cafe_id: UUID, body: WriteTemplate) -> UUID:
    """Adds a text to the library.

    Raises `Rejected` for a channel that nothing sends on yet, and a text with a variable that no message knows or that
    may be missing without a fallback.
    """
    template_id, text = new_id(), _checked(body)
    await texts_store.insert_template(
        conn, cafe_id, template_id, body.name, body.template_type, text.content, text.fallbacks, body.category, now()
    )
    return template_id


async def replace_template(conn: Connection, cafe_id: UUID, template_id: UUID, body: WriteTemplate) -> None:
    """Replaces a text of the cafe's own.

    Raises `NotFound` (also for the system's texts), and `Rejected` as `add_template`.
    """
    text = _checked(body)
    if not await texts_store.update_template(
        conn, cafe_id, template_id, body.name, body.template_type, text.content, text.fallbacks, body.category
    ):
        raise NotFound("template", "این متن")


async def remove_template(conn: Connection, cafe_id: UUID, template_id: UUID) -> None:
    """Removes a text of the cafe's own.

    Raises `NotFound` (also for the system's texts).
    """
    if not await texts_store.delete_template(conn, cafe_id, template_id):
        raise NotFound("template", "این متن")


def _checked(body: WriteTemplate) -> Wording:
    require_channel(body.template_type)
    return check_text(body.content, body.variables, EVERY_VARIABLE, ("content", "variables"))
