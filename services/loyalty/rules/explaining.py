"""Why a guest has these points: counted again by the rules that counted them, and compared with the ledger."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from services.loyalty.models.accounts import Account, Counted, Fact, Plan, Program, Rank, Redemption, Standing, Visit
from services.loyalty.models.cards import CardStates, Completion, Voucher
from services.loyalty.models.explaining import HandEntry, Totals
from services.loyalty.models.programs import LADDER
from services.loyalty.rules import cards, lapsing, redeeming, tiers, waiting
from services.loyalty.rules.announcing import multiplier
from services.loyalty.rules.counting import tally
from services.loyalty.rules.earning import trace
from services.loyalty.rules.explaining_cards import CARD_RULES, stamps_step
from services.loyalty.rules.explaining_earning import EARNING_RULES, conditions_of
from services.loyalty.rules.redeeming import Weighed
from shared.inputs.bounds import MOST_POINTS
from shared.inputs.explaining import Condition, ExplainedStep, Outcome, amounts, facts, failed
from shared.persian.money import Unit

NO_CARDS: CardStates = ()
# What a step or a condition names as its rule, beside the types of the ledger and why a redemption is refused.
RULES = (
    "program", "voided", "not_heard", "ledger", "amount_earns", "most_points", "tier_step", "tier_kept",
    "points_enough", *EARNING_RULES, *CARD_RULES,
)  # fmt: skip


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """All that is on the books about one guest. `ledger`: the sum of the rows of each bill; `rewards`: what the reward
    of a redemption was called, by the redemption's id; `vouchers`: all of them."""

    cafe_id: UUID
    customer_id: UUID
    plan: Plan
    history: Mapping[UUID, Counted]
    redemptions: Mapping[UUID, Redemption]
    facts: Sequence[Fact]
    ledger: Mapping[UUID, int]
    totals: Totals
    rewards: Mapping[UUID, str] = {}
    vouchers: Mapping[UUID, Voucher] = {}


class Traced(msgspec.Struct, frozen=True):
    """One bill as it counts: by which program, and what the guest was just before and after it; with the stamp cards
    before it and those that it completed."""

    counted: Counted
    program: Program
    before: Standing
    rank_before: Rank
    rank_after: Rank
    cards: CardStates = ()
    completions: Sequence[Completion] = ()


class Recounted(msgspec.Struct, frozen=True):
    """One guest counted again. `weighed`: what bills spend, by redemption."""

    bills: Mapping[UUID, Counted]
    traced: Mapping[UUID, Traced]
    weighed: Mapping[UUID, Weighed]

    @property
    def earned(self) -> int:
        """What all bills together count for."""
        return sum(each.points for each in self.bills.values())


def recount(booked: Booked, wanted: Collection[UUID]) -> Recounted:
    """The guest from the first bill on, with a trace of the bills `wanted`."""
    nobody = Account(booked.cafe_id, booked.customer_id, 0, 0, 0, 0, 0)
    counted = tally(booked.plan, nobody, booked.history, {})
    traced = {
        each.counted.visit.visit_id: each
        for each in _trace(booked.plan, [each.visit for each in counted.bills], wanted)
    }
    waits = waiting.moments(booked.plan, counted.bills, counted.lost)
    weighed = redeeming.weigh(counted.bills, counted.lost, booked.redemptions, booked.facts, booked.customer_id, waits)
    return Recounted(
        {each.visit.visit_id: each for each in counted.bills},
        traced,
        {each.wish.redemption_id: each for each in weighed},
    )


def bill_steps(booked: Booked, recounted: Recounted, visit_id: UUID, unit: Unit) -> list[ExplainedStep]:
    """What a bill earned, by which rule, and where it left the guest."""
    counted = recounted.bills[visit_id]
    steps = [_points(booked, recounted, counted, unit)]
    traced = recounted.traced.get(visit_id)
    if traced is not None:
        steps.append(_tier(counted.visit, traced))
        if traced.program.cards:
            steps.append(
                stamps_step(traced.program, traced.cards, counted.visit, traced.completions, booked.vouchers, unit)
            )
    return steps


