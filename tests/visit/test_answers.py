"""What bills say about advertising: which answers are told, and which count here."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from services.visit.handlers import reactions
from services.visit.models.values import CorrectVisit
from shared.clock import now
from shared.database.db import Pool
from shared.events.customer import ConsentChanged
from shared.events.visit import ConsentRefused, ContactLearned, VisitVoided
from tests.support import Databases
from tests.visit.given import CAFE, NOON, correction, emitted, react, record, statuses, take, visit_row, void


@pytest.fixture
async def pool(database: Databases) -> Pool:
    return await database("visit")


def answer(number: str, at: datetime, consent: bool, asked: bool = False) -> Any:
    """A bill with an answer on marketing."""
    extra = {"consent_asked_at": at.isoformat()} if asked else {}
    return record(receipt_number=number, occurred_at=at.isoformat(), marketing_consent=consent, **extra)


async def told(pool: Pool) -> list[tuple[Any, ...]]:
    """What was told of answers, oldest first."""
    learned = await emitted(pool, ContactLearned)
    return [(event.consent_at, event.marketing_consent, event.consent_asked) for event in learned]


async def test_no_beats_every_tick_and_only_a_yes_that_was_asked_for_comes_after_it(pool: Pool) -> None:
    days = [NOON - timedelta(days=20 - day) for day in range(10)]
    await take(pool, answer("1", days[1], True))
    await take(pool, answer("2", days[5], True))
    await take(pool, answer("3", days[3], False))
    await take(pool, answer("4", days[6], False), answer("5", days[7], True))
    assert await told(pool) == [(days[1], True, False), (days[3], False, False)]
    await take(pool, answer("6", days[8], True, asked=True), answer("7", days[2], True, asked=True))
    assert (await told(pool))[2:] == [(days[8], True, True)]


async def test_answer_dated_ahead_counts_from_when_it_was_heard(pool: Pool) -> None:
    await take(pool, answer("1", now() + timedelta(minutes=5), True, asked=True))
    [event] = await emitted(pool, ContactLearned)
    assert event.consent_at == event.occurred_at
    assert event.consent_at <= event.recorded_at
    await take(pool, answer("2", now(), False))
    assert [granted for _, granted, _ in await told(pool)] == [True, False]


async def test_no_that_was_nothing_new_is_told_when_a_yes_from_before_it_comes_into_force(pool: Pool) -> None:
    days = [NOON - timedelta(days=20 - day) for day in range(4)]
    await take(pool, answer("1", days[0], False))
    await take(pool, answer("2", days[2], False))
    assert [granted for _, granted, _ in await told(pool)] == [False]
    [learned] = await emitted(pool, ContactLearned)
    yes = ConsentChanged(
        cafe_id=CAFE, customer_id=learned.customer_id, occurred_at=days[1], channel="sms", purpose="marketing",
        granted=True, source="staff",
    )  # fmt: skip
    await react(pool, reactions.on_consent_changed, yes)
    assert [event.occurred_at for event in await emitted(pool, ConsentRefused)] == [days[2]]
    later = msgspec.structs.replace(yes, occurred_at=days[3])
    await react(pool, reactions.on_consent_changed, later)
    assert len(await emitted(pool, ConsentRefused)) == 1
    await take(pool, answer("3", days[3] + timedelta(hours=1), False))
    assert [granted for _, granted, _ in await told(pool)] == [False, False]


async def test_correction_takes_a_yes_back_and_gives_none_in_either_order(pool: Pool) -> None:
    for number in (0, 1):
        bill: dict[str, Any] = {"receipt_number": str(number), "phone": f"0912345670{number}"}
        bills = [record(marketing_consent=True, **bill), correction(marketing_consent=False, **bill)]
        await take(pool, bills[number])
        await take(pool, bills[1 - number])
        await take(pool, correction(120, marketing_consent=True, **bill))
    rows = await pool.fetch("SELECT granted FROM guest_consents")
    assert [row["granted"] for row in rows] == [False, False]


async def test_correction_dated_ahead_does_not_win_for_ever_and_its_repeat_neither(pool: Pool) -> None:
    def corrected(at: datetime, total: str) -> CorrectVisit:
        ahead = record(total=total)
        return CorrectVisit(
            **{name: getattr(ahead, name) for name in ("cafe_id", "device_id", "receipt_number", "correlation_id")},
            body=ahead.body,
            corrected_at=at,
        )

    await take(pool, record())
    ahead = corrected(now() + timedelta(hours=10), "200000")
    assert statuses(await take(pool, ahead)) == ["corrected"]
    assert statuses(await take(pool, ahead)) == ["repeated"]
    true = corrected(now(), "210000")
    assert statuses(await take(pool, true)) == ["corrected"]
    assert statuses(await take(pool, ahead)) == ["superseded"]
    assert (await visit_row(pool))["total_amount"] == 210000


async def test_void_dated_ahead_is_of_the_moment_it_was_heard(pool: Pool) -> None:
    await take(pool, record())
    await take(pool, void(voided_at=(now() + timedelta(hours=10)).isoformat()))
    [voided] = await emitted(pool, VisitVoided)
    assert voided.voided_at <= voided.recorded_at
