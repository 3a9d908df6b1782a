"""What must hold at every moment, as questions to the databases. Whoever finds a row has found a breach.

A `Rule` lies inside one database. A `Pair` says that two services, who never talk, tell the same about the same things;
there the second may be a moment behind the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Every statement takes the cafe, or NULL for all, as $1.
OF_CAFE = "($1::uuid IS NULL OR cafe_id = $1)"


@dataclass(frozen=True)
class Rule:
    """`sql` gives (cafe_id, id, found) for each breach in the database of `service`."""

    name: str
    service: str
    sql: str


@dataclass(frozen=True)
class Pair:
    """Two statements, each giving (cafe_id, id, fact, ...) in that order and sorted by cafe and id.

    `facts` names what comes after the id; NULL on the left is what nobody knows there any more. With `left_only` what
    only the second knows is no breach. `unless` names a fact that excuses what only one of them knows.
    """

    name: str
    left: tuple[str, str]
    right: tuple[str, str]
    facts: Sequence[str]
    left_only: bool = False
    unless: str | None = None


OUTBOX = f"""
SELECT cafe_id, topic AS id, 'unpublished since ' || min(created_at) AS found
FROM crm.outbox WHERE {OF_CAFE} AND created_at < now() - interval '60 seconds' GROUP BY cafe_id, topic
"""  # noqa: S608
# Months that were detached can't be read any more; their receipts stay.
ARCHIVED_BEFORE = """
SELECT coalesce(max(to_date(c.relname, '"customer_visits_y"YYYY"m"MM') + interval '1 month'), '-infinity')
FROM pg_class c WHERE c.relname LIKE 'customer\\_visits\\_y%' AND c.relkind = 'r' AND NOT c.relispartition
"""
RECEIPTS = f"""
SELECT cafe_id, device_id || ' ' || receipt_number AS id,
       count(v.id) || ' visits for a receipt that names ' || count(DISTINCT r.visit_id) AS found
FROM visit_receipts r
FULL JOIN (SELECT cafe_id, device_id, receipt_number, id, visit_date FROM customer_visits) v
    USING (cafe_id, device_id, receipt_number)
WHERE {OF_CAFE} AND coalesce(r.visit_date, v.visit_date) >= ({ARCHIVED_BEFORE})
GROUP BY cafe_id, device_id, receipt_number
HAVING count(v.id) <> count(DISTINCT r.visit_id) OR count(v.id) > 1 OR bool_or(v.id <> r.visit_id)
"""  # noqa: S608
# Numbers are missing only between those that came, and each once.
GAPS = """
SELECT g.cafe_id, g.device_id AS id,
       'misses ' || g.missing_from || ' to ' || g.missing_to || ', sent ' || coalesce(d.lowest_sequence::text, '?')
           || ' to ' || coalesce(d.highest_sequence::text, '?') AS found
FROM (
    SELECT *, lag(missing_to) OVER (PARTITION BY cafe_id, device_id ORDER BY missing_from) AS before FROM device_gaps
) g
LEFT JOIN till_devices d ON d.cafe_id = g.cafe_id AND d.device_id = g.device_id
WHERE ($1::uuid IS NULL OR g.cafe_id = $1)
  AND (g.missing_to >= coalesce(d.highest_sequence, 0) OR g.missing_from <= d.lowest_sequence
       OR g.before >= g.missing_from - 1)
