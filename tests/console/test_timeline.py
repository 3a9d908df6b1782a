"""What happened and why: each fact in one place, in whatever order the facts are given."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.console.models.guests import (
    CauseOfMove,
    JourneyNotBegun,
    JourneyRun,
    LedgerLine,
    MessagesOfGuest,
    SegmentStay,
    SentMessage,
)
from services.console.models.work import VisitRow
from services.console.rules.timeline import Chain, chains, since_oldest_visit

NOON = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)
VIP = uuid4()


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def visit(minutes: float = 0) -> VisitRow:
    bill = {
        "visit_number": 1,
        "device_id": "till-1",
        "receipt_number": "7",
        "final_amount": 100,
        "currency_unit": "IRT",
    }
    none = dict.fromkeys(("customer_id", "feedback_rating", "corrected_at", "voided_at"))
    sums = dict.fromkeys(("item_count", "points_earned", "points_redeemed"), 1)
    return VisitRow(id=uuid4(), visit_date=after(minutes), **bill, **none, **sums)


def line(minutes: float, visit_id: UUID | None) -> LedgerLine:
    moments = (after(minutes), after(minutes))
    return LedgerLine(uuid4(), "earned_purchase", 10, 10, visit_id, None, None, None, None, *moments)


def stay(minutes: float, reason: str = "visit", left: float | None = None, by: UUID | None = None) -> SegmentStay:
    left_at = None if left is None else after(left)
    cause = CauseOfMove(by) if by else None
    return SegmentStay(VIP, "vip", "VIP", after(minutes), reason, left_at, "time" if left_at else None, cause, None)


def run(minutes: float, trigger: UUID) -> JourneyRun:
    return JourneyRun("thanks", trigger, after(minutes), after(minutes + 5), "queued", None, None, None)


def message(minutes: float, trigger: UUID, visit_id: UUID | None = None) -> SentMessage:
    moments = (after(minutes), after(minutes))
    return SentMessage(uuid4(), "thanks", "service", trigger, visit_id, "sent", *moments, ())


def kinds(chain: Chain) -> list[str]:
    return [step.kind for step in chain.steps]


def test_a_visit_leads_to_points_a_segment_and_a_message() -> None:
    seen = visit()
    said = MessagesOfGuest((run(0, seen.id), run(1, VIP)), (), (message(0, seen.id, seen.id), message(1, VIP)))
    [chain] = chains([seen], [line(0, seen.id)], [stay(1)], said)
    assert chain.visit is seen
    assert kinds(chain) == ["points", "run", "entered", "run"]
    assert [step.message is not None for step in chain.steps] == [False, True, False, True]
    assert [step.probable for step in chain.steps] == [False, False, True, False]


def test_what_no_visit_brought_stands_alone_newest_first() -> None:
    told = chains([visit()], [line(30, None)], [stay(60, "definition", left=90)], MessagesOfGuest((), (), ()))
    assert [kinds(chain) for chain in told] == [["left"], ["entered"], ["points"], []]


def test_stay_of_another_reason_or_much_later_is_no_doing_of_the_visit() -> None:
    for moved in (stay(1, "definition"), stay(3)):
        told = chains([visit()], [], [moved], MessagesOfGuest((), (), ()))
        assert len(told) == 2
        assert not any(step.probable for chain in told for step in chain.steps)


def test_stay_that_names_its_visit_is_told_with_it_however_much_later_it_was_known() -> None:
    first, second = visit(0), visit(60)
    told = chains([first, second], [], [stay(61, by=first.id)], MessagesOfGuest((), (), ()))
    [with_step] = [chain for chain in told if chain.steps]
    assert with_step.visit is first
    assert not with_step.steps[0].probable


def test_journey_that_did_not_begin_is_told_with_the_segment_it_waited_for() -> None:
    absent = JourneyNotBegun("vip_welcome", "vip", after(1), "import", "", "")
    [chain] = chains([], [], [stay(1, "definition")], MessagesOfGuest((), (absent,), ()))
    assert kinds(chain) == ["entered", "not_begun"]


def test_what_is_older_than_the_oldest_visit_is_not_told_where_visits_are_missing() -> None:
    told = chains([visit(0), visit(10)], [line(-5, None), line(5, None)], [], MessagesOfGuest((), (), ()))
    assert len(since_oldest_visit(told)) == 3
    assert len(since_oldest_visit(told[-1:])) == 1


def steps_of(told: tuple[Chain, ...]) -> set[frozenset[str]]:
    return {frozenset(map(repr, chain.steps)) for chain in told}


@given(st.data())
def test_each_fact_stands_once_whatever_the_order(data) -> None:
    minutes, counts = st.integers(0, 6), st.integers(0, 4)
    visits = [visit(data.draw(minutes)) for _ in range(data.draw(st.integers(0, 3)))]
    ids = st.sampled_from([each.id for each in visits] + [None])
    triggers = st.sampled_from([each.id for each in visits] + [VIP, uuid4()])
    ledger = [line(data.draw(minutes), data.draw(ids)) for _ in range(data.draw(counts))]
    stays = [stay(data.draw(minutes), data.draw(st.sampled_from(["visit", "time"])), data.draw(st.none() | minutes))]
    runs = [run(data.draw(minutes), data.draw(triggers)) for _ in range(data.draw(counts))]
    sent = [message(data.draw(minutes), data.draw(triggers), data.draw(ids)) for _ in range(data.draw(counts))]
    absent = [JourneyNotBegun("thanks", "vip", after(data.draw(minutes)), "", "", "")]
    said = MessagesOfGuest(tuple(runs), tuple(absent), tuple(sent))
    told = chains(visits, ledger, stays, said)
    steps = [step for chain in told for step in chain.steps]
    assert sorted(id(step.line) for step in steps if step.line) == sorted(map(id, ledger))
    assert sorted(id(step.message) for step in steps if step.message) == sorted(map(id, sent))
    assert sorted(id(step.run) for step in steps if step.run) == sorted(map(id, runs))
    assert sorted(map(id, (chain.visit for chain in told if chain.visit))) == sorted(map(id, visits))
    assert [chain.moment for chain in told] == sorted((chain.moment for chain in told), reverse=True)
    shuffled = data.draw(st.permutations(ledger)), data.draw(st.permutations(visits))
    again = chains(shuffled[1], shuffled[0], stays, said)
    assert steps_of(again) == steps_of(told)
