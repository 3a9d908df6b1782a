"""Texts as people write them: what no guest may read is refused, and what looks like a slip is told of.

Every way by which a text comes in goes through `check_text`; what is stored shows its `warnings_of`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from services.campaign.texts.models.values import LONGEST_MESSAGE, Remark
from services.campaign.texts.rules.template import MAY_BE_MISSING, compile_template
from shared.consent import Channel
from shared.errors import Problem, Rejected
from shared.persian.text import normalize

_LONGEST_FALLBACK: Final = 60
_SHOWN: Final = 30
# A variable with the words for a guest of whom it is not known: {{name|مهمان}}.
_WITH_FALLBACK: Final = re.compile(r"\{\{ *([a-z_]{1,30}) *\| *([^{}|\r\n]*?) *\}\}")
_BRACES: Final = str.maketrans("\uff5b\uff5d\ufe5b\ufe5c", "{}{}")
# What is left of double braces once the variables are taken out: whole ones, and those that nobody closed or opened.
_LEFT: Final = re.compile(r"\{\{([^{}\r\n]*)\}{0,2}|\{?([^{}\r\n]*)\}\}")
# Variables as other systems write them: {x}, ${x}, $x, %x%, [x], <x>.
_FOREIGN: Final = re.compile(
    r"\$?\{[^{}\r\n]{1,40}\}|\$[^\W\d]\w*|[%\u066a][^\W\d][\w ]{0,30}[%\u066a]"
    r"|[\[<](?i:name|cafe|link|page|first_?name|customer|guest|نام|اسم|کافه|لینک|پیوند)[\]>]"
)
_LONG_NUMBER: Final = re.compile(r"\d{5,}")


@dataclass(frozen=True)
class Wording:
    """A text as it is stored, with its fallbacks apart."""

    content: str
    fallbacks: dict[str, str]


def check_text(
    content: str,
    fallbacks: Mapping[str, str],
    allowed: Collection[str],
    fields: tuple[str, str] = ("template", "fallbacks"),
) -> Wording:
    """The text as it is stored; `fields` are what the text and its fallbacks are called where they came in.

    Raises:
        Rejected: it is empty or too long, has braces that are no variable of this kind of message, or a variable that
            may be missing without a fallback, or a fallback that nothing uses. Each fault is named.
    """
    tidy, inside, clashes = apart(normalize(content))
    given = {**fallbacks, **inside}
    clashes |= {name for name, words in inside.items() if fallbacks.get(name, words) != words}
    problems = _faults(tidy, given, allowed, fields)
    problems += [_two_fallbacks(name, fields[0]) for name in sorted(clashes)]
    problems += [_too_long_fallback(n, fields[0]) for n, words in inside.items() if len(words) > _LONGEST_FALLBACK]
    if problems:
        raise Rejected("invalid_template", "The text is not right.", "متن درست نیست.", problems=problems)
    return Wording(tidy, given)


def warnings_of(content: str, fallbacks: Mapping[str, str], allowed: Collection[str]) -> list[Remark]:
    """What whoever wrote the text should look at, also in one that is older than what is refused today."""
    faults = _faults(content, fallbacks, allowed, ("template", "fallbacks"))
    rest = _LEFT.sub("", _without_variables(content))
    foreign = [match.group() for match in _FOREIGN.finditer(rest)]
    stray = set(_FOREIGN.sub("", rest)) & set("{}")
    return [
        *(Remark(code=fault.code, en=fault.en, fa=fault.fa) for fault in faults),
        *(_foreign(found) for found in dict.fromkeys(foreign)),
        *([_stray()] if stray else []),
    ]


def is_whole(content: str) -> bool:
    """Whether no double brace is left that a guest would read."""
    return not any("{{" in text or "}}" in text for text in compile_template(content).texts)


def apart(content: str) -> tuple[str, dict[str, str], set[str]]:
    """The text without the fallbacks inside, these, and the variables that have two different ones."""
    inside: dict[str, str] = {}
    clashes = set()
    for match in _WITH_FALLBACK.finditer(content):
        name, words = match.groups()
        if inside.setdefault(name, words) != words:
            clashes.add(name)
    return _WITH_FALLBACK.sub(r"{{\1}}", content), inside, clashes


def _faults(
    content: str, fallbacks: Mapping[str, str], allowed: Collection[str], fields: tuple[str, str]
) -> list[Problem]:
    text, words = fields
    used = set(compile_template(content).names)
    strange = sorted(used - set(allowed)) + _left_braces(content)
    missing = sorted(name for name in used & MAY_BE_MISSING & set(allowed) if not fallbacks.get(name, "").strip())
    problems = [_unknown(name, allowed, text) for name in dict.fromkeys(strange)]
    problems += [_needs_fallback(name, words) for name in missing]
    problems += [_unused(f"{words}.{name}") for name in sorted(set(fallbacks) - used)]
    problems += [_braces(f"{words}.{name}") for name, given in sorted(fallbacks.items()) if set(given) & set("{}")]
    if not content or len(content) > LONGEST_MESSAGE:
        problems.append(_wrong_length(text))
    return problems


def _left_braces(content: str) -> list[str]:
    """What stands in double braces, or in braces of which some are missing, and is no variable."""
    rest = _without_variables(content)
    # Of braces that nobody opened, the last word before them.
    return [(m.group(1) or " ".join((m.group(2) or "").split()[-1:])).strip() for m in _LEFT.finditer(rest)]


def _without_variables(content: str) -> str:
    return "\n".join(compile_template(content).texts).translate(_BRACES)


def _shown(name: str) -> str:
    # A number may be somebody's.
    return _LONG_NUMBER.sub("…", name)[:_SHOWN] or "?"


def _unknown(name: str, allowed: Collection[str], field: str) -> Problem:
    known, shown = ", ".join(f"{{{{{each}}}}}" for each in sorted(allowed)), _shown(name)
    return Problem(
        field,
        "unknown_variable",
        f"There is no {{{{{shown}}}}} here; there is: {known}, written exactly so.",
        f"متغیر «{shown}» شناخته نیست؛ متغیرهای مجاز، درست به همین شکل: {known}.",
    )


def _needs_fallback(name: str, field: str) -> Problem:
    return Problem(
        f"{field}.{name}",
        "fallback_needed",
        f"Of some guests this is not known: say what stands there instead, like {{{{{name}|مهمان}}}} in the text.",
        f"این متغیر برای برخی مهمانان معلوم نیست؛ جایگزینش را بنویسید، مانند {{{{{name}|مهمان}}}} در متن.",
    )


def _unused(field: str) -> Problem:
    return Problem(
        field, "unused_fallback", "The text does not use this variable.", "این متغیر در متن به کار نرفته است."
    )


def _braces(field: str) -> Problem:
    return Problem(
        field,
        "braces_in_fallback",
        "What stands for a variable is sent as it is; take the braces out.",
        "جایگزین همان‌گونه فرستاده می‌شود؛ آکولادها را بردارید.",
    )


def _two_fallbacks(name: str, field: str) -> Problem:
    return Problem(
        field,
        "two_fallbacks",
        f"{{{{{name}}}}} has two different fallbacks; give it one.",
        f"متغیر {name} دو جایگزین متفاوت دارد؛ یکی بنویسید.",
    )


def _too_long_fallback(name: str, field: str) -> Problem:
    return Problem(
        field,
        "fallback_too_long",
        f"The fallback of {{{{{name}}}}} has more than {_LONGEST_FALLBACK} characters.",
        f"جایگزین {name} بیش از {_LONGEST_FALLBACK} نویسه دارد.",
    )


def _wrong_length(field: str) -> Problem:
    return Problem(
        field,
        "wrong_length",
        f"The text needs 1 to {LONGEST_MESSAGE} characters.",
        f"متن باید میان ۱ و {LONGEST_MESSAGE} نویسه باشد.",
    )


def _foreign(found: str) -> Remark:
    shown = _shown(found)
    return Remark(
        code="looks_like_a_variable",
        en=f"{shown} is sent as it stands; variables are written like {{{{name}}}}.",
        fa=f"«{shown}» همان‌گونه که هست فرستاده می‌شود؛ متغیر به شکل {{{{name}}}} نوشته می‌شود.",
    )


def _stray() -> Remark:
    return Remark(
        code="stray_brace",
        en="A single brace is sent as it stands.",
        fa="آکولاد تکی همان‌گونه که هست فرستاده می‌شود.",
    )


def require_channel(channel: Channel) -> None:
    """Does nothing for a channel that messages leave by.

    Raises `Rejected` (422) for any other.
    """
    if channel != "sms":
        raise Rejected("channel_unavailable", "Only SMS can be sent yet.", "هنوز تنها پیامک فرستاده می‌شود.", status=422)
