"""The books, computed a second time from the data set and the published rule, without the services' code.

Points of a visit = floor(paid Toman / 1,000 x multiplier of the tier held just before it). Tier held = the better of
the level reached by points earned so far this Jalali year and the level of the whole year before.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from persiantools.jdatetime import JalaliDate

from deploy.demo.dataset import Basket
from shared.database.db import Connection

TEHRAN = ZoneInfo("Asia/Tehran")
TIERS = (
    ("bronze", 0, Fraction(1)),
    ("silver", 500, Fraction(6, 5)),
    ("gold", 1500, Fraction(3, 2)),
    ("platinum", 3000, Fraction(2)),
)

ACCOUNTS = """
SELECT a.customer_id, a.current_points AS balance, a.tier_level::text AS tier, a.lifetime_spent, a.total_visits,
       coalesce(t.points, 0) AS ledger, coalesce(l.points, 0) AS lots
FROM customer_loyalty a
LEFT JOIN (SELECT cafe_id, customer_id, sum(points_change) AS points FROM loyalty_transactions GROUP BY 1, 2) t
       USING (cafe_id, customer_id)
LEFT JOIN (SELECT cafe_id, customer_id, sum(remaining) AS points FROM point_lots GROUP BY 1, 2) l
       USING (cafe_id, customer_id)
WHERE a.cafe_id = $1
"""
VISITS = """
SELECT customer_id, count(*) AS visits, sum(final_amount) AS spent, sum(points_earned) AS points
FROM customer_visits WHERE cafe_id = $1 AND customer_id IS NOT NULL GROUP BY customer_id
"""


@dataclass(frozen=True)
class BookedAccount:
    """What one guest's books must say. `spent` in Toman."""

    points: int
    tier: str
    spent: int
    visits: int


def level(points: int) -> int:
    """Index into TIERS reached by `points`."""
    return max(index for index, (_, threshold, _) in enumerate(TIERS) if points >= threshold)


def jalali_year(moment: datetime) -> int:
    """The Jalali year of a moment on a calendar in Tehran."""
    return int(JalaliDate(moment.astimezone(TEHRAN).date()).year)  # type: ignore[no-untyped-call]


def account_of(baskets: Iterable[Basket], today: datetime) -> BookedAccount:
    """The account of the guest who made these visits, in any order, as it stands `today`."""
    by_year: dict[int, int] = defaultdict(int)
    spent = visits = 0
    for basket in sorted(baskets, key=lambda b: (b.at, f"till-{b.store_id}", str(b.basket_id))):
        year = jalali_year(basket.at)
        held = max(level(by_year[year]), level(by_year[year - 1]))
        by_year[year] += int(basket.final * TIERS[held][2] / 1000)
        spent += basket.final
        visits += 1
    year = jalali_year(today)
    return BookedAccount(
        sum(by_year.values()), TIERS[max(level(by_year[year]), level(by_year[year - 1]))][0], spent, visits
    )


def expected(baskets: Sequence[Basket], today: datetime) -> dict[int, BookedAccount]:
    """The account of each household."""
    per_household: dict[int, list[Basket]] = defaultdict(list)
    for basket in baskets:
        per_household[basket.household_id].append(basket)
    return {household: account_of(visits, today) for household, visits in per_household.items()}


async def breaches(
    loyalty: Connection, visit: Connection, cafe_id: object, wanted: Mapping[object, BookedAccount]
) -> list[str]:
    """Every way in which the two databases differ from `wanted` (by customer id) or from themselves."""
    accounts = {row["customer_id"]: row for row in await loyalty.fetch(ACCOUNTS, cafe_id)}
    visits = {row["customer_id"]: row for row in await visit.fetch(VISITS, cafe_id)}
    found = [f"guest {guest} is unknown to the plan" for guest in accounts.keys() - wanted.keys()]
    for guest, want in wanted.items():
        account, seen = accounts.get(guest), visits.get(guest)
        if account is None or seen is None:
            found.append(f"guest {guest} has no {'account' if account is None else 'visits'}")
            continue
        facts = {
            "balance": (account["balance"], want.points),
            "sum of the ledger": (account["ledger"], want.points),
            "sum of the lots": (account["lots"], want.points),
            "tier": (account["tier"], want.tier),
            "lifetime spent": (account["lifetime_spent"], want.spent),
            "visits counted by loyalty": (account["total_visits"], want.visits),
            "visits stored": (seen["visits"], want.visits),
            "money of the visits": (seen["spent"], want.spent),
            "points on the visits": (seen["points"], want.points),
        }
        found += [
            f"guest {guest}: {what} is {has}, must be {must}" for what, (has, must) in facts.items() if has != must
        ]
    return found
