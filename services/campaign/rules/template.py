"""Message texts with {{variables}}: compiled once, filled by plain concatenation.

A text typed by people is data. Nothing in it is ever evaluated, and what is filled in is not looked at again.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from services.campaign.models import LONGEST_MESSAGE, Purpose, Trigger
from shared.errors import Problem, Rejected
from shared.persian.text import normalize

STOP_LINE: Final = "لغو۱۱"
# What a text may ask for, by the trigger it is sent on; None is a one-off campaign.
VARIABLES: Final[Mapping[Trigger | None, frozenset[str]]] = {
    "visit.recorded": frozenset({"name", "cafe", "link"}),
    "segment.entered": frozenset({"name", "cafe"}),
    None: frozenset({"name", "cafe"}),
}
LONGEST_NAME: Final = 40

_VARIABLE = re.compile(r"\{\{ *([a-z_]{1,30}) *\}\}")
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
    """The text with every variable's value, or its fallback where the value is missing, or nothing."""
    template = compile_template(content)
    out = [template.texts[0]]
    for name, text in zip(template.names, template.texts[1:], strict=True):
        out += [values.get(name) or fallbacks.get(name, ""), text]
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


def check_template(content: str, fallbacks: Mapping[str, str], allowed: Collection[str]) -> str:
    """`content` as it is stored.

    Raises:
        Rejected: it is empty or too long, asks for something this kind of message does not know, or has a fallback
            for a variable it does not use. Each fault is named.
    """
    tidy = normalize(content)
    used = set(compile_template(tidy).names)
    problems = [_unknown(name, allowed) for name in sorted(used - set(allowed))]
    problems += [_unused(name) for name in sorted(set(fallbacks) - used)]
    if not tidy or len(tidy) > LONGEST_MESSAGE:
        problems.append(_wrong_length())
    if problems:
        raise Rejected("invalid_template", "The text is not right.", "متن درست نیست.", problems=problems)
    return tidy


def _unknown(name: str, allowed: Collection[str]) -> Problem:
    known = ", ".join(sorted(allowed))
    return Problem(
        "template",
        "unknown_variable",
        f"There is no {{{{{name}}}}} here; there is: {known}.",
        f"متغیر {name} شناخته نیست؛ متغیرهای مجاز: {known}.",
    )


def _unused(name: str) -> Problem:
    return Problem(
        f"fallbacks.{name}",
        "unused_fallback",
        "The text does not use this variable.",
        "این متغیر در متن به کار نرفته است.",
    )


def _wrong_length() -> Problem:
    return Problem(
        "template",
        "wrong_length",
        f"The text needs 1 to {LONGEST_MESSAGE} characters.",
        f"متن باید میان ۱ و {LONGEST_MESSAGE} نویسه باشد.",
    )
