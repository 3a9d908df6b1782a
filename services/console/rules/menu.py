"""The menu: a line a room of the console, in the order in which they are shown."""

from dataclasses import dataclass
from typing import Final

from services.console.rules import roles
from shared.events.identity import Role


@dataclass(frozen=True)
class MenuEntry:
    """A room: its word's key, its path in a cafe, its icon, and what whoever sees it may do (None: everybody sees it).

    A phone's bar at the bottom has place for four; the others stand behind "more".
    """

    key: str
    path: str
    icon: str
    action: str | None = None
    on_phones: bool = False


MENU: Final = (
    MenuEntry("today", "today", "layout-dashboard", on_phones=True),
    MenuEntry("desk", "desk", "search", on_phones=True),
    MenuEntry("guests", "guests", "users", on_phones=True),
    MenuEntry("visits", "visits", "receipt"),
    MenuEntry("feedback", "feedback", "message-square-heart", on_phones=True),
    MenuEntry("club", "club", "award"),
    MenuEntry("segments", "segments", "shapes"),
    MenuEntry("campaigns", "campaigns", "send", "send_campaigns"),
    MenuEntry("messages", "messages", "mail", "see_messages"),
    MenuEntry("reports", "reports", "chart-column", "see_money"),
    MenuEntry("board", "board", "monitor", "see_money"),
    MenuEntry("approvals", "approvals", "check-check", "approve"),
    MenuEntry("settings", "settings", "settings"),
)


def of_role(role: Role) -> tuple[MenuEntry, ...]:
    """What somebody with that role is shown."""
    return tuple(each for each in MENU if each.action is None or roles.may(role, each.action))
