"""What is opened by typing its name: the rooms of the menu, and what people do most, in whatever language they type."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.console.rules import menu, roles
from shared.events.identity import Role
from shared.persian.text import search_key

MOST: Final = 7


@dataclass(frozen=True)
class MenuCommand:
    """A page: the key of its words, its path in a cafe, its icon, and what whoever is shown it may do (None: all)."""

    key: str
    path: str
    icon: str
    action: str | None = None


COMMANDS: Final = (
    *(MenuCommand(f"menu.{each.key}", each.path, each.icon, each.action) for each in menu.MENU),
    MenuCommand("register.title", "desk/new", "user-plus"),
    MenuCommand("enter.title", "visits/new", "receipt"),
    MenuCommand("segments.new", "segments/new", "shapes", "edit_segments"),
    MenuCommand("cases.title", "feedback/cases", "clock"),
    MenuCommand("settings.people", "settings/people", "users", "see_people"),
    MenuCommand("people.invite", "settings/people", "mail", "invite"),
    MenuCommand("settings.tills", "settings/tills", "key-round", "see_people"),
    MenuCommand("settings.looks", "settings/looks", "eye", "see_looks"),
    MenuCommand("start.title", "start", "check-check", "change_cafe"),
    MenuCommand("help.title", "help", "circle-question-mark"),
)


def matching(typed: str, role: Role, words_of: Callable[[str], str]) -> tuple[MenuCommand, ...]:
    """The commands in whose words each typed word begins one; the first few of all when nothing is typed.

    `words_of`: the words of a key in all languages.
    """
    wanted = search_key(typed).split()
    open_ones = (each for each in COMMANDS if each.action is None or roles.may(role, each.action))
    found = [each for each in open_ones if _fits(wanted, search_key(words_of(each.key)).split())]
    return tuple(found[:MOST])


def _fits(wanted: list[str], words: list[str]) -> bool:
    return all(any(word.startswith(each) for word in words) for each in wanted)
