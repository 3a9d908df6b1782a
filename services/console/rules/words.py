"""Everything the console says, from one catalogue: a key, and its text in each language."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.persian.text import SpokenLanguage

LANGUAGES: tuple[SpokenLanguage, ...] = ("fa", "en")
# Families of which every value has a sentence that explains it, under `help_<family>`.
EXPLAINED = ("delivery", "check", "run", "ledger", "cause", "matter")


@dataclass(frozen=True)
class Catalogue:
    """`texts`: key, then language. A text for the number one may stand beside the others under `<language>_one`."""

    texts: Mapping[str, Mapping[str, str]]

    def say(self, language: SpokenLanguage, key: str, /, **values: str) -> str:
        """The text of `key` with `values` in their places.

        A value with letters stands in an isolate (Unicode's U+2068), so that a name in another script leaves the words
        around it where they are.

        Raises:
            KeyError: the catalogue has no such key, or no value for a place.
        """
        text = self.texts[key]
        one = text.get(f"{language}_one") if values.get("n") in {"1", "۱"} else None
        return (one or text[language]).format_map({name: _isolated(value) for name, value in values.items()})

    def values_of(self, family: str) -> tuple[str, ...]:
        """The keys of a family, without its name."""
        return tuple(key.partition(".")[2] for key in self.texts if key.startswith(f"{family}."))

    def has(self, key: str) -> bool:
        """Whether there is a text of that key."""
        return key in self.texts


def _isolated(value: str) -> str:
    return f"\u2068{value}\u2069" if any(letter.isalpha() for letter in value) else value


def flattened(tree: Mapping[str, object], before: str = "") -> dict[str, dict[str, str]]:
    """`{"desk": {"who": {"fa": …}}}` as `{"desk.who": {"fa": …}}`."""
    found: dict[str, dict[str, str]] = {}
    for name, value in tree.items():
        if not isinstance(value, Mapping):
            raise ValueError(f"{before}{name} has no languages")
        if all(isinstance(text, str) for text in value.values()):
            found[f"{before}{name}"] = {str(language): str(text) for language, text in value.items()}
        else:
            found |= flattened(value, f"{before}{name}.")
    return found
