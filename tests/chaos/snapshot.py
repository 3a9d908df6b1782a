"""What a cafe's services hold in the end, without ids and clocks: two snapshots are equal when the ends are.

What is counted in the order of arrival by its nature is not in it: numbers of visits, versions of accounts, the single
rows of ledgers and lots (their sums are), what became of a void bill's amounts, and journeys for having entered a
segment, which a bill that is voided later may open.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from shared.security import ids
from tests.chaos.house import House

# (service, what, statement); ids of guests and visits are shown by names.
STATEMENTS = (
    (
        "visit", "visits", """
        SELECT id AS visit, customer_id, visit_date, total_amount, discount_amount, currency_unit, payment_method::text,
               items_ordered::text, item_count, attributes::text, corrected_at, points_earned, points_redeemed,
               points_to_redeem, CASE WHEN points_to_redeem > 0 THEN redemption_refusal END AS refusal
        FROM customer_visits WHERE cafe_id = $1 AND voided_at IS NULL
        """,
    ),
    (
        "visit", "void visits", """
        SELECT id AS visit, customer_id, voided_at, void_reason, points_earned, points_redeemed
        FROM customer_visits WHERE cafe_id = $1 AND voided_at IS NOT NULL
        """,
    ),
    (
        "visit", "receipts", """
        SELECT visit_id, customer_id, voided_at, fingerprint IS NULL AS unseen,
               visit_number BETWEEN 1 AND (SELECT last_number FROM visit_counters c
                                           WHERE c.cafe_id = r.cafe_id AND c.customer_id = r.customer_id) AS numbered
        FROM visit_receipts r WHERE cafe_id = $1
        """,
    ),
    ("visit", "counters", "SELECT customer_id, last_number FROM visit_counters WHERE cafe_id = $1"),
    ("visit", "guests", "SELECT customer_id, name_known FROM guests WHERE cafe_id = $1"),
    ("visit", "consents", "SELECT customer_id, granted FROM guest_consents WHERE cafe_id = $1"),
    ("visit", "devices", "SELECT device_id, lowest_sequence, highest_sequence FROM till_devices WHERE cafe_id = $1"),
    ("visit", "gaps", "SELECT device_id, missing_from, missing_to FROM device_gaps WHERE cafe_id = $1"),
    (
        "loyalty", "accounts", """
        SELECT customer_id, points_earned, points_redeemed, points_expired, current_points, points_owed,
               tier_level::text, CASE WHEN total_visits > 0 THEN tier_start_date END AS since, tier_expires_date,
               lifetime_spent, current_year_spent, current_month_spent, total_visits, visits_this_month,
               last_visit_date, first_visit_date, points_to_next_tier, next_tier_points, year_ends_on, month_ends_on,
               tier_period_ends_on, tier_period_points, previous_period_points, counted_tier_since, last_visit_at,
               program_version, counts::text, cards::text
        FROM customer_loyalty WHERE cafe_id = $1
        """,
    ),
    (
        "loyalty", "ledger", """
        SELECT customer_id, visit_id, redemption_id IS NOT NULL AS spent, sum(points_change)::bigint AS points
        FROM loyalty_transactions WHERE cafe_id = $1 GROUP BY 1, 2, 3 HAVING sum(points_change) <> 0
        """,
    ),
    (
        "loyalty", "lots", """
        SELECT customer_id, sum(remaining)::bigint AS points FROM point_lots WHERE cafe_id = $1 GROUP BY 1
        """,
    ),
    (
        "loyalty", "earnings", """
        SELECT visit_id, customer_id, points, multiplier, program_version, parts::text, state = 'voided' AS void,
               CASE WHEN state <> 'voided' THEN final_amount END AS amount,
               CASE WHEN state <> 'voided' THEN currency_unit END AS unit,
               CASE WHEN state <> 'voided' THEN occurred_at END AS at
        FROM visit_earnings WHERE cafe_id = $1
        """,
    ),
    (
        "loyalty", "redemptions", """
        SELECT customer_id, visit_id, points, kind::text, state::text, refusal
        FROM redemptions WHERE cafe_id = $1 AND state <> 'reversed'
        """,
    ),
    (
        "loyalty", "vouchers", """
        SELECT customer_id, card_key, number, card_name, reward, visit_id, earned_at, expires_at, program_version, state
        FROM vouchers WHERE cafe_id = $1 AND state <> 'withdrawn'
        """,
    ),
    (
        "customer", "activity", """
        SELECT customer_id, registered_at IS NOT NULL AS registered, segment_mask, first_visit_at, last_visit_at,
               current_points, tier_level::text, total_visits, lifetime_spent, recent_visits::text
        FROM customer_activity WHERE cafe_id = $1
        """,
    ),
    (
        "customer", "customers", """
        SELECT id AS customer_id, phone_last4, name, status::text, segment::text,
               CASE WHEN a.first_visit_at IS NOT NULL THEN c.created_at END AS begins, a.registered_at = c.created_at
        FROM customers c
        LEFT JOIN customer_activity a ON a.cafe_id = c.cafe_id AND a.customer_id = c.id
        WHERE c.cafe_id = $1
        """,
    ),
    (
        "customer", "consents", """
        SELECT customer_id, channel::text, purpose::text, granted FROM consents WHERE cafe_id = $1
        """,
    ),
    (
        "customer", "segments", """
        SELECT s.segment_key, m.customer_id
        FROM customer_segments s LEFT JOIN segment_members m ON m.cafe_id = s.cafe_id AND m.segment_id = s.id
        WHERE s.cafe_id = $1
        """,
    ),
    (
        "feedback", "visits", """
        SELECT visit_id, customer_id, voided_at, CASE WHEN voided_at IS NULL THEN visit_at END AS at,
               CASE WHEN voided_at IS NULL THEN final_amount END AS amount,
               CASE WHEN voided_at IS NULL THEN currency_unit END AS unit
        FROM visits WHERE cafe_id = $1
        """,
    ),
    (
        "feedback", "links", """
        SELECT visit_id, customer_id, used_at, closed_at FROM feedback_links WHERE cafe_id = $1
        """,
    ),
    (
        "campaign", "runs", """
        SELECT j.journey_key, r.trigger_id, r.customer_id, r.state::text, r.reason
        FROM journey_runs r JOIN journeys j ON j.cafe_id = r.cafe_id AND j.id = r.journey_id
        WHERE r.cafe_id = $1 AND j.trigger = 'visit.recorded'
        """,
    ),
    (
        "campaign", "contacts", """
        SELECT customer_id, name_sealed IS NOT NULL AS named, status::text FROM contacts WHERE cafe_id = $1
        """,
    ),
    (
        "campaign", "consents", """
        SELECT customer_id, channel::text, purpose::text, granted FROM consents WHERE cafe_id = $1
        """,
    ),
    (
        "campaign", "members", """
        SELECT segment_key, customer_id FROM segment_members WHERE cafe_id = $1 AND is_member
        """,
    ),
)  # fmt: skip
BILLS = {
    "visit": """
        SELECT id, visit_date, final_amount, currency_unit FROM customer_visits WHERE cafe_id = $1 AND voided_at IS NULL
        """,
    "feedback": """
        SELECT visit_id, visit_at, final_amount, currency_unit FROM visits WHERE cafe_id = $1 AND voided_at IS NULL
        """,
}
PARKED = "SELECT topic, reason, detail FROM crm.parked WHERE status = 'parked'"
LABELS = "SELECT visit_id, device_id, receipt_number FROM visit_receipts WHERE cafe_id = $1 AND visit_id IS NOT NULL"


@dataclass(frozen=True)
class Snapshot:
    """By service and table, the rows as text with the number of times each is there."""

    tables: Mapping[tuple[str, str], Counter[str]]

    def differences(self, other: "Snapshot") -> list[str]:
        """A line for each row that only one of the two holds: `-` for this one, `+` for the other."""
        found = []
        for (service, table), rows in self.tables.items():
            theirs = other.tables[service, table]
            found += [f"- {service} {table}: {row}" for row in sorted((rows - theirs).elements())]
            found += [f"+ {service} {table}: {row}" for row in sorted((theirs - rows).elements())]
        return found


async def snapshot(house: House, cafe_id: UUID, guests: Mapping[int, str], without: str) -> Snapshot:
    """The end state of a cafe; `guests` are the numbers of its guests. Nothing is said of the guest `without`."""
    left_out = ids.customer_id(house.config.keys, cafe_id, without)
    names = {ids.customer_id(house.config.keys, cafe_id, number): f"guest {guest}" for guest, number in guests.items()}
    for visit_id, device, receipt in await house.pools["visit"].fetch(LABELS, cafe_id):
        names[visit_id] = f"{device} {receipt}"
    tables = {}
    for service, table, statement in STATEMENTS:
        rows = await house.pools[service].fetch(statement, cafe_id)
        tables[service, table] = Counter(
            ", ".join(f"{name}={names.get(value, value)}" for name, value in row.items())
            for row in rows
            if row.get("customer_id") != left_out
        )
    return Snapshot(tables)


async def assert_same_bills(house: House, cafe_id: UUID) -> None:
    """Feedback shows the bills that stand; no other check compares the two."""
    ours, theirs = [
        {tuple(row) for row in await house.pools[service].fetch(statement, cafe_id)}
        for service, statement in BILLS.items()
    ]
    assert ours == theirs, f"visit only: {ours - theirs}, feedback only: {theirs - ours}"


async def assert_nothing_parked(house: House) -> None:
    """Every record that was delivered could be taken in."""
    found = [f"{service}: {tuple(row)}" for service, pool in house.pools.items() for row in await pool.fetch(PARKED)]
    assert not found, "\n".join(found[:20])