"""
_ZONES = f"""
zones AS (
    SELECT v.cafe_id, coalesce(c.time_zone, 'Asia/Tehran') AS zone, coalesce(c.calendar, 'jalali') AS calendar
    FROM (
        SELECT cafe_id FROM customer_visits UNION SELECT cafe_id FROM daily_stats UNION SELECT cafe_id FROM guest_days
    ) v
    LEFT JOIN cafes c USING (cafe_id)
    WHERE {OF_CAFE}
)
"""  # noqa: S608
# Days that have ended, that nobody has noted since, and whose visits are all still there.
_SETTLED = f"""
stat_date < (now() AT TIME ZONE z.zone)::date AND stat_date > ({ARCHIVED_BEFORE})
AND (cafe_id, stat_date) NOT IN (SELECT q.cafe_id, q.stat_date FROM days_to_count q WHERE q.stat_date IS NOT NULL)
AND cafe_id NOT IN (SELECT q.cafe_id FROM days_to_count q WHERE q.stat_date IS NULL)
"""  # noqa: S608
_LOCAL_TOMAN = "CASE v.currency_unit WHEN 'IRT' THEN v.final_amount ELSE v.final_amount / 10 END"
# `place`: the branch, or the cafe itself for the whole of it.
DAYS = f"""
WITH {_ZONES}, counted AS (
    SELECT v.cafe_id, (v.visit_date AT TIME ZONE z.zone)::date AS stat_date, coalesce(v.branch_id, v.cafe_id) AS place,
           count(DISTINCT v.customer_id) AS guests, count(*) AS visits, round(sum({_LOCAL_TOMAN}), 2) AS toman,
           round(avg(v.feedback_rating), 2) AS rating, count(v.customer_id) AS known,
           round(coalesce(sum({_LOCAL_TOMAN}) FILTER (WHERE v.customer_id IS NOT NULL), 0), 2) AS known_toman,
           count(v.feedback_rating) AS ratings, coalesce(sum(v.feedback_rating), 0) AS stars,
           sum(extract(hour FROM v.visit_date AT TIME ZONE z.zone)) AS hours
    FROM customer_visits v JOIN zones z USING (cafe_id)
    WHERE v.voided_at IS NULL
    GROUP BY GROUPING SETS ((1, 2), (1, 2, v.branch_id))
    HAVING grouping(v.branch_id) = 1 OR v.branch_id IS NOT NULL
), shown AS (
    SELECT cafe_id, stat_date, coalesce(branch_id, cafe_id) AS place, unique_customers AS guests,
           total_visits AS visits, total_revenue AS toman, avg_rating AS rating, known_visits AS known,
           known_revenue AS known_toman, rating_count AS ratings, rating_sum AS stars,
           (SELECT sum(h.visits * (h.place - 1)) FROM unnest(hour_visits) WITH ORDINALITY AS h (visits, place)) AS hours
    FROM daily_stats
)
SELECT cafe_id, stat_date || ' ' || place AS id,
       concat_ws(' ', 'visits, guests, Toman, rating, known are', s.visits, s.guests, s.toman, s.rating, s.known,
                 'and must be', v.visits, v.guests, v.toman, v.rating, v.known) AS found
FROM shown s FULL JOIN counted v USING (cafe_id, stat_date, place) JOIN zones z USING (cafe_id)
WHERE (s.guests, s.visits, s.toman, s.rating, s.known, s.known_toman, s.ratings, s.stars, s.hours)
      IS DISTINCT FROM
      (v.guests, v.visits, v.toman, v.rating, v.known, v.known_toman, v.ratings, v.stars, v.hours)
  AND {_SETTLED}
"""  # noqa: S608
GUEST_DAYS = f"""
WITH {_ZONES}, came AS (
    SELECT DISTINCT v.cafe_id, v.customer_id, (v.visit_date AT TIME ZONE z.zone)::date AS stat_date, true AS is_there
    FROM customer_visits v JOIN zones z USING (cafe_id) WHERE v.voided_at IS NULL AND v.customer_id IS NOT NULL
), kept AS (SELECT cafe_id, customer_id, stat_date, true AS is_kept FROM guest_days)
SELECT cafe_id, stat_date || ' ' || customer_id AS id,
       CASE WHEN is_kept THEN 'counted, and has no bill' ELSE 'has a bill, and is not counted' END AS found
