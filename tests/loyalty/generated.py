"""A cafe's life made up from a seed: bills that come late, are corrected, voided and paid with points, points by hand,
rules of several versions, points that lapse."""

from datetime import datetime, timedelta
from random import Random
from uuid import UUID, uuid4

from msgspec.structs import replace

from services.loyalty.handlers import adjustments, periodic, redemptions
from services.loyalty.models.accounts import Adjustment, Redemption
from services.loyalty.models.programs import ProgramRules
from services.loyalty.store import programs
from shared.clock import new_id
from shared.database import db
from shared.errors import Rejected
from shared.events.identity import AccessGranted
from shared.events.visit import VisitEvent
from shared.security import access
from tests.loyalty import books, schemes
from tests.loyalty.conftest import Clock
from tests.loyalty.examples import CAFE, NOON, corrected, guest_number, recorded, voided

DAY = timedelta(days=1)
BATCH = 40


async def publish_versions(pool: db.Pool) -> None:
    """Four versions: the default, one that earns twice as much, one whose points lapse, one with every kind of rule."""
    versions = (
        ProgramRules(earn_per_toman=500, tier_period="jalali_year"),
        ProgramRules(earn_per_toman=750, tier_period="gregorian_year", points_expire_days=60),
        schemes.rules_of(tier_period="gregorian_year", points_expire_days=90),
    )
    async with db.transaction(pool) as conn:
        for number, rules in enumerate(versions, 2):
            since = NOON + (number - 1) * 40 * DAY
            codes = schemes.codes_of(rules)
            await programs.publish(conn, CAFE, number, since, rules.model_dump(mode="json"), uuid4(), codes)


def guests_of(visits: int) -> list[UUID]:
    """A dozen bills for each."""
    return [guest_number(number) for number in range(max(1, visits // 12))]


async def live(pool: db.Pool, clock: Clock, seed: int, visits: int) -> None:
    """Lives through `visits` bills, batch by batch; time goes on with each."""
    random, guests = Random(seed), guests_of(visits)
    await publish_versions(pool)
    waiting: list[VisitEvent] = []
    for number in range(visits):
        at = NOON + random.randrange(180 * 24) * timedelta(hours=1)
        guest, toman = random.choice(guests), random.choice((0, 300, 45_000, 180_000, 900_000))
        asked = random.choice((0, 0, 0, 50, 400))
        waiting.append(recorded(number, toman, at, guest=guest, points_to_redeem=asked, **schemes.facts_of(random)))
        waiting += _later(random, number, at, guest)
    random.shuffle(waiting)
    for start in range(0, len(waiting), BATCH):
        clock.moment = NOON + (200 + start / BATCH / 10) * DAY
        await books.take_in(pool, *_in_their_order(waiting[start : start + BATCH]))
        await _by_hand(pool, random, guests, clock.moment)
    while await periodic.expire_points(pool):
        pass


def _in_their_order(events: list[VisitEvent]) -> list[VisitEvent]:
    kinds = ("visit.recorded", "visit.corrected", "visit.voided")
    return sorted(events, key=lambda event: kinds.index(event.type))


def _later(random: Random, number: int, at: datetime, guest: UUID) -> list[VisitEvent]:
    found: list[VisitEvent] = []
    if random.random() < 0.2:
        moved = at + random.choice((0, 3)) * DAY
        fixed_at = at + timedelta(days=10, minutes=number)
        toman = random.choice((0, 60_000, 700_000))
        found.append(
            corrected(
                number,
                toman,
                moved,
                guest=guest,
                corrected_at=fixed_at,
                points_to_redeem=random.choice((0, 80)),
                **schemes.facts_of(random),
            )
        )
    if random.random() < 0.1:
        found.append(voided(number, at=at, guest=guest))
    return found


async def _by_hand(pool: db.Pool, random: Random, guests: list[UUID], moment: datetime) -> None:
    author = await _manager(pool)
    given = Adjustment(
        adjustment_id=new_id(), cafe_id=CAFE, customer_id=random.choice(guests), type="earned_bonus",
        points=random.randrange(1, 200), reason="هدیه", state="posted", created_by=author, created_at=moment,
    )  # fmt: skip
    taken = _taken(given, random.choice(guests))
    spent = Redemption(
        redemption_id=new_id(), cafe_id=CAFE, customer_id=random.choice(guests), kind="item",
        points=random.randrange(1, 100), state="completed", till_key_id="till-key", created_at=moment,
    )  # fmt: skip
    for wanted in (given, taken, spent):
        try:
            async with db.staff_transaction(pool, author) as conn:
                if isinstance(wanted, Adjustment):
                    await adjustments.adjust(conn, wanted, new_id())
                else:
                    await redemptions.redeem(conn, wanted, new_id())
        except Rejected:
            # Nobody spends more than they have.
            continue


async def _manager(pool: db.Pool) -> UUID:
    """Somebody who has given nothing yet that day."""
    author = uuid4()
    granted = AccessGranted(cafe_id=CAFE, user_id=author, role="owner", version=1, occurred_at=NOON)
    async with db.transaction(pool) as conn:
        await access.on_access_granted(conn, [granted])
    return author


def _taken(given: Adjustment, guest: UUID) -> Adjustment:
    """The same, taken from a guest."""
    return replace(given, adjustment_id=new_id(), customer_id=guest, type="adjustment_subtract")
