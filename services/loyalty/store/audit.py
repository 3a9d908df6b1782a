"""Whether the books are right, computed from scratch."""

from typing import Any, get_args
from uuid import UUID

from shared.database.db import Connection
from shared.events.loyalty import LedgerType

AUDIT = """
WITH ledger AS (
    SELECT cafe_id, customer_id, sum(points_change)::bigint AS balance,
           sum(points_change) FILTER (WHERE visit_id IS NOT NULL AND redemption_id IS NULL)::bigint AS of_visits
    FROM loyalty_transactions GROUP BY cafe_id, customer_id
), lots AS (
    SELECT cafe_id, customer_id, sum(remaining)::bigint AS balance FROM point_lots GROUP BY cafe_id, customer_id
), earned AS (
    SELECT cafe_id, customer_id, sum(points)::bigint AS points,
           count(*) FILTER (WHERE state <> 'voided') AS visits,
           sum(round(CASE currency_unit WHEN 'IRT' THEN final_amount ELSE final_amount / 10 END, 2))
               FILTER (WHERE state <> 'voided') AS spent
    FROM visit_earnings GROUP BY cafe_id, customer_id
), books AS (
    SELECT cafe_id, customer_id, a.current_points, a.lifetime_spent, a.total_visits,
           coalesce(ledger.balance, 0) AS ledger_balance, coalesce(ledger.of_visits, 0) AS ledger_of_visits,
           coalesce(lots.balance, 0) AS lots_balance, coalesce(earned.points, 0) AS earned_points,
           coalesce(earned.visits, 0) AS earned_visits,
           least(coalesce(earned.spent, 0), 9999999999999999.99) AS earned_spent
    FROM customer_loyalty AS a
    FULL JOIN ledger USING (cafe_id, customer_id)
    FULL JOIN lots USING (cafe_id, customer_id)
    FULL JOIN earned USING (cafe_id, customer_id)
), chain AS (
    SELECT cafe_id, customer_id, balance_after,
           sum(points_change) OVER (PARTITION BY cafe_id, customer_id ORDER BY account_version)::bigint AS expected
    FROM loyalty_transactions
), redeemed AS (
    SELECT cafe_id, redemption_id, -sum(points_change)::bigint AS points
    FROM loyalty_transactions WHERE redemption_id IS NOT NULL GROUP BY cafe_id, redemption_id
), asked AS (
    SELECT e.cafe_id, e.customer_id,
           -- A bill that names a reward has it whole.
           greatest(CASE e.state WHEN 'voided' THEN 0 ELSE e.points_to_redeem END,
                    sum(r.points) FILTER (WHERE r.state = 'completed' AND r.reward_id IS NOT NULL
                                                AND e.state <> 'voided'))::bigint AS points,
           coalesce(sum(r.points) FILTER (WHERE r.state <> 'reversed'), 0)::bigint AS answered
    FROM visit_earnings AS e
    LEFT JOIN redemptions AS r ON r.cafe_id = e.cafe_id AND r.visit_id = e.visit_id
    WHERE e.points_to_redeem IS NOT NULL
    GROUP BY e.cafe_id, e.customer_id, e.visit_id
    -- What was given back by hand stays so, whatever the bill asks for.
    HAVING bool_and(r.state IS DISTINCT FROM 'reversed' OR r.undone_by_bill)
), given AS (
    SELECT cafe_id, reward_id, count(*) AS pieces FROM redemptions
    WHERE reward_id IS NOT NULL AND state = 'completed' GROUP BY cafe_id, reward_id
), cards AS (
    SELECT a.cafe_id, a.customer_id, c ->> 0 AS card_key, (c ->> 2)::bigint AS completed
    FROM customer_loyalty AS a CROSS JOIN LATERAL jsonb_array_elements(a.cards) AS c
    WHERE a.cards IS NOT NULL
), issued AS (
    SELECT cafe_id, customer_id, card_key, coalesce(completed, 0) AS completed,
           count(*) FILTER (WHERE v.state <> 'withdrawn' AND v.number <= completed) AS earned,
           count(*) FILTER (WHERE v.state = 'open' AND v.number > coalesce(completed, 0)) AS early
    FROM cards FULL JOIN vouchers AS v USING (cafe_id, customer_id, card_key)
    GROUP BY cafe_id, customer_id, card_key, completed
), found AS (
    SELECT 'account_missing' AS breach, cafe_id, customer_id, 0::bigint AS expected, ledger_balance AS actual
    FROM books WHERE current_points IS NULL
    UNION ALL
    SELECT 'balance_is_not_ledger', cafe_id, customer_id, ledger_balance, current_points
    FROM books WHERE current_points <> ledger_balance
    UNION ALL
    SELECT 'balance_is_not_lots', cafe_id, customer_id, lots_balance, current_points
    FROM books WHERE current_points <> lots_balance
    UNION ALL
    SELECT 'visits_are_not_ledger', cafe_id, customer_id, earned_points, ledger_of_visits
    FROM books WHERE earned_points <> ledger_of_visits
    UNION ALL
    SELECT 'visits_are_not_counted', cafe_id, customer_id, earned_visits, total_visits
    FROM books WHERE earned_visits <> total_visits
    UNION ALL
    SELECT 'spending_is_not_visits', cafe_id, customer_id, (earned_spent * 100)::bigint, (lifetime_spent * 100)::bigint
    FROM books WHERE abs(earned_spent - lifetime_spent) >= 0.01
    UNION ALL
    SELECT 'chain_is_broken', cafe_id, customer_id, expected, balance_after
    FROM chain WHERE expected <> balance_after
    UNION ALL
    SELECT 'redemption_is_not_ledger', cafe_id, customer_id, kept, spent
    FROM (
        SELECT coalesce(r.cafe_id, redeemed.cafe_id) AS cafe_id, r.customer_id,
               CASE r.state WHEN 'completed' THEN r.points ELSE 0 END AS kept, coalesce(redeemed.points, 0) AS spent
        FROM redemptions AS r
        FULL JOIN redeemed ON redeemed.cafe_id = r.cafe_id AND redeemed.redemption_id = r.id
    ) AS both_sides
    WHERE kept <> spent
    UNION ALL
    SELECT 'bill_asks_for_others', cafe_id, customer_id, points, answered FROM asked WHERE points <> answered
    UNION ALL
    SELECT 'lot_is_not_of_its_visit', l.cafe_id, l.customer_id, extract(epoch FROM e.occurred_at)::bigint,
           extract(epoch FROM l.earned_at)::bigint
    FROM point_lots AS l
    JOIN visit_earnings AS e ON e.cafe_id = l.cafe_id AND e.customer_id = l.customer_id AND e.visit_id = l.lot_id
    WHERE e.state <> 'voided' AND l.earned_at <> e.occurred_at
    UNION ALL
    SELECT 'vouchers_are_not_cards', cafe_id, customer_id, completed, earned FROM issued WHERE completed <> earned
    UNION ALL
    SELECT 'voucher_is_not_earned', cafe_id, customer_id, 0, early FROM issued WHERE early > 0
    UNION ALL
    -- Of one that is owed the bill may have another moment, or none.
    SELECT 'voucher_is_not_of_its_bill', v.cafe_id, v.customer_id,
           coalesce(extract(epoch FROM e.occurred_at)::bigint, 0), extract(epoch FROM v.earned_at)::bigint
    FROM vouchers AS v
    LEFT JOIN cards AS c USING (cafe_id, customer_id, card_key)
    LEFT JOIN visit_earnings AS e
    ON e.cafe_id = v.cafe_id AND e.customer_id = v.customer_id AND e.visit_id = v.visit_id
    WHERE e.visit_id IS NULL
        OR (v.state <> 'withdrawn' AND v.number <= c.completed
            AND (e.state = 'voided' OR e.occurred_at <> v.earned_at))
    UNION ALL
    SELECT 'grant_is_not_ledger', coalesce(g.cafe_id, l.cafe_id), coalesce(g.customer_id, l.customer_id),
           coalesce(g.points, 0), coalesce(l.points_change, 0)
    FROM grants AS g
    FULL JOIN (
        SELECT cafe_id, id, customer_id, transaction_type, points_change FROM loyalty_transactions
        WHERE notes LIKE 'grant %' AND points_change > 0
    ) AS l ON l.cafe_id = g.cafe_id AND l.id = g.grant_id AND l.customer_id = g.customer_id
        AND l.transaction_type = g.type
    WHERE g.points IS DISTINCT FROM l.points_change
    UNION ALL
    SELECT 'grant_is_not_taken_back', g.cafe_id, g.customer_id,
           CASE g.state WHEN 'taken_back' THEN -g.points ELSE 0 END, coalesce(l.points_change, 0)
    FROM grants AS g
    LEFT JOIN (
        SELECT cafe_id, customer_id, notes, sum(points_change)::bigint AS points_change FROM loyalty_transactions
        WHERE notes LIKE 'taken back %' GROUP BY cafe_id, customer_id, notes
    ) AS l ON l.cafe_id = g.cafe_id AND l.customer_id = g.customer_id AND l.notes = 'taken back ' || g.grant_id
    WHERE CASE g.state WHEN 'taken_back' THEN -g.points ELSE 0 END <> coalesce(l.points_change, 0)
    UNION ALL
    SELECT 'more_given_than_asked', r.cafe_id, r.created_by, r.total_points, sum(g.points)::bigint
    FROM grant_runs AS r JOIN grants AS g ON g.cafe_id = r.cafe_id AND g.occasion = 'bonus:' || r.run_id
    GROUP BY r.cafe_id, r.run_id HAVING sum(g.points) > r.total_points
    UNION ALL
    SELECT 'lot_is_not_of_its_grant', g.cafe_id, g.customer_id, extract(epoch FROM g.available_at)::bigint,
           extract(epoch FROM l.available_at)::bigint
    FROM grants AS g
    LEFT JOIN point_lots AS l ON l.cafe_id = g.cafe_id AND l.customer_id = g.customer_id AND l.lot_id = g.grant_id
    WHERE l.lot_id IS NULL OR l.available_at IS DISTINCT FROM g.available_at
    UNION ALL
    -- What was counted anew since may wait by its new points; it did not when it was spent.
    SELECT 'spent_before_available', r.cafe_id, r.customer_id, extract(epoch FROM l.available_at)::bigint,
           extract(epoch FROM r.created_at)::bigint
    FROM point_lots AS l
    JOIN redemptions AS r ON r.cafe_id = l.cafe_id AND r.customer_id = l.customer_id AND l.lot_id = ANY(r.lot_ids)
    WHERE l.available_at > r.created_at AND r.state = 'completed'
        AND (r.created_by IS NOT NULL OR r.till_key_id IS NOT NULL)
        AND NOT EXISTS (
            SELECT FROM visit_earnings AS e
            WHERE e.cafe_id = l.cafe_id AND e.customer_id = l.customer_id AND e.visit_id = l.lot_id
                AND (e.state <> 'recorded' OR NOT EXISTS (
                    SELECT FROM loyalty_transactions AS t
                    WHERE t.cafe_id = e.cafe_id AND t.customer_id = e.customer_id AND t.visit_id = e.visit_id
                        AND t.redemption_id IS NULL AND t.points_change = e.points
                        AND t.notes LIKE 'v' || e.program_version || ' %'
                ))
        )
    UNION ALL
    SELECT 'parts_are_not_points', cafe_id, customer_id, points,
           (SELECT coalesce(sum(part.value::bigint), 0) FROM jsonb_each_text(parts) AS part)::bigint
    FROM visit_earnings
    WHERE parts IS NOT NULL
        AND points <> (SELECT coalesce(sum(part.value::bigint), 0) FROM jsonb_each_text(parts) AS part)
    UNION ALL
    SELECT 'taken_is_not_redemptions', cafe_id, reward_id, coalesce(given.pieces, 0), coalesce(r.taken, 0)
    FROM rewards AS r FULL JOIN given USING (cafe_id, reward_id)
    WHERE coalesce(given.pieces, 0) <> coalesce(r.taken, 0)
    UNION ALL
    SELECT 'reward_is_oversold', cafe_id, reward_id, r.stock, given.pieces
    FROM rewards AS r JOIN given USING (cafe_id, reward_id)
    WHERE given.pieces > r.stock
    UNION ALL
    SELECT 'redemption_is_not_its_reward', r.cafe_id, r.customer_id, coalesce(v.cost_points, 0), r.points
    FROM redemptions AS r
    LEFT JOIN reward_versions AS v
        ON v.cafe_id = r.cafe_id AND v.reward_id = r.reward_id AND v.version = r.reward_version
    WHERE r.reward_id IS NOT NULL AND (v.cost_points IS DISTINCT FROM r.points OR v.kind <> r.kind)
)
SELECT breach, cafe_id, customer_id, expected, actual FROM found ORDER BY breach, cafe_id, customer_id LIMIT $1
"""


