"""The catalogue is whole: every text in both languages, none beside it, none for nobody."""

import re
from typing import get_args

import pytest

from services.campaign.messages.decide import CHECKS
from services.console.api.rendering import FOLDER, catalogue
from services.console.rules.words import LANGUAGES, Catalogue, flattened
from services.feedback.models.http import RatedCategory
from services.feedback.models.values import FeedbackSource
from shared.events.base import Tier
from shared.events.identity import Role
from shared.events.loyalty import LedgerType
from shared.security.approval import ApprovalKind

TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))
SAID = re.compile(r"""\bt\(\s*["']([a-z_.]+)["']\s*(~?)""")
CODE = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}|<[^>]*>", re.S)
IN_TAG = re.compile(r'(?:aria-label|placeholder|title|alt)="([^"{]+)"')
# Keys that are put together in a template: what stands after the dot comes from there.
FAMILIES = {
    "ledger": get_args(LedgerType),
    "tier": get_args(Tier),
    "role": get_args(Role),
    "check": tuple(CHECKS),
    "matter": get_args(ApprovalKind),
    "source": get_args(FeedbackSource),
    "category": get_args(RatedCategory),
    "run": ("waiting", "queued", "cancelled", "skipped"),
    "delivery": ("queued", "sending", "sent", "delivered", "failed", "bounced", "opened", "skipped"),
    "why": ("send", "hold", "skip"),
    "sort": ("last_visit", "points", "visits", "created"),
    "looks": ("opened", "revealed"),
    "status": ("active", "inactive", "blocked"),
    "calendar": ("jalali", "gregorian"),
}
OPEN_FAMILIES = {"cause", "journey", "what"}


def said() -> set[str]:
    """The keys that templates and code name whole."""
    texts = [path.read_text() for path in TEMPLATES]
    code = " ".join(path.read_text() for path in (FOLDER / "api").glob("*.py"))
    named = {key for text in texts for key, joined in SAID.findall(text) if not joined and not key.endswith(".")}
    return named | set(re.findall(r'"((?:trouble|redeem)\.(?!html)[a-z_]+)"', code))


def families() -> set[str]:
    """The words before the dot of keys that templates put together."""
    text = " ".join(path.read_text() for path in TEMPLATES)
    return {key.rstrip(".") for key, joined in SAID.findall(text) if joined or key.endswith(".")}


def test_every_text_is_there_in_both_languages() -> None:
    for key, texts in catalogue().texts.items():
        assert set(LANGUAGES) <= set(texts) <= {*LANGUAGES, "en_one"}, key
        places = {language: sorted(re.findall(r"{(\w+)}", texts[language])) for language in LANGUAGES}
        assert places["fa"] == places["en"], key


def test_every_key_that_is_said_is_there_and_none_beside_them() -> None:
    keys = set(catalogue().texts)
    assert said() <= keys
    made = {key for key in keys if key.partition(".")[0] in {*FAMILIES, *OPEN_FAMILIES}}
    whole = {key for key in keys - made if not key.startswith(("menu.", "segment.", "me.theme_", "guest.done_"))}
    assert whole <= said()


def test_every_value_of_the_services_has_a_word() -> None:
    assert families() <= {*FAMILIES, *OPEN_FAMILIES, "menu", "guest.done_", "me.theme_"}
    missing = {f"{name}.{value}" for name, values in FAMILIES.items() for value in values} - set(catalogue().texts)
    assert not missing


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_template_has_no_words_of_its_own(path) -> None:
    text = path.read_text()
    rest = CODE.sub(" ", text)
    assert not re.findall(r"[^\W\d_]{2,}", rest.replace("&nbsp;", ""))
    assert not [words for words in IN_TAG.findall(text) if re.search(r"[^\W\d_]{2,}", words)]


def test_styles_and_script_know_no_left_and_right_and_no_words() -> None:
    styles = (FOLDER / "static" / "console.css").read_text()
    assert not re.findall(r"(?<![\w-])(?:left|right)\b|margin-(?:left|right)|padding-(?:left|right)", styles)
    assert not re.findall("[\u0600-\u06ff]", styles + (FOLDER / "static" / "console.js").read_text())


def test_number_one_has_its_own_text() -> None:
    known = Catalogue(flattened({"a": {"b": {"fa": "{n} قلم", "en": "{n} items", "en_one": "{n} item"}}}))
    assert known.say("en", "a.b", n="1") == "1 item"
    assert known.say("en", "a.b", n="21") == "21 items"
    assert known.say("fa", "a.b", n="۱") == "۱ قلم"
    with pytest.raises(KeyError):
        known.say("fa", "a.c")