FROM came FULL JOIN kept USING (cafe_id, customer_id, stat_date) JOIN zones z USING (cafe_id)
WHERE (is_there AND is_kept) IS NOT TRUE AND {_SETTLED}
"""  # noqa: S608
# Months follow from the days that are kept, whatever became of the visits.
GUEST_MONTHS = f"""
WITH {_ZONES}, days AS (
    SELECT g.cafe_id, g.customer_id, g.stat_date, lower(calendar_month(g.stat_date, z.calendar)) AS month
    FROM guest_days g JOIN zones z USING (cafe_id)
), firsts AS (
    SELECT cafe_id, customer_id, month, min(stat_date) AS first_day FROM days GROUP BY 1, 2, 3
), counted AS (
    SELECT f.cafe_id, (SELECT min(o.month) FROM firsts o WHERE o.cafe_id = f.cafe_id AND o.customer_id = f.customer_id)
               AS first_month,
           f.month, count(*)::int AS guests, count(*) FILTER (WHERE d.gap <= 30)::int AS again_30,
           count(*) FILTER (WHERE d.gap <= 60)::int AS again_60, count(*) FILTER (WHERE d.gap <= 90)::int AS again_90
    FROM firsts f CROSS JOIN LATERAL (
        SELECT min(g.stat_date) - f.first_day AS gap FROM guest_days g
        WHERE g.cafe_id = f.cafe_id AND g.customer_id = f.customer_id AND g.stat_date > f.first_day
    ) d
    GROUP BY 1, 2, 3
), kept AS (SELECT * FROM guest_months WHERE {OF_CAFE})
SELECT cafe_id, first_month || ' ' || month AS id,
       concat_ws(' ', 'guests, again in 30, 60, 90 are', k.guests, k.again_30, k.again_60, k.again_90, 'and must be',
                 c.guests, c.again_30, c.again_60, c.again_90) AS found
FROM kept k FULL JOIN counted c USING (cafe_id, first_month, month)
WHERE (k.guests, k.again_30, k.again_60, k.again_90) IS DISTINCT FROM (c.guests, c.again_30, c.again_60, c.again_90)
  AND cafe_id NOT IN (SELECT q.cafe_id FROM days_to_count q WHERE q.stat_date IS NULL)
"""  # noqa: S608
# Which name a line counts under may change by an erasure; what all lines of a month come to may not.
COUNTED_MONTHS = f"""
WITH {_ZONES}, spans AS (
    SELECT m.cafe_id, m.month, m.month::timestamp AT TIME ZONE z.zone AS begins,
           least(
               upper(calendar_month(m.month, z.calendar))::timestamp,
               date_trunc('day', m.counted_at AT TIME ZONE z.zone)
           ) AT TIME ZONE z.zone AS ends
    FROM counted_months m JOIN zones z USING (cafe_id)
    WHERE m.due_at IS NULL AND m.month > ({ARCHIVED_BEFORE})
      AND cafe_id NOT IN (SELECT q.cafe_id FROM days_to_count q WHERE q.stat_date IS NULL)
      AND NOT EXISTS (
          SELECT FROM days_to_count q
          WHERE q.cafe_id = m.cafe_id AND q.stat_date <@ calendar_month(m.month, z.calendar)
            AND q.stat_date < (now() AT TIME ZONE z.zone)::date
      )
), visits AS (
    SELECT s.cafe_id, s.month, v.branch_id, v.customer_id, v.items_ordered, v.currency_unit
    FROM spans s JOIN customer_visits v ON v.cafe_id = s.cafe_id AND v.visit_date >= s.begins AND v.visit_date < s.ends
    WHERE v.voided_at IS NULL
), there AS (
    SELECT cafe_id, month, NULL::uuid AS branch_id, sum(coalesce((l.line ->> 'quantity')::numeric, 1)) AS pieces,
           round(sum(coalesce((l.line ->> 'amount')::numeric, 0) / CASE currency_unit WHEN 'IRT' THEN 1 ELSE 10 END), 2)
               AS toman
    FROM visits CROSS JOIN LATERAL jsonb_array_elements(items_ordered) AS l (line) GROUP BY 1, 2
    UNION ALL
    SELECT cafe_id, month, branch_id, count(DISTINCT customer_id), 0 FROM visits
    WHERE branch_id IS NOT NULL AND customer_id IS NOT NULL GROUP BY 1, 2, 3
), kept AS (
    SELECT s.cafe_id, s.month, NULL::uuid AS branch_id, sum(d.quantity) AS pieces, sum(d.revenue) AS toman
    FROM spans s JOIN dish_months d USING (cafe_id, month) WHERE d.branch_id IS NULL GROUP BY 1, 2
    UNION ALL
    SELECT s.cafe_id, s.month, b.branch_id, b.guests, 0 FROM spans s JOIN branch_months b USING (cafe_id, month)
)
SELECT coalesce(k.cafe_id, t.cafe_id) AS cafe_id,
       concat_ws(' ', coalesce(k.month, t.month), coalesce(k.branch_id, t.branch_id)) AS id,
       concat_ws(' ', 'pieces or guests, Toman are', k.pieces, k.toman, 'and must be', t.pieces, t.toman) AS found