def redemption_step(redemption: Redemption, recounted: Recounted, reward: str | None = None) -> ExplainedStep:
    """What became of points that were to be spent, for which reward, and whether the guest had them."""
    weighed = recounted.weighed.get(redemption.redemption_id)
    enough = []
    if weighed is not None and not weighed.wish.is_fact:
        had = max(0, weighed.had)
        values = facts(had=had, points=weighed.wish.points)
        enough = [Condition(rule="points_enough", held=had >= weighed.wish.points, values=values)]
    refusal = [redemption.refusal] if redemption.refusal else []
    return ExplainedStep(
        id=redemption.redemption_id,
        at=redeemed_at(redemption, recounted.bills),
        service="loyalty",
        what="redemption",
        outcome=redemption.state,
        rule=redemption.refusal,
        values=facts(
            points=redemption.points, kind=redemption.kind, over_http=not redeeming.is_of_bill(redemption),
            reversed_at=redemption.reversed_at, reserved_until=redemption.reserved_until, reward=reward,
            reward_id=redemption.reward_id, reward_version=redemption.reward_version,
        ),
        because=[redemption.visit_id] if redemption.visit_id else [],
        conditions=enough,
        not_because=refusal,
    )  # fmt: skip


def redeemed_at(redemption: Redemption, bills: Mapping[UUID, Counted]) -> datetime:
    """The moment of its bill, or its own while it has none."""
    bill = bills.get(redemption.visit_id) if redemption.visit_id else None
    return bill.visit.occurred_at if bill else redemption.created_at


def hand_step(entry: HandEntry) -> ExplainedStep:
    """Points that somebody gave or took, or that lapsed."""
    outcome: Outcome = "lapsed" if entry.type == "expired" else "given" if entry.change > 0 else "taken"
    values = facts(points=entry.change)
    return ExplainedStep(
        id=entry.entry_id, at=entry.at, service="loyalty", what="by_hand", outcome=outcome, rule=entry.type,
        values=values,
    )  # fmt: skip


def balance_step(booked: Booked, recounted: Recounted, moment: datetime) -> ExplainedStep:
    """Whether what the rules give is what the ledger adds up to."""
    spent = sum(each.points for each in booked.redemptions.values() if _is_spent(each, booked.customer_id))
    expected = recounted.earned + booked.totals.by_hand - spent
    agrees = expected == booked.totals.balance
    values = facts(
        earned=recounted.earned, by_hand=booked.totals.by_hand, spent=spent, expected=expected,
        ledger=booked.totals.balance,
    )  # fmt: skip
    condition = Condition(rule="ledger", held=agrees, values=facts(points=expected, ledger=booked.totals.balance))
    return ExplainedStep(
        id=booked.customer_id, at=moment, service="loyalty", what="balance",
        outcome="agrees" if agrees else "differs", as_of="now", values=values, conditions=[condition],
        not_because=failed([condition]),
    )  # fmt: skip


def not_heard_step(visit_id: UUID, moment: datetime) -> ExplainedStep:
    """A bill of which nothing has arrived here."""
    return ExplainedStep(
        id=visit_id, at=moment, service="loyalty", what="points", outcome="not_heard", as_of="now",
        because=[visit_id], not_because=["not_heard"],
    )  # fmt: skip


def _trace(plan: Plan, bills: Sequence[Visit], wanted: Collection[UUID]) -> Iterator[Traced]:
    """One bill at a time through the same fold."""
    standing, stamps = tiers.NOBODY, NO_CARDS
    for visit in bills:
        if visit.state == "voided":
            continue
        before = standing
        standing, earnings = tiers.fold(plan, standing, (visit,))
        stamps_before = stamps
        stamps, completions = cards.fold(plan, stamps, (visit,))
        if visit.visit_id in wanted:
            yield Traced(
                Counted(visit, earnings[visit.visit_id]),
                tiers.in_force(plan, visit.occurred_at),
                tiers.as_of(plan, before, visit.occurred_at),
                tiers.rank(plan, before, visit.occurred_at),
                tiers.rank(plan, standing, visit.occurred_at),
                stamps_before,
                completions,
            )


