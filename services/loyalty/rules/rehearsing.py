"""Rules that nobody has published yet, tried on everything that happened.

Counting is what it always is (`counting.tally`, `tiers.fold`): once by the rules in force, which must find what the
books say, and once with the draft. Nothing here knows how a bill earns.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
from msgspec.structs import replace

from services.loyalty.models.accounts import Counted, Plan, Program, Standing, Visit
from services.loyalty.models.rehearsals import (
    DifferingRedemption,
    DifferingVisit,
    GuestBooks,
    GuestOutcome,
    RehearsalMode,
    Uncovered,
)
from services.loyalty.rules import cards, lapsing, tiers, waiting
from services.loyalty.rules.counting import Tally, tally
from services.loyalty.rules.programs import EVER
from services.loyalty.rules.replaying import LeftOver, replay, untouched
from services.loyalty.rules.spending import turns_of


class Trial(msgspec.Struct, frozen=True):
    """The rules in force, those with the draft, the moment of which the report tells, and that of the tiers. Bills
    before `draft_from` count the same by both."""

    present: Plan
    draft: Plan
    draft_from: datetime
    moment: datetime
    ladder_at: datetime


class TriedGuest(msgspec.Struct, frozen=True):
    """One guest by both: `bills` as they count by the rules in force, and what each that stands earns under the draft,
    in the same order."""

    outcome: GuestOutcome
    bills: Sequence[Counted]
    under_draft: Sequence[Counted]
    left_before: LeftOver
    left_after: LeftOver
    cards_before: int
    cards_after: int
    redemptions: int
    uncovered: Sequence[Uncovered]
    differing_visits: Sequence[DifferingVisit]
    differing_redemptions: Sequence[DifferingRedemption]


def trial(present: Plan, draft: Program, mode: RehearsalMode, valid_from: datetime | None, moment: datetime) -> Trial:
    """What is compared: `always` as if the draft had been the cafe's first program and its only one; `from_date` as if
    it had followed at that moment, in place of the versions that begin then or later."""
    if mode == "always" or valid_from is None:
        only = replace(draft, version=1, valid_from=EVER)
        return Trial(present, replace(present, programs=(only,)), EVER, moment, moment)
    earlier = [each for each in present.programs if each.valid_from < valid_from]
    following = replace(draft, version=present.programs[-1].version + 1, valid_from=valid_from)
    plan = replace(present, programs=(*earlier, following))
    return Trial(present, plan, valid_from, moment, max(moment, valid_from))


def rehearse_guest(trial: Trial, books: GuestBooks) -> TriedGuest:
    """The guest by the rules in force and with the draft."""
    counted = tally(trial.present, books.account, books.history, {})
    standing, under_draft = _with_draft(trial, counted)
    left_before, left_after = _left(trial, books, counted, under_draft)
    points_before = sum(each.points for each in counted.bills)
    points_after = sum(each.points for each in under_draft)
    outcome = GuestOutcome(
        customer_id=books.account.customer_id,
        points_before=points_before,
        points_after=points_after,
        balance_before=left_before.balance,
        balance_after=left_after.balance,
        tier_before=tiers.rank(trial.present, counted.standing, trial.ladder_at).tier,
        tier_after=tiers.rank(trial.draft, standing, trial.ladder_at).tier,
    )
    own = [each for each in books.redemptions.values() if each.customer_id == books.account.customer_id]
    return TriedGuest(
        outcome=outcome,
        bills=counted.bills,
        under_draft=under_draft,
        left_before=left_before,
        left_after=left_after,
        cards_before=len(counted.completions),
        cards_after=_cards(trial, counted),
        redemptions=sum(each.state == "completed" for each in own),
        uncovered=_uncovered(books.account.customer_id, left_before, left_after),
        differing_visits=_differing(counted),
        differing_redemptions=_differing_redemptions(trial, books, counted),
    )


def lapses_at(plan: Plan, moment: datetime) -> datetime | None:
    """When points that come at that moment lapse under the plan."""
    return lapsing.expiry(plan, tiers.in_force(plan, moment), moment)


def _with_draft(trial: Trial, counted: Tally) -> tuple[Standing, Sequence[Counted]]:
    standing, later = tiers.NOBODY, _standing(counted.bills)
    under_draft: list[Counted] = []
    if trial.draft_from > EVER:
        early = [visit for visit in later if visit.occurred_at < trial.draft_from]
        if len(early) == len(later):
            return counted.standing, [each for each in counted.bills if each.earning is not None]
        if early:
            standing, earnings = tiers.fold(trial.draft, tiers.NOBODY, early)
            under_draft = [Counted(visit, earnings[visit.visit_id]) for visit in early]
            later = later[len(early) :]
    standing, earnings = tiers.fold(trial.draft, standing, later)
    return standing, [*under_draft, *(Counted(visit, earnings[visit.visit_id]) for visit in later)]


def _cards(trial: Trial, counted: Tally) -> int:
    """How many stamp cards the draft completes."""
    if not cards.has_cards(trial.draft):
        return 0
    return len(cards.fold(trial.draft, tiers.NOBODY.cards, _standing(counted.bills))[1])


def _standing(bills: Iterable[Counted]) -> list[Visit]:
    return [each.visit for each in bills if each.visit.state != "voided"]


def _left(trial: Trial, books: GuestBooks, counted: Tally, under_draft: Sequence[Counted]) -> tuple[LeftOver, LeftOver]:
    before, after = partial(lapses_at, trial.present), partial(lapses_at, trial.draft)
    if not books.redemptions and not books.entries:
        return untouched(counted.bills, before, trial.moment), untouched(under_draft, after, trial.moment)
    guest, own = books.account.customer_id, list(books.redemptions.values())
    earned = {each.visit.visit_id: each for each in under_draft}
    bills = [earned.get(each.visit.visit_id, each) for each in counted.bills]
    visits = [each.visit for each in bills]
    lost = tiers.lost(trial.draft, visits, {key: each.earning for key, each in earned.items() if each.earning})
    return (
        replay(
            counted.bills,
            counted.lost,
            own,
            books.entries,
            guest,
            before,
            waiting.moments(trial.present, counted.bills, counted.lost),
            trial.moment,
        ),
        replay(
            bills,
            lost,
            own,
            books.entries,
            guest,
            after,
            waiting.moments(trial.draft, bills, lost),
            trial.moment,
        ),
    )


def _uncovered(customer_id: UUID, before: LeftOver, after: LeftOver) -> list[Uncovered]:
    """What the draft alone does not cover: what the rules in force would not have covered either, had all been known
    in time, is not its fault."""
    anyway = {each.redemption.redemption_id for each in before.short}
    return [
        Uncovered(customer_id, each.redemption.redemption_id, each.at, each.redemption.points, each.had)
        for each in after.short
        if each.redemption.redemption_id not in anyway and each.redemption.state == "completed"
    ]


def _differing(counted: Tally) -> list[DifferingVisit]:
    return [
        DifferingVisit(
            counted.account.customer_id,
            change.after.visit.visit_id,
            change.before.points if change.before else 0,
            change.after.points,
        )
        for change in counted.changes
    ]


def _differing_redemptions(trial: Trial, books: GuestBooks, counted: Tally) -> list[DifferingRedemption]:
    if not books.redemptions and not any(each.visit.points_to_redeem for each in counted.bills):
        return []
    facts = [each.fact for each in books.entries]
    turns = turns_of(counted, books.redemptions, facts, trial.moment)
    return [DifferingRedemption(books.account.customer_id, turn.after.redemption_id) for turn in turns]
