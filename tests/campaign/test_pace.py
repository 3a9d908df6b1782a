"""When: whom a journey takes and how late, how often a provider is asked, what a message's end adds to the counters."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.campaign.audience import rules as audience_rules
from services.campaign.audience.models.values import KnownSegments
from services.campaign.campaigns.rules.campaigns import missing_segments
from services.campaign.channels import rules as channels_rules
from services.campaign.channels.models.values import DeliveryReceipt, Provider, SendResult
from services.campaign.journeys.models.values import Journey
from services.campaign.journeys.rules import enrolling
from services.campaign.messages.decide import _Purse, decide
from services.campaign.messages.models.values import Effects, Handed, Place, Settled
from services.campaign.messages.rules import pace, settling, turns
from shared.events.customer import SegmentEntered
from shared.events.visit import VisitRecorded
from tests.campaign.test_rules import CAFE, HANDED, NOON, PENDING, PROVIDER, facts
from tests.shared.records import visit

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
GUEST, SEGMENT = UUID(int=20), UUID(int=21)
JOURNEY = Journey(
    id=UUID(int=22), cafe_id=CAFE.cafe_id, trigger="visit.recorded", segment_key=None, delay_minutes=90,
    max_age_minutes=60, campaign_id=UUID(int=23),
)  # fmt: skip


def entered(at: datetime = NOON, visit_at: datetime | None = None) -> SegmentEntered:
    return SegmentEntered(
        cafe_id=CAFE.cafe_id, customer_id=GUEST, segment_id=SEGMENT, segment_key="vip", occurred_at=at,
        visit_at=visit_at, reason="visit",
    )  # fmt: skip


def came(customer_id: UUID | None = GUEST) -> VisitRecorded:
    return visit(customer_id=customer_id, occurred_at=NOON)


# --- whom a journey takes


@pytest.mark.parametrize(
    ("age", "state", "reason"),
    [
        (timedelta(0), "waiting", None),
        (HOUR, "waiting", None),
        (HOUR + timedelta(microseconds=1), "skipped", "too_late"),
        # The till's clock is ahead.
        (-DAY, "waiting", None),
    ],
)
def test_visit_is_too_late_only_after_the_last_minute(age: timedelta, state: str, reason: str | None) -> None:
    run = enrolling.enrol_visit(JOURNEY, came(), NOON + age)
    assert run is not None
    assert (run.state, run.reason, run.occurred_at, run.due_at) == (state, reason, NOON, NOON + 90 * MINUTE)


def test_visit_of_nobody_starts_no_journey_and_any_other_is_its_own_occasion() -> None:
    assert enrolling.enrol_visit(JOURNEY, came(None), NOON) is None
    event = came()
    run = enrolling.enrol_visit(JOURNEY, event, NOON)
    assert run is not None
    assert (run.trigger_id, run.customer_id, run.causation_id) == (event.visit_id, GUEST, event.event_id)


@pytest.mark.parametrize(
    ("visit_at", "happened_at"),
    [(None, NOON), (NOON - MINUTE, NOON - MINUTE), (NOON + MINUTE, NOON)],
)
def test_member_is_late_by_the_visit_that_led_there(visit_at: datetime | None, happened_at: datetime) -> None:
    event = entered(visit_at=visit_at)
    for late, state in ((HOUR, "waiting"), (HOUR + SECOND, "skipped")):
        run = enrolling.enrol_member(JOURNEY, event, None, happened_at + late)
        assert (run.state, run.occurred_at, run.due_at) == (state, happened_at, happened_at + 90 * MINUTE)
        assert (run.trigger_id, run.customer_id) == (audience_rules.stay_id(SEGMENT, NOON), GUEST)


@pytest.mark.parametrize(
    ("reentry", "days", "last_ago", "takes"),
    [
        ("never", None, None, True),
        ("never", None, 1000 * DAY, False),
        ("every_stay", None, timedelta(0), True),
        ("after_days", 30, None, True),
        ("after_days", 30, 30 * DAY, True),
        ("after_days", 30, 30 * DAY - SECOND, False),
    ],
)
def test_journey_takes_a_guest_again(reentry: Any, days: int | None, last_ago: timedelta | None, takes: bool) -> None:
    journey = replace(JOURNEY, reentry=reentry, reentry_days=days)
    last_at = None if last_ago is None else NOON - last_ago
    assert enrolling.takes_again(journey, NOON, last_at) is takes
    run = enrolling.enrol_member(journey, entered(), last_at, NOON)
    assert (run.state, run.reason) == (("waiting", None) if takes else ("skipped", "entered_before"))
    # What is too late is nothing else besides.
    assert enrolling.enrol_member(journey, entered(), last_at, NOON + 2 * HOUR).reason == "too_late"


def test_stay_is_the_same_whatever_the_time_zone_it_is_written_in() -> None:
    tehran = datetime.fromisoformat("2026-11-24T12:00:00+03:30")
    assert audience_rules.stay_id(SEGMENT, tehran) == audience_rules.stay_id(SEGMENT, NOON)
    assert audience_rules.stay_id(SEGMENT, NOON) != audience_rules.stay_id(SEGMENT, NOON + SECOND)
    assert audience_rules.stay_id(SEGMENT, NOON) != audience_rules.stay_id(GUEST, NOON)


# --- how often


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 10), (1, 10), (2, 20), (3, 40), (6, 320), (7, 600), (8, 600), (5000, 600)]
)
def test_account_is_left_alone_ever_longer(failures: int, seconds: int) -> None:
    assert channels_rules.pause_after(failures) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("age", "pause"),
    [
        (timedelta(0), 20 * SECOND),
        (2 * MINUTE - SECOND, 20 * SECOND),
        (2 * MINUTE, 2 * MINUTE),
        (15 * MINUTE, 15 * MINUTE),
        (2 * HOUR, 2 * HOUR),
        (48 * HOUR - SECOND, 2 * HOUR),
        (48 * HOUR, None),
    ],
)
def test_receipt_is_asked_for(age: timedelta, pause: timedelta | None) -> None:
    again = pace.next_receipt_check(NOON, NOON + age)
    assert again == (None if pause is None else NOON + age + pause)


@pytest.mark.parametrize(("age", "wait"), [(timedelta(0), 2), (4, 2), (5, 2.5), (60, 30)])
def test_message_that_cannot_go_is_looked_at_again(age: Any, wait: float) -> None:
    queued_at = NOON - (age if isinstance(age, timedelta) else age * MINUTE)
    assert pace.try_again(queued_at, NOON) == NOON + wait * MINUTE


def test_quiet_hours_hold_until_their_end_and_only_while_they_are_others() -> None:
    night = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
    assert pace.held_by(CAFE, replace(CAFE, quiet_from=time(23)), night) == pace.quiet_until(CAFE, night)
    assert pace.held_by(CAFE, replace(CAFE, time_zone="Asia/Dubai"), night) is not None
    assert pace.held_by(CAFE, replace(CAFE, name="دیگر"), night) is None
    assert pace.held_by(replace(CAFE, time_zone="Mars/Base"), CAFE, night) is None
    assert pace.next_day(CAFE, night) == datetime(2026, 11, 24, 20, 30, tzinfo=UTC)


def test_quiet_hours_within_a_day_end_at_their_last_minute() -> None:
    siesta = replace(CAFE, quiet_from=time(12), quiet_until=time(13))
    assert pace.quiet_until(siesta, NOON - SECOND) is None
    assert pace.quiet_until(siesta, NOON) == NOON + HOUR
    assert pace.quiet_until(siesta, NOON + HOUR) is None


def test_runs_are_locked_in_the_order_of_their_key() -> None:
    runs = [
        replace(
            enrolling.enrol_member(JOURNEY, entered(), None, NOON), cafe_id=UUID(int=cafe), customer_id=UUID(int=guest)
        )
        for cafe, guest in ((2, 1), (1, 2), (1, 1))
    ]
    assert enrolling.in_key_order(runs) == runs[::-1]


# --- whose turn


def test_cafe_that_was_served_longest_ago_comes_first_and_then_the_one_with_the_oldest_work() -> None:
    cafes = [UUID(int=number) for number in range(4)]
    places = [Place("delivery", NOON + place * SECOND, cafes[number]) for place, number in enumerate((2, 0, 1, 2, 3))]
    served = {cafes[2]: 9, cafes[0]: 5}
    assert turns.candidates(places, {cafes[3]}, served) == [cafes[1], cafes[0], cafes[2]]
    assert turns.candidates(places, (), {}) == [cafes[2], cafes[0], cafes[1], cafes[3]]
    many = [Place("run", NOON, UUID(int=number)) for number in range(201)]
    assert len(turns.candidates(many, (), {})) == 200


def test_shares_of_a_round() -> None:
    cafes = [UUID(int=number) for number in range(8)]
    assert [turn.share for turn in turns.share_out(cafes[:3], {cafes[1]})] == [66, 1, 66]
    assert [turn.share for turn in turns.share_out(cafes[:1])] == [200]
    assert {turn.share for turn in turns.share_out([UUID(int=number) for number in range(300)])} == {1}
    assert turns.share_out([]) == []


# --- which account


def account(number: int, priority: int, **changes: Any) -> Provider:
    return replace(PROVIDER, id=UUID(int=number), priority_order=priority, **changes)


def test_first_choice_is_the_most_wanted_that_works() -> None:
    paused = account(1, 1, paused_until=NOON + SECOND)
    broken, off = account(2, 2, fault="401"), account(3, 3, is_active=False)
    good, next_best = account(5, 4), account(4, 5)
    assert channels_rules.first_choice([next_best, good, off, broken, paused], NOON) == good
    assert channels_rules.first_choice([paused, good], NOON + SECOND) == paused
    assert channels_rules.first_choice([paused, broken, off], NOON) is None


@pytest.mark.parametrize(("charged", "cost"), [(None, 200), (Decimal(90), 200), (Decimal("130.5"), 261)])
def test_message_is_expected_to_cost_the_dearer_of_what_is_known(charged: Decimal | None, cost: int) -> None:
    assert channels_rules.cost_of(2, replace(PROVIDER, charged_per_part=charged)) == cost


@pytest.mark.parametrize(
    ("budget", "spent", "reserved", "priced", "holds", "surely"),
    [
        (None, 900, 900, False, True, True),
        (100, 90, 0, False, True, True),
        (100, 91, 0, True, False, True),
        # What is under way may cost nothing, or twice as much.
        (100, 95, 10, True, True, False),
        (100, 60, 20, True, True, True),
        (100, 61, 20, True, True, False),
        (100, 20, 10, False, True, False),
    ],
)
def test_purse(budget: int | None, spent: int, reserved: int, priced: bool, holds: bool, surely: bool) -> None:
    limit = None if budget is None else Decimal(budget)
    purse = _Purse(limit, Decimal(spent), Decimal(reserved))
    assert purse.holds(Decimal(10)) is holds
    assert purse.surely_holds(Decimal(10), is_priced=priced) is surely


# --- what became of it

SENDING = HANDED
PUT_BACK, SENT = replace(HANDED, status="queued"), replace(HANDED, status="sent", sent_at=NOON)
NONE = Effects()


def settled(status: Any, **changes: Any) -> Settled:
    return Settled(HANDED.id, HANDED.cafe_id, status, **changes)


@pytest.mark.parametrize(
    ("handed", "step", "effects"),
    [
        (SENDING, settled("sent", accepted=True), Effects(sent=1, cost=200, reserved=-200)),
        (SENDING, settled("sent", accepted=True, cost=150), Effects(sent=1, cost=150, reserved=-200, cost_used=-50)),
        (
            SENDING,
            settled("delivered", accepted=True, cost=260),
            Effects(sent=1, delivered=1, cost=260, reserved=-200, cost_used=60),
        ),
        # What was put back gave its reservation back already, and takes its place in the limits anew.
        (PUT_BACK, settled("sent", accepted=True, cost=260), Effects(sent=1, cost=260, messages_used=1, cost_used=260)),
        (SENDING, settled("sending", error_code="outcome_unknown"), NONE),
        (SENDING, settled("queued"), Effects(reserved=-200, messages_used=-1, cost_used=-200)),
        # The provider says that it does not have it.
        (
            SENDING,
            settled("queued", error_code="outcome_unknown"),
            Effects(reserved=-200, messages_used=-1, cost_used=-200),
        ),
        (
            SENDING,
            settled("failed", error_code="411"),
            Effects(failed=1, reserved=-200, messages_used=-1, cost_used=-200),
        ),
        (SENDING, settled("failed", error_code="outcome_unknown"), Effects(failed=1, cost=200, reserved=-200)),
        (PUT_BACK, settled("failed", error_code="411"), Effects(failed=1)),
        (SENT, settled("delivered"), Effects(delivered=1)),
        (SENT, settled("bounced", error_code="x"), Effects(failed=1)),
        (SENT, settled("bounced", cost=0, blocked=True), Effects(failed=1, cost=-200, cost_used=-200)),
        (SENT, settled("sent"), NONE),
    ],
)  # fmt: skip
def test_effects_of_a_step(handed: Handed, step: Settled, effects: Effects) -> None:
    assert settling.effects_of(handed, step) == effects


@pytest.mark.parametrize(
    ("progress", "status", "code", "cost"),
    [
        ("delivered", "delivered", None, None),
        ("failed", "failed", "11", None),
        ("undelivered", "bounced", "11", None),
        ("blocked", "bounced", "blocked_by_guest", 0),
    ],
)
def test_word_about_a_delivery(progress: Any, status: str, code: str | None, cost: int | None) -> None:
    for handed, found in (
        (SENT, settling.after_receipt(SENT, DeliveryReceipt(progress, "11"), NOON)),
        (SENDING, settling.after_find(SENDING, DeliveryReceipt(progress, "11"), NOON)),
    ):
        assert found is not None
        assert (found.status, found.error_code, found.cost) == (status, code, cost)
        assert (found.blocked, found.accepted) == (progress == "blocked", handed is SENDING)


def test_missing_message_may_go_again_up_to_the_last_moment_of_the_window() -> None:
    for late, status in ((timedelta(0), "queued"), (SECOND, "failed")):
        found = settling.after_find(SENDING, DeliveryReceipt("missing", "100"), NOON + pace.LOCAL_ID_WINDOW + late)
        assert found is not None
        assert found.status == status
    assert settling.after_find(SENT, DeliveryReceipt("missing", "100"), NOON) is None


def test_late_yes_of_a_slow_call_counts_and_a_late_no_does_not() -> None:
    for status in ("sending", "queued", "skipped"):
        found = settling.after_send(replace(HANDED, status=status), SendResult("accepted", "7"), NOON)
        assert found is not None
        assert (found.status, found.accepted, found.check_at) == ("sent", True, NOON + 20 * SECOND)
    assert settling.after_send(PUT_BACK, SendResult("refused_message", code="411"), NOON) is None
    busy = settling.after_send(SENDING, SendResult("busy"), NOON)
    assert busy is not None
    assert (busy.status, busy.due_at, busy.refused_by, busy.unpinned) == ("queued", NOON + pace.BUSY_WAIT, None, True)


def test_sent_message_is_asked_about_from_when_it_was_sent() -> None:
    silent = settling.after_silence(SENT, NOON + 3 * MINUTE)
    assert silent is not None
    assert silent.check_at == NOON + 5 * MINUTE
    assert settling.after_silence(SENDING, NOON) is None


@pytest.mark.parametrize(
    ("is_opened", "step", "status"),
    [
        (True, settled("sent", accepted=True), "delivered"),
        (False, settled("sent", accepted=True), "sent"),
        (True, settled("sent"), "sent"),
        (True, settled("queued"), "queued"),
    ],
)
def test_what_was_opened_has_arrived(is_opened: bool, step: Settled, status: str) -> None:
    assert settling.known_by_its_opening(replace(HANDED, is_opened=is_opened), step).status == status


@pytest.mark.parametrize(
    ("results", "fault"),
    [
        ([SendResult("accepted"), SendResult("refused", code="418")], (True, None)),
        ([SendResult("refused", code="411"), SendResult("refused", code="418")], (False, "418")),
        ([SendResult("refused_message", code="418")], (False, None)),
        ([SendResult("unknown")], (False, "unknown")),
        ([], (False, None)),
    ],
)
def test_what_is_wrong_with_an_account(results: list[SendResult], fault: tuple[bool, str | None]) -> None:
    assert channels_rules.account_fault(results) == fault


@pytest.mark.parametrize(("code", "of_all"), [("418", True), ("424", False), ("unreachable", True), ("unknown", True)])
def test_whose_fault_it_is(code: str, of_all: bool) -> None:
    assert channels_rules.is_of_all(code) is of_all


def test_price_is_that_of_the_dearest_part_rounded_up() -> None:
    charges = [(3, SendResult("accepted", cost=Decimal(100))), (1, SendResult("accepted", cost=Decimal(30)))]
    assert channels_rules.price_of(charges, Decimal(50)) == Decimal("33.34")
    assert (
        channels_rules.price_of([(1, SendResult("accepted")), (1, SendResult("busy", cost=Decimal(9)))], Decimal(50))
        == 50
    )
    assert channels_rules.price_of([(1, SendResult("refused", cost=Decimal(9)))], Decimal(50)) is None


def test_segment_that_is_off_is_missing_and_those_of_every_cafe_never_are() -> None:
    known = KnownSegments(keys=("regulars",), with_members=("old",), off_keys=("vip_customers",))
    wanted = ["regulars", "old", "new_customers", "vip_customers", "none"]
    assert missing_segments(wanted, known) == ["vip_customers", "none"]


@pytest.mark.parametrize(
    ("changes", "hold"),
    [
        ({}, 2 * MINUTE),
        ({"daily_limit": 0}, datetime(2026, 11, 24, 20, 30, tzinfo=UTC) - NOON),
        ({"paused_until": NOON + 7 * MINUTE}, 7 * MINUTE),
        ({"paused_until": NOON + SECOND}, 5 * SECOND),
        ({"paused_until": NOON + 50 * HOUR}, DAY - 5 * SECOND),
    ],
)
def test_message_without_an_account_is_held(changes: dict[str, Any], hold: timedelta) -> None:
    pending = PENDING if changes else replace(PENDING, refused_by=(PROVIDER.id,))
    decision = decide(facts(pending=pending, providers=(replace(PROVIDER, **changes),)))
    assert (decision.outcome, decision.hold_until) == ("hold", NOON + hold)


def test_hold_until_the_very_expiry_is_a_skip() -> None:
    night = NOON + 11 * HOUR
    morning = pace.quiet_until(CAFE, night)
    assert morning is not None
    for expires_at, outcome in ((morning, "skip"), (morning + SECOND, "hold")):
        assert decide(facts(pending=replace(PENDING, expires_at=expires_at), moment=night)).outcome == outcome


def test_message_without_words_is_not_sent() -> None:
    assert decide(facts(text="")).reason == "text"
