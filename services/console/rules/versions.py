"""Which version of a cafe's rules for points counts."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

from services.console.models.chain import ProgramVersion
from services.console.models.club import RulesVersion

AnyRules = TypeVar("AnyRules", ProgramVersion, RulesVersion)


def in_force(versions: Iterable[AnyRules], moment: datetime) -> AnyRules | None:
    """The version by which a bill of that moment earns: each begins later than the one before it. None without any."""
    begun = [each for each in versions if each.valid_from <= moment]
    return max(begun, key=lambda each: each.version, default=None)