FROM kept k FULL JOIN there t ON t.cafe_id = k.cafe_id AND t.month = k.month
    AND coalesce(t.branch_id, t.cafe_id) = coalesce(k.branch_id, k.cafe_id)
WHERE k.pieces IS DISTINCT FROM t.pieces OR abs(k.toman - t.toman) > 1
"""  # noqa: S608
EARNED_TWICE = f"""
SELECT cafe_id, visit_id::text AS id, count(*) || ' entries of a purchase' AS found
FROM loyalty_transactions
WHERE {OF_CAFE} AND transaction_type = 'earned_purchase' GROUP BY cafe_id, visit_id HAVING count(*) > 1
"""  # noqa: S608
OVERSPENT = f"""
SELECT cafe_id, customer_id::text AS id,
       'spent or expired ' || points_redeemed + points_expired || ' of ' || points_earned || ', owes ' || points_owed
           AS found
FROM customer_loyalty
WHERE {OF_CAFE} AND points_redeemed + points_expired > points_earned + points_owed
"""  # noqa: S608
# The ledger until where it has been summed, and every account, against the figures with what is on its way to them.
CLUB = f"""
WITH booked AS (
    SELECT cafe_id, points_change AS change, greatest(balance_after, 0) AS after,
           greatest(balance_after - points_change, 0) AS before,
           CASE WHEN redemption_id IS NOT NULL OR transaction_type IN ('redeemed_discount', 'redeemed_item')
                THEN 'redeemed' WHEN transaction_type = 'expired' THEN 'lapsed' WHEN visit_id IS NOT NULL THEN 'earned'
                WHEN points_change > 0 THEN 'given' ELSE 'taken' END AS kind
    FROM loyalty_transactions
    WHERE {OF_CAFE} AND created_at < (SELECT p.summed_until FROM crm.club_progress p)
), there AS (
    SELECT cafe_id, kind || ' of all days' AS id,
           sum(CASE WHEN kind IN ('earned', 'given') THEN change ELSE -change END) AS amount
    FROM booked GROUP BY cafe_id, kind
    UNION ALL
    SELECT cafe_id, 'outstanding', sum(after - before) FROM booked GROUP BY cafe_id
    UNION ALL
    SELECT cafe_id, 'members ' || tier_level, count(*) FROM customer_loyalty WHERE {OF_CAFE} GROUP BY 1, 2
    UNION ALL
    SELECT cafe_id, 'ending ' || crm.last_day(expires_at, c.time_zone), sum(remaining)
    FROM point_lots LEFT JOIN cafes AS c USING (cafe_id)
    WHERE {OF_CAFE} AND remaining > 0 AND expires_at IS NOT NULL GROUP BY 1, 2
), kept AS (
    SELECT cafe_id, day, what, tier, amount FROM club_figures
    UNION ALL
    SELECT cafe_id, day, what, tier, amount FROM club_changes
), told AS (
    SELECT cafe_id, CASE what WHEN 'outstanding' THEN what WHEN 'members' THEN 'members ' || tier
                              WHEN 'ending' THEN 'ending ' || day
                              ELSE what || ' of all days' END AS id, sum(amount) AS amount
    FROM kept
    WHERE {OF_CAFE} AND what NOT IN ('owed', 'lapsing', 'lapsing_guests', 'joined', 'risen', 'fallen')
    GROUP BY 1, 2
)
SELECT cafe_id, id, 'counted ' || coalesce(told.amount, 0) || ', and there are ' || coalesce(there.amount, 0) AS found
FROM told FULL JOIN there USING (cafe_id, id)
WHERE coalesce(told.amount, 0) <> coalesce(there.amount, 0)
"""  # noqa: S608
SENT_TWICE = f"""
SELECT cafe_id, customer_id::text AS id, count(*) || ' messages of one campaign for trigger ' || trigger_id AS found
FROM campaign_deliveries
WHERE {OF_CAFE} AND delivery_status NOT IN ('skipped', 'queued')
GROUP BY cafe_id, campaign_id, trigger_id, customer_id HAVING count(*) > 1
"""  # noqa: S608
RESULTS = f"""
WITH there AS (
    SELECT cafe_id, campaign_id AS id, count(*) AS recipients, count(*) FILTER (WHERE sent_at IS NOT NULL) AS sent,
           count(*) FILTER (WHERE delivered_at IS NOT NULL AND returned_by <> '{{}}') AS returned
    FROM campaign_deliveries WHERE {OF_CAFE} AND NOT is_test GROUP BY 1, 2
), ends AS (
    SELECT cafe_id, campaign_id AS id,
           CASE WHEN sent_at IS NULL THEN delivery_status::text ELSE 'undelivered' END AS outcome,
           coalesce(error_code, 'unknown') AS reason, count(*)::int AS messages
    FROM campaign_deliveries
    WHERE {OF_CAFE} AND NOT is_test AND (
        delivery_status IN ('failed', 'bounced') OR (delivery_status = 'skipped' AND sent_at IS NULL)
    ) GROUP BY 1, 2, 3, 4
), told AS (
    SELECT cafe_id, campaign_id AS id, outcome, reason, messages FROM campaign_results
    WHERE {OF_CAFE} AND messages <> 0
)
SELECT c.cafe_id, c.id::text AS id,
       'for ' || c.recipients || ' guests, sent ' || c.messages_sent || ', back ' || c.guests_returned || '; messages: '
           || coalesce(t.recipients, 0) || ', sent ' || coalesce(t.sent, 0) || ', back ' || coalesce(t.returned, 0)
           AS found
