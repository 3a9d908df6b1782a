"""What the console asks of the campaign service about what goes out by itself, texts, costs and accounts."""

from datetime import date
from typing import Any
from uuid import UUID

from services.console.models import messages
from services.console.models.session import Access
from services.console.store.upstream import Upstream

SERVICE = "campaign"


async def journeys(up: Upstream, access: Access, cafe_id: UUID) -> tuple[messages.JourneyOfCafe, ...]:
    """What goes out by itself."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/journeys", tuple[messages.JourneyOfCafe, ...])


async def results(up: Upstream, access: Access, cafe_id: UUID) -> tuple[messages.JourneyFigures, ...]:
    """What became of it in the last 30 days."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/journeys/results", tuple[messages.JourneyFigures, ...])


async def change_journey(
    up: Upstream, access: Access, cafe_id: UUID, journey_id: UUID, changes: dict[str, Any]
) -> messages.JourneyOfCafe:
    """Switches it, or asks for another text or budget."""
    path = f"/cafes/{cafe_id}/journeys/{journey_id}"
    return await up.send(access, SERVICE, "PATCH", path, messages.JourneyOfCafe, changes)


async def versions(
    up: Upstream, access: Access, cafe_id: UUID, journey_id: UUID, limit: int
) -> tuple[messages.JourneyVersion, ...]:
    """What a journey said, the newest first."""
    path = f"/cafes/{cafe_id}/journeys/{journey_id}/versions"
    return await up.get(access, SERVICE, path, tuple[messages.JourneyVersion, ...], {"limit": limit})


async def newest(
    up: Upstream, access: Access, cafe_id: UUID, journey_id: UUID, limit: int
) -> tuple[messages.JourneyMessage, ...]:
    """A journey's newest messages."""
    path = f"/cafes/{cafe_id}/journeys/{journey_id}/messages"
    return await up.get(access, SERVICE, path, tuple[messages.JourneyMessage, ...], {"limit": limit})


async def preview_text(up: Upstream, access: Access, cafe_id: UUID, text: dict[str, Any]) -> messages.TextPreview:
    """How a text reads, its parts and what it costs. Raises `RefusedCall` 422 for one that can't be saved."""
    return await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/texts/preview", messages.TextPreview, text)


async def templates(up: Upstream, access: Access, cafe_id: UUID) -> tuple[messages.MessageTemplate, ...]:
    """The library of texts."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/templates", tuple[messages.MessageTemplate, ...])


async def add_template(up: Upstream, access: Access, cafe_id: UUID, template: dict[str, Any]) -> None:
    """Adds a text."""
    await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/templates", object, template)


async def replace_template(
    up: Upstream, access: Access, cafe_id: UUID, template_id: UUID, template: dict[str, Any]
) -> None:
    """Replaces a text of the cafe's own."""
    await up.send(access, SERVICE, "PUT", f"/cafes/{cafe_id}/templates/{template_id}", object, template)


async def remove_template(up: Upstream, access: Access, cafe_id: UUID, template_id: UUID) -> None:
    """Removes a text of the cafe's own."""
    await up.send(access, SERVICE, "DELETE", f"/cafes/{cafe_id}/templates/{template_id}", object)


async def spend(up: Upstream, access: Access, cafe_id: UUID, month: date | None) -> messages.SpendOfMonth:
    """What messages cost in the month of that day, this one without it."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/spend", messages.SpendOfMonth, {"month": month})


async def replies(up: Upstream, access: Access, cafe_id: UUID) -> tuple[messages.UnclearReply, ...]:
    """What guests answered that waits for a person."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/replies", tuple[messages.UnclearReply, ...])


async def settle_reply(up: Upstream, access: Access, cafe_id: UUID, reply_id: UUID, settled_as: str) -> None:
    """Says what an answer is."""
    path = f"/cafes/{cafe_id}/replies/{reply_id}/settlement"
    await up.send(access, SERVICE, "POST", path, object, {"settled_as": settled_as})


async def rules(up: Upstream, access: Access, cafe_id: UUID) -> messages.MessagingRules:
    """The cafe's rules for all its messages."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/messaging", messages.MessagingRules)


async def set_rules(up: Upstream, access: Access, cafe_id: UUID, messaging: dict[str, Any]) -> None:
    """Replaces them. For owners."""
    await up.send(access, SERVICE, "PUT", f"/cafes/{cafe_id}/messaging", object, messaging)


async def duty(up: Upstream, access: Access, cafe_id: UUID) -> messages.DutyList:
    """Who is told of unhappy guests."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/duty", messages.DutyList)


async def set_duty(up: Upstream, access: Access, cafe_id: UUID, on_duty: dict[str, Any]) -> messages.DutyList:
    """Replaces them. For owners."""
    return await up.send(access, SERVICE, "PUT", f"/cafes/{cafe_id}/duty", messages.DutyList, on_duty)


async def accounts(up: Upstream, access: Access, cafe_id: UUID) -> tuple[messages.SmsAccount, ...]:
    """The accounts by which the cafe sends. For owners."""
    return await up.get(access, SERVICE, f"/cafes/{cafe_id}/providers", tuple[messages.SmsAccount, ...])


async def add_account(up: Upstream, access: Access, cafe_id: UUID, account: dict[str, Any]) -> None:
    """Adds an account. For owners."""
    await up.send(access, SERVICE, "POST", f"/cafes/{cafe_id}/providers", object, account)


async def replace_account(
    up: Upstream, access: Access, cafe_id: UUID, account_id: UUID, account: dict[str, Any]
) -> None:
    """Replaces an account; its key stays when none is given. For owners."""
    await up.send(access, SERVICE, "PUT", f"/cafes/{cafe_id}/providers/{account_id}", object, account)
