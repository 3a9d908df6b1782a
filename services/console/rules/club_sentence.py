"""A rule of a club as it is said."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Sentence:
    """One rule: what it is about, the key of its sentence, and what stands in its places. `also`: what limits it, said
    after it."""

    about: str
    key: str
    values: Mapping[str, str]
    tier: str | None = None
    also: tuple["Sentence", ...] = ()