FROM campaigns c LEFT JOIN there t USING (cafe_id, id)
WHERE {OF_CAFE} AND c.recount_at IS NULL
  AND (c.recipients, c.messages_sent, c.guests_returned)
      IS DISTINCT FROM (coalesce(t.recipients, 0), coalesce(t.sent, 0), coalesce(t.returned, 0))
UNION ALL
SELECT cafe_id, id::text, concat_ws(' ', outcome, reason, 'counted', t.messages, 'and there are', e.messages)
FROM told t FULL JOIN ends e USING (cafe_id, id, outcome, reason)
WHERE t.messages IS DISTINCT FROM e.messages
  AND (cafe_id, id) IN (SELECT c.cafe_id, c.id FROM campaigns c WHERE c.recount_at IS NULL)
"""  # noqa: S608
SEGMENT_COUNTS = f"""
SELECT s.cafe_id, s.id::text AS id, s.customer_count || ' counted, ' || coalesce(m.members, 0) || ' inside' AS found
FROM customer_segments s
LEFT JOIN (
    SELECT cafe_id, segment_id AS id, count(*) AS members FROM segment_members WHERE {OF_CAFE} GROUP BY 1, 2
) m USING (cafe_id, id)
WHERE {OF_CAFE} AND s.deleted_at IS NULL AND s.customer_count <> coalesce(m.members, 0)
"""  # noqa: S608

# Whom a till made known begins with the first bill that stands.
BEGINNINGS = f"""
SELECT cafe_id, id::text AS id,
       'created ' || c.created_at || ', judged by ' || coalesce(a.registered_at::text, 'nothing') || ', first bill '
           || a.first_visit_at AS found
FROM customers c JOIN (SELECT cafe_id, customer_id AS id, registered_at, first_visit_at FROM customer_activity) a
    USING (cafe_id, id)
WHERE {OF_CAFE} AND c.is_active AND (
    a.registered_at IS DISTINCT FROM c.created_at
    OR (c.known_since IS NOT NULL AND a.first_visit_at IS NOT NULL AND c.created_at <> a.first_visit_at)
)
"""  # noqa: S608
# Whom only one of them knows, others compare (guests_are_as_active_as_their_visits).
FIRST_BILLS = f"""
SELECT cafe_id, customer_id AS id, min(visit_date) AS first, max(visit_date) AS last, true AS new FROM customer_visits
WHERE {OF_CAFE} AND customer_id IS NOT NULL AND voided_at IS NULL
  AND cafe_id NOT IN (SELECT r.cafe_id FROM visit_receipts r WHERE r.visit_date < ({ARCHIVED_BEFORE}))