TYPES = """
SELECT transaction_type::text AS type, count(*) FROM loyalty_transactions
WHERE $1::uuid IS NULL OR cafe_id = $1 GROUP BY transaction_type
"""


async def count_types(conn: Connection, cafe_id: UUID | None) -> dict[str, int]:
    """How many rows of each type the ledger has, of one cafe or of all; 0 of a type that it has none of."""
    found = {row["type"]: row["count"] for row in await conn.fetch(TYPES, cafe_id)}
    return {kind: found.get(kind, 0) for kind in get_args(LedgerType)}


async def audit(conn: Connection, limit: int = 1000) -> list[dict[str, Any]]:
    """At most `limit` breaches, each with `breach` (its name), `cafe_id`, `customer_id`, `expected` and `actual`. What
    is about a reward has its id in place of a guest's.

    None means: every balance is the sum of its ledger and of its lots, each row's `balance_after` follows from the row
    before, visits, spending and redemptions are what the rows behind them add up to, each bill that asks for points has
    an answer for as many, each visit's lot is of its moment, what the rules gave adds up to the visit's points, each
    grant has one entry and one lot, nobody spent over HTTP what still waited, of each reward so many are taken as
    redemptions of it stand, no more than there are, each for what that version costs, and each completed card has one
    voucher of the bill that completed it; beyond these there are only used ones.
    """
    return [dict(row) for row in await conn.fetch(AUDIT, limit)]
