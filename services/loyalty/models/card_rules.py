"""Stamp cards as owners write them."""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from services.loyalty.models.cards import MOST_STAMPS, StampPer
from services.loyalty.models.earn_rules import MenuMatch, RuleKey
from shared.errors import Problem
from shared.inputs.bounds import MOST_TOMAN
from shared.inputs.fields import Command, Text, Whole

MOST_CARDS: Final = 10


class CardRule(Command):
    """A card that is full with `need` stamps; each full one gives the guest a voucher for `reward`.

    `per` quantity: a stamp for each whole thing that was bought of the bill's lines that `match` (of all without it);
    a line given for nothing stamps nothing. `per` visit: one for a bill that has such a line. `name` and `reward` are
    in the cafe's own words. The key is the card: another `need` counts from the next stamp on, and the stamps stay.
    """

    key: RuleKey
    name: Annotated[str, Text(60, line=True)]
    need: Annotated[int, Whole(2, 100)]
    reward: Annotated[str, Text(200, line=True)]
    match: MenuMatch | None = None
    per: StampPer = "quantity"
    per_visit: Annotated[
        Annotated[int, Whole(1, MOST_STAMPS)] | None, Field(description="the most stamps of one bill")
    ] = None
    minimum_toman: Annotated[int, Whole(0, MOST_TOMAN), Field(description="the least bill that stamps")] = 0
    lives_days: Annotated[
        Annotated[int, Whole(1, 3660)] | None, Field(description="for so long a voucher can be used; null: for ever")
    ] = None


def card_misfits(cards: Sequence[CardRule]) -> list[Problem]:
    """What is wrong with the cards together, with the path of each fault."""
    keys, problems = set[str](), list[Problem]()
    for place, each in enumerate(cards):
        if each.key in keys:
            en, fa = "Another card has this key.", "کارت دیگری همین کلید را دارد."
            problems.append(Problem(f"rules.cards.{place}.key", "key_twice", en, fa))
        keys.add(each.key)
    return problems
