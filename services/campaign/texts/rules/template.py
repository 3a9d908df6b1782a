"""Message texts with {{variables}}: compiled once, filled by plain concatenation.

A text typed by people is data. Nothing in it is ever evaluated, and what is filled in is not looked at again.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from services.campaign.texts.models.values import Trigger
from shared.consent import Purpose
from shared.persian.text import normalize

STOP_LINE: Final = "لغو۱۱"
# What a text may ask for, by the trigger it is sent on; None is a one-off campaign.
VARIABLES: Final[Mapping[Trigger | None, frozenset[str]]] = {
    "visit.recorded": frozenset({"name", "cafe", "link", "page"}),
    "segment.entered": frozenset({"name", "cafe", "page"}),
    "case.opened": frozenset({"cafe", "rating", "table"}),
    "feedback.responded": frozenset({"name", "cafe", "link", "page"}),
    None: frozenset({"name", "cafe", "page"}),
}
EVERY_VARIABLE: Final = frozenset().union(*VARIABLES.values())
# Guests known by their phone alone have no name, and not every guest sat at a table with a number.
MAY_BE_MISSING: Final = frozenset({"name", "table"})
LONGEST_NAME: Final = 40
_ANYBODY: Final = {
    "fa": {"name": "مهمان", "table": "یک مهمان"},
    "en": {"name": "guest", "table": "a guest"},
}
_VARIABLE = re.compile(r"\{\{ *([a-z_]{1,30}) *\}\}")
_PERSIAN = re.compile("[\u0600-\u06ff]")
_UNSAFE_NAME = re.compile(r"[0-9\u06f0-\u06f9/:@.<>{}\\\r\n]|www|http", re.IGNORECASE)


@dataclass(frozen=True)
class Template:
    """Literal texts with a variable's name between each two: `texts` has one more entry than `names`."""

    texts: tuple[str, ...]
    names: tuple[str, ...]


@lru_cache(maxsize=4096)
def compile_template(content: str) -> Template:
    """The parts of a text. A brace pair that is no variable stays as it is."""
    pieces = _VARIABLE.split(content)
    return Template(tuple(pieces[::2]), tuple(pieces[1::2]))


def render(content: str, values: Mapping[str, str | None], fallbacks: Mapping[str, str]) -> str:
    """The text with each variable's value, or its fallback where the value is missing. A text from before fallbacks
    gets the words for any guest instead, so that no text begins with a comma."""
    template = compile_template(content)
    anybody = _ANYBODY["fa" if _PERSIAN.search(content) else "en"]
    out = [template.texts[0]]
    for name, text in zip(template.names, template.texts[1:], strict=True):
        out += [values.get(name) or fallbacks.get(name) or anybody.get(name, ""), text]
    return "".join(out).strip()


def with_stop_line(text: str, purpose: Purpose) -> str:
    """`text` as the law wants advertising to end: with the word that stops it."""
    if purpose != "marketing" or text.rstrip().endswith(STOP_LINE):
        return text
    return f"{text.rstrip()}\n{STOP_LINE}"


def presentable(name: str | None) -> str | None:
    """The guest's name as it may stand in a message; None when it could carry a link or is too long for a name."""
    tidy = normalize(name or "")
    return tidy if tidy and len(tidy) <= LONGEST_NAME and not _UNSAFE_NAME.search(tidy) else None
