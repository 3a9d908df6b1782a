"""A segment's rule as a sentence."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from services.console.models.segments import RuleGroup, RuleNode, RuleRow
from services.console.rules.segment_tree import is_number
from services.console.rules.speech import Speech

# The catalogue in one language: a key, and the values in their places.
SayRule = Callable[..., str]


def sentence(
    tree: RuleGroup, kinds: Mapping[str, str], say: SayRule, known: Callable[[str], bool], speech: Speech
) -> str:
    """The whole rule in the person's language; `say` and `known` are those of the catalogue."""

    def part(node: RuleNode) -> str:
        if isinstance(node, RuleRow):
            return row_in_words(node, kinds.get(node.attribute, ""), say, known, speech)
        said = joined([part(each) for each in node.parts], "any" if node.how == "none" else node.how, say)
        if node.how == "none":
            return say("sentence.none_of", parts=said)
        return say("sentence.together", parts=said) if len(node.parts) > 1 else said

    if not tree.parts:
        return ""
    said = joined([part(each) for each in tree.parts], "any" if tree.how == "none" else tree.how, say)
    return say("sentence.none_of", parts=said) if tree.how == "none" else said


def joined(parts: Sequence[str], how: str, say: SayRule) -> str:
    """Parts with "and" or "or" between them."""
    return say(f"sentence.join_{how}").join(parts)


def row_in_words(row: RuleRow, kind: str, say: SayRule, known: Callable[[str], bool], speech: Speech) -> str:
    """One condition, as `visits: at least 3`."""
    attribute = name_of(row.attribute, say, known)
    values = [_value(row.attribute, each, kind, say, known, speech) for each in row.values]
    if row.operator == "one_of":
        return say("sentence.says_one_of", attribute=attribute, values=joined(values, "any", say))
    manner = f"{kind}_{row.operator}" if known(f"sentence.says_{kind}_{row.operator}") else row.operator
    if not known(f"sentence.says_{manner}"):
        return attribute
    first, second = (*values, "", "")[:2]
    return say(f"sentence.says_{manner}", attribute=attribute, a=first, b=second)


def name_of(attribute: str, say: SayRule, known: Callable[[str], bool]) -> str:
    """The short name of an attribute; of one that is newer than the catalogue its own."""
    return say(f"attribute.{attribute}") if known(f"attribute.{attribute}") else attribute


def _value(attribute: str, value: str, kind: str, say: SayRule, known: Callable[[str], bool], speech: Speech) -> str:
    if kind == "choice":
        family = {"tier_level": "tier", "status": "status"}.get(attribute, "")
        return say(f"{family}.{value}") if known(f"{family}.{value}") else value
    if not is_number(value):
        return value or "…"
    number = Decimal(value)
    return speech.money(number) if kind == "money" else speech.number(number)
