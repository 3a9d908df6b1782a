"""Filters of the guest list as rules of segments."""

from collections.abc import Mapping
from typing import Final

from services.console.models.segments import RuleGroup, RuleRow

# Only what a rule can ask: whether somebody may be written to, or has a birthday soon, is no attribute.
_RULES: Final[Mapping[str, RuleRow]] = {
    "quiet": RuleRow("last_visit_days", "at_least", ("30",)),
    "platinum": RuleRow("tier_level", "one_of", ("platinum",)),
    "gold": RuleRow("tier_level", "one_of", ("gold",)),
    "silver": RuleRow("tier_level", "one_of", ("silver",)),
    "bronze": RuleRow("tier_level", "one_of", ("bronze",)),
}


def rule_of_filter(only: str) -> RuleGroup | None:
    """The rule that finds the same guests, if there is one."""
    return RuleGroup("all", (_RULES[only],)) if only in _RULES else None