GROUP BY cafe_id, customer_id ORDER BY cafe_id, customer_id
"""  # noqa: S608
FIRST_VISITS = f"""
SELECT cafe_id, customer_id AS id, first_visit_at AS first, last_visit_at AS last, true AS new FROM customer_activity
WHERE {OF_CAFE} AND total_visits > 0 ORDER BY cafe_id, customer_id
"""  # noqa: S608

_TOMAN = "CASE currency_unit WHEN 'IRT' THEN final_amount ELSE final_amount / 10 END"
# A month that was detached leaves its receipts; of its visits nothing more is known here.
VISITS = f"""
SELECT cafe_id, visit_id AS id, r.customer_id, CASE WHEN r.voided_at IS NULL THEN trim_scale({_TOMAN}) END AS toman,
       v.points_earned::bigint AS points, r.voided_at IS NOT NULL AS voided
FROM (SELECT cafe_id, visit_id, visit_date, customer_id, voided_at FROM visit_receipts) r
LEFT JOIN (
    SELECT cafe_id, id AS visit_id, visit_date, final_amount, currency_unit, points_earned FROM customer_visits
) v USING (cafe_id, visit_id, visit_date)
WHERE {OF_CAFE} AND r.customer_id IS NOT NULL ORDER BY cafe_id, visit_id
"""  # noqa: S608
EARNINGS = f"""
SELECT cafe_id, visit_id AS id, customer_id, CASE WHEN state <> 'voided' THEN trim_scale({_TOMAN}) END AS toman,
       points, state = 'voided' AS voided
FROM visit_earnings WHERE {OF_CAFE} ORDER BY cafe_id, visit_id
"""  # noqa: S608
SHOWN_AS_REDEEMED = f"""
SELECT cafe_id, id, points_redeemed::bigint AS points FROM customer_visits
WHERE {OF_CAFE} AND points_redeemed <> 0 ORDER BY cafe_id, id
"""  # noqa: S608
REDEEMED = f"""
SELECT cafe_id, visit_id AS id, sum(points)::bigint AS points FROM redemptions
WHERE {OF_CAFE} AND state = 'completed' AND visit_id IS NOT NULL GROUP BY cafe_id, visit_id ORDER BY cafe_id, visit_id
"""  # noqa: S608
# A guest who is registered and did nothing yet need not be known everywhere.
ACCOUNTS = f"""
SELECT cafe_id, customer_id AS id, total_visits, trim_scale(lifetime_spent) AS spent, current_points, tier_level::text
FROM customer_loyalty WHERE {OF_CAFE} AND (total_visits > 0 OR account_version > 0) ORDER BY cafe_id, customer_id
"""  # noqa: S608
ACTIVITIES = f"""
SELECT cafe_id, customer_id AS id, total_visits, trim_scale(lifetime_spent) AS spent, current_points, tier_level::text
FROM customer_activity WHERE {OF_CAFE} AND (total_visits > 0 OR points_version > 0) ORDER BY cafe_id, customer_id
"""  # noqa: S608
# Links are deleted some weeks after they expire, so only younger visits must have one.
FRESH_VISITS = f"""
SELECT cafe_id, id, customer_id FROM customer_visits
WHERE {OF_CAFE} AND created_at > now() - interval '10 days' AND voided_at IS NULL ORDER BY cafe_id, id
"""  # noqa: S608
LINKS = f"""
SELECT cafe_id, visit_id AS id, customer_id FROM feedback_links WHERE {OF_CAFE} ORDER BY cafe_id, visit_id
"""  # noqa: S608

# What a guest answered about advertising by SMS, as each service keeps it.
TILL_ANSWERS = f"""
SELECT cafe_id, customer_id AS id, granted FROM guest_consents WHERE {OF_CAFE} ORDER BY cafe_id, customer_id
"""  # noqa: S608
ANSWERS = f"""
SELECT cafe_id, customer_id AS id, granted FROM consents
WHERE {OF_CAFE} AND channel = 'sms' AND purpose = 'marketing' ORDER BY cafe_id, customer_id
"""  # noqa: S608

# What guests said of visits that stand, as it was said and as it counts.
SAID = f"""
SELECT cafe_id, customer_id AS id, count(*) AS ratings, sum(overall_rating) AS stars
FROM (SELECT cafe_id, visit_id, customer_id, overall_rating FROM customer_feedback) f
LEFT JOIN (SELECT cafe_id, visit_id, voided_at FROM visits) v USING (cafe_id, visit_id)
WHERE {OF_CAFE} AND customer_id IS NOT NULL AND v.voided_at IS NULL
GROUP BY cafe_id, customer_id ORDER BY cafe_id, customer_id
"""  # noqa: S608
RATED = f"""
SELECT cafe_id, customer_id AS id, rating_count::bigint AS ratings, rating_sum::bigint AS stars FROM customer_activity
WHERE {OF_CAFE} AND rating_count > 0 ORDER BY cafe_id, customer_id
"""  # noqa: S608
# Cases of guests who were erased since hold nothing, and nothing of them needs to be known.
OPEN_CASES = f"""
SELECT cafe_id, k.id, customer_id, f.forgotten_at IS NOT NULL AS forgotten
FROM feedback_cases k JOIN (SELECT cafe_id, id AS feedback_id, forgotten_at FROM customer_feedback) f
    USING (cafe_id, feedback_id)