def _points(booked: Booked, recounted: Recounted, counted: Counted, unit: Unit) -> ExplainedStep:
    visit, earning, ledger = counted.visit, counted.earning, booked.ledger.get(counted.visit.visit_id, 0)
    agrees = counted.points == ledger
    conditions = [Condition(rule="ledger", held=agrees, values=facts(points=counted.points, ledger=ledger))]
    values, priced, rule, kind = facts(points=counted.points, ledger=ledger), {}, "voided", "voided"
    traced = recounted.traced.get(visit.visit_id)
    if traced is not None and earning is not None:
        program = traced.program
        rule, kind = "program", "earned" if earning.points else "nothing"
        values |= facts(
            program_version=earning.program_version, multiplier=multiplier(earning.multiplier),
            tier=traced.rank_before.tier, lapses_at=lapsing.expiry(booked.plan, program, visit.occurred_at),
        )  # fmt: skip
        priced = amounts(unit, "IRT", earn_per=program.earn_per_toman, bill=Decimal(visit.amount) / 1000)
        conditions += _conditions(booked.plan, traced, unit)
    outcome: Outcome = "differs" if not agrees else kind  # type: ignore[assignment]
    missing = failed(conditions) if outcome in ("nothing", "differs") else []
    return ExplainedStep(
        id=visit.visit_id, at=visit.occurred_at, service="loyalty", what="points", outcome=outcome, rule=rule,
        values=values, amounts=priced, because=[visit.visit_id], conditions=conditions,
        not_because=["voided"] if outcome == "voided" else missing,
    )  # fmt: skip


def _conditions(plan: Plan, traced: Traced, unit: Unit) -> list[Condition]:
    program, visit, earning = traced.program, traced.counted.visit, traced.counted.earning
    assert earning is not None
    counts = max(traced.before.period_points, traced.before.previous_points)
    steps = [
        Condition(
            rule="tier_step",
            held=counts >= step.threshold,
            values=facts(tier=step.tier, threshold=step.threshold, period_points=counts,
                         multiplier=multiplier(step.multiplier)),
        )
        for step in program.steps
    ]  # fmt: skip
    if traced.before.kept is not None:
        kept = facts(tier=traced.before.kept, until=traced.before.kept_until or traced.before.period_ends)
        steps.append(Condition(rule="tier_kept", held=True, values=kept))
    if program.scheme is not None:
        step = next(each for each in program.steps if each.tier == traced.rank_before.tier)
        return [*conditions_of(trace(plan, program.scheme, step, traced.before, visit), unit), *steps]
    compared = amounts(unit, "IRT", bill=Decimal(visit.amount) / 1000, earn_per=program.earn_per_toman)
    earns = Condition(rule="amount_earns", held=earning.points > 0, amounts=compared)
    bound = Condition(
        rule="most_points", held=earning.points < MOST_POINTS, values=facts(points=earning.points, most=MOST_POINTS)
    )
    return [earns, *([] if bound.held else [bound]), *steps]


def _tier(visit: Visit, traced: Traced) -> ExplainedStep:
    before, after = traced.rank_before, traced.rank_after
    climbed = LADDER.index(after.tier) - LADDER.index(before.tier)
    outcome: Outcome = "up" if climbed > 0 else "down" if climbed < 0 else "kept"
    period = traced.before.period_points + traced.counted.points
    reach = [
        Condition(
            rule="tier_step", held=period >= step.threshold,
            values=facts(tier=step.tier, threshold=step.threshold, period_points=period),
        )
        for step in traced.program.steps
        if LADDER.index(step.tier) > LADDER.index(before.tier)
    ]  # fmt: skip
    return ExplainedStep(
        id=visit.visit_id, at=visit.occurred_at, service="loyalty", what="tier", outcome=outcome,
        values=facts(
            tier_before=before.tier, tier=after.tier, until=after.until, period_points=period, to_next=after.to_next,
            next_at=after.next_at,
        ),
        because=[visit.visit_id], conditions=reach, not_because=failed(reach) if outcome == "kept" else [],
    )  # fmt: skip


def _is_spent(redemption: Redemption, customer_id: UUID) -> bool:
    return redemption.customer_id == customer_id and redemption.state == "completed"
