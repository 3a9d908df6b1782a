"""Which stamp cards a bill stamped and completed, as a step of an explanation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from services.loyalty.models.accounts import Program, Visit
from services.loyalty.models.cards import MOST_STAMPS, CardStates, Completion, Stamped, Voucher
from services.loyalty.rules import cards
from services.loyalty.rules.explaining_earning import checks_below
from shared.inputs.explaining import Condition, ExplainedStep, Outcome, facts, failed
from shared.persian.money import Unit

CARD_RULES: Final = ("stamps_card", "most_stamps", "card_full", "vouchers")


def stamps_step(
    program: Program,
    before: CardStates,
    visit: Visit,
    completions: Sequence[Completion],
    vouchers: Mapping[UUID, Voucher],
    unit: Unit,
) -> ExplainedStep:
    """What a bill stamped, the most that cut it, the cards that it completed, and whether their vouchers are there.
    `vouchers`: all of the guest's."""
    stamped = cards.stamps(program, {each.key: each for each in before}, visit)
    conditions = [condition for each in stamped for condition in _of_card(each, unit)]
    given, completed = sum(each.given for each in stamped), sum(_full(each) for each in stamped)
    own = [each for each in vouchers.values() if each.visit_id == visit.visit_id and each.state != "withdrawn"]
    issued = {(each.card_key, each.number) for each in own}
    agrees = issued.issuperset((each.card.key, each.number) for each in completions)
    if completions:
        conditions.append(Condition(rule="vouchers", held=agrees, values=facts(cards=completed)))
    outcome: Outcome = "completed" if completed else "given" if given else "nothing"
    outcome = outcome if agrees else "differs"
    return ExplainedStep(
        id=visit.visit_id,
        at=visit.occurred_at,
        service="loyalty",
        what="stamps",
        outcome=outcome,
        rule="program",
        values=facts(stamps=given, cards=completed, program_version=program.version),
        because=[visit.visit_id],
        conditions=conditions,
        not_because=failed(conditions) if outcome in ("nothing", "differs") else [],
    )


def _of_card(stamped: Stamped, unit: Unit) -> Iterator[Condition]:
    card, on_card = stamped.card, f"{stamped.after.stamps}/{stamped.card.need}"
    values = facts(key=card.key, stamps=stamped.given, on_card=on_card)
    yield Condition(rule="stamps_card", held=stamped.given > 0, values=values)
    yield from checks_below(stamped.checks, unit)
    if stamped.counted > card.most or (card.per == "quantity" and card.most < MOST_STAMPS and stamped.given):
        cut = facts(stamps=stamped.counted, most=card.most)
        yield Condition(rule="most_stamps", held=stamped.counted <= card.most, depth=1, values=cut)
    if stamped.given:
        full = facts(cards=_full(stamped), completed=stamped.after.completed)
        yield Condition(rule="card_full", held=_full(stamped) > 0, depth=1, values=full)


def _full(stamped: Stamped) -> int:
    return stamped.after.completed - stamped.before.completed