WHERE {OF_CAFE} AND k.status = 'open' AND customer_id IS NOT NULL ORDER BY cafe_id, k.id
"""  # noqa: S608
HOLDS = f"""
SELECT cafe_id, case_id AS id, customer_id, c.erased_at IS NOT NULL AS forgotten
FROM complaint_holds h JOIN (SELECT cafe_id, customer_id, erased_at FROM contacts) c USING (cafe_id, customer_id)
WHERE {OF_CAFE} AND h.opened_at > coalesce(h.closed_at, '-infinity') ORDER BY cafe_id, case_id
"""  # noqa: S608

RULES = (
    Rule("each_receipt_is_one_visit", "visit", RECEIPTS),
    Rule("days_are_counted", "visit", DAYS),
    Rule("guests_are_counted_on_their_days", "visit", GUEST_DAYS),
    Rule("months_are_what_guests_did", "visit", GUEST_MONTHS),
    Rule("months_are_counted", "visit", COUNTED_MONTHS),
    Rule("numbers_are_missing_between_others", "visit", GAPS),
    Rule("each_visit_earns_once", "loyalty", EARNED_TWICE),
    Rule("nothing_is_overspent", "loyalty", OVERSPENT),
    Rule("club_is_counted", "loyalty", CLUB),
    Rule("nobody_is_messaged_twice", "campaign", SENT_TWICE),
    Rule("campaigns_add_up", "campaign", RESULTS),
    Rule("segments_are_counted", "customer", SEGMENT_COUNTS),
    Rule("guests_begin_with_their_bills", "customer", BEGINNINGS),
    *(
        Rule("events_leave", service, OUTBOX)
        for service in ("identity", "customer", "visit", "loyalty", "campaign", "feedback")
    ),
)
PAIRS = (
    Pair(
        "visits_earn_what_they_show", ("visit", VISITS), ("loyalty", EARNINGS),
        ("guest", "Toman", "points", "voided"), unless="voided",
    ),
    Pair(
        "guests_are_as_active_as_their_visits", ("loyalty", ACCOUNTS), ("customer", ACTIVITIES),
        ("visits", "Toman", "points", "tier"),
    ),
    Pair(
        "visits_show_what_they_redeem", ("visit", SHOWN_AS_REDEEMED), ("loyalty", REDEEMED), ("points",), left_only=True
    ),
    Pair(
        "guests_came_when_their_bills_say", ("visit", FIRST_BILLS), ("customer", FIRST_VISITS),
        ("first", "last", "new"), unless="new",
    ),
    Pair("answers_are_the_same_where_messages_leave", ("customer", ANSWERS), ("campaign", ANSWERS), ("agreed",)),
    Pair("answers_are_the_same_at_the_tills", ("customer", ANSWERS), ("visit", TILL_ANSWERS), ("agreed",)),
    Pair("ratings_of_visits_that_stand_count", ("feedback", SAID), ("customer", RATED), ("ratings", "stars")),
    Pair(
        "open_cases_hold_advertising", ("feedback", OPEN_CASES), ("campaign", HOLDS),
        ("guest", "forgotten"), unless="forgotten",
    ),
    Pair("each_visit_has_a_link", ("visit", FRESH_VISITS), ("feedback", LINKS), ("guest",), left_only=True),
)  # fmt: skip
# What loyalty's own audit calls its findings, in the words of this one.
BOOKS: Mapping[str, str] = {
    "balance_is_not_ledger": "balance_is_the_ledger",
    "balance_is_not_lots": "balance_is_the_lots",
    "chain_is_broken": "ledger_is_a_chain",
}
