"""Rows of a long history, set by set, as the services would have written them one by one.

Every guest came `{rounds}` times, evenly over the year that ended at `{now}`: visit number v is of guest v modulo
`{guests}`. A bill is of 20,000 to 99,000 Toman and earns a point per 1,000, so that nobody has left bronze yet. The
table `bench_guests` (made by `history`) holds who the guests are, in the order of `n`.
"""

AT = "timestamptz '{starts}' + (({round} - 1) * {guests}::bigint + g.n) * interval '{step} microseconds'"
LAST_AT = "timestamptz '{starts}' + (({rounds} - 1) * {guests}::bigint + g.n) * interval '{step} microseconds'"
FIRST_AT = "timestamptz '{starts}' + g.n * interval '{step} microseconds'"
POINTS = "(20 + g.n % 80)"
# Version 7: the millisecond, then what makes it the only one.
TIME_ORDERED = "(lpad(to_hex({{starts_ms}} + {visits} * {{step}} / 1000), 12, '0') || {tail})::uuid"
BEFORE = "(({round} - 1) * {guests}::bigint + g.n)"
VISIT_ID = TIME_ORDERED.format(visits=BEFORE, tail="g.tail")
EVENT_ID = TIME_ORDERED.format(visits=BEFORE, tail="g.other_tail")
DEVICE = "'till-' || g.n % 20"
RECEIPT = "'h' || (({round} - 1) * {guests}::bigint + g.n)"
OF_ROUND = "FROM bench_guests g ORDER BY g.n"
# How many of a guest's visits came at `{since}` or later.
VISITS_SINCE = """least({rounds}, greatest(0, {rounds} - ceil(
    (extract(epoch FROM timestamptz '{since}' - timestamptz '{starts}') * 1000000 / {step} - g.n) / {guests}
)))::int"""
YEAR_POINTS = f"{POINTS} * {VISITS_SINCE}"

GUESTS = """
CREATE UNLOGGED TABLE bench_guests (
    n integer, cafe_id uuid, customer_id uuid, phone_hash bytea, tail text, other_tail text
)
"""
# Read over and over: let nothing of it be written again.
PREPARE = "SET synchronize_seqscans = off; SET max_parallel_workers_per_gather = 0; SET work_mem = '256MB'"

ITEMS = (
    """'[{{"name": "قهوه ترک", "quantity": "2", "amount": "60000"}}, {{"name": "کیک هویج", "quantity": "1"}}]'::jsonb"""
)

# Service -> what is written per round, and what is written per guest once all rounds are there.
PER_ROUND = {
    "visit": {
        "customer_visits": f"""
INSERT INTO customer_visits (id, cafe_id, customer_id, visit_date, visit_number, device_id, receipt_number,
    total_amount, currency_unit, payment_method, items_ordered, item_count, points_earned, points_version, created_at,
    updated_at)
SELECT {VISIT_ID}, g.cafe_id, g.customer_id, {AT}, {{round}}, {DEVICE}, {RECEIPT}, {POINTS} * 1000, 'IRT', 'card',
       {ITEMS}, 2, {POINTS}, {{round}}, {AT}, {AT} {OF_ROUND}""",
        "visit_receipts": f"""
INSERT INTO visit_receipts (cafe_id, device_id, receipt_number, event_id, fingerprint, visit_id, visit_date,
    customer_id, visit_number)
SELECT g.cafe_id, {DEVICE}, {RECEIPT}, {EVENT_ID}, decode(md5({RECEIPT}), 'hex'), {VISIT_ID}, {AT}, g.customer_id,
       {{round}} {OF_ROUND}""",
    },
    "loyalty": {
        "loyalty_transactions": f"""
INSERT INTO loyalty_transactions (id, cafe_id, customer_id, account_version, transaction_type, points_change, visit_id,
    order_reference, description, notes, related_amount, currency_unit, occurred_at, created_at, balance_after)
SELECT {EVENT_ID}, g.cafe_id, g.customer_id, {{round}}, 'earned_purchase', {POINTS}, {VISIT_ID}, {RECEIPT},
       'امتیاز خرید', 'v1 x1', {POINTS} * 1000, 'IRT', {AT}, {AT}, {POINTS} * {{round}} {OF_ROUND}""",
        "point_lots": f"""
INSERT INTO point_lots (cafe_id, customer_id, lot_id, points, remaining, earned_at)
SELECT g.cafe_id, g.customer_id, {VISIT_ID}, {POINTS}, {POINTS}, {AT} {OF_ROUND}""",
        "visit_earnings": f"""
INSERT INTO visit_earnings (cafe_id, customer_id, visit_id, state, occurred_at, device_id, receipt_number, final_amount,
    currency_unit, points, multiplier, program_version)
SELECT g.cafe_id, g.customer_id, {VISIT_ID}, 'recorded', {AT}, {DEVICE}, {RECEIPT}, {POINTS} * 1000, 'IRT', {POINTS}, 1,
       1 {OF_ROUND}""",
    },
    "campaign": {
        "journey_runs": f"""
INSERT INTO journey_runs (cafe_id, journey_id, trigger_id, customer_id, occurred_at, due_at, state, correlation_id,
    causation_id, created_at)
SELECT g.cafe_id, j.id, {VISIT_ID}, g.customer_id, {AT}, {AT} + interval '5 minutes', 'queued', {EVENT_ID}, {EVENT_ID},
       {AT}
FROM bench_guests g JOIN journeys j ON j.cafe_id = g.cafe_id AND j.journey_key = 'thanks' ORDER BY g.n""",
    },
    "feedback": {
        "visits": f"""
INSERT INTO visits (cafe_id, visit_id, customer_id, visit_at, final_amount, currency_unit, table_number)
SELECT g.cafe_id, {VISIT_ID}, g.customer_id, {AT}, {POINTS} * 1000, 'IRT', '12' {OF_ROUND}""",
        # Dead links are pruned.
        "feedback_links": f"""
INSERT INTO feedback_links (cafe_id, visit_id, id, customer_id, token_sha256, correlation_id, created_at, expires_at)
SELECT g.cafe_id, {VISIT_ID}, {EVENT_ID}, g.customer_id, sha256(convert_to(({VISIT_ID})::text, 'UTF8')), {EVENT_ID},
       {AT}, {AT} + interval '14 days'
FROM bench_guests g WHERE {AT} > timestamptz '{{now}}' - interval '44 days' ORDER BY g.n""",
    },
}
PER_GUEST = {
    "visit": {
        "guests": f"""
INSERT INTO guests (cafe_id, phone_hash, customer_id, name_known, profiled_at, created_at)
SELECT g.cafe_id, g.phone_hash, g.customer_id, true, {FIRST_AT}, {FIRST_AT} {OF_ROUND}""",
        "guest_consents": f"""
INSERT INTO guest_consents (cafe_id, customer_id, granted, changed_at, source)
SELECT g.cafe_id, g.customer_id, true, {FIRST_AT}, 'till' {OF_ROUND}""",
        "visit_counters": f"""
INSERT INTO visit_counters (cafe_id, customer_id, last_number)
SELECT g.cafe_id, g.customer_id, {{rounds}} {OF_ROUND}""",
    },
    "loyalty": {
        "customer_loyalty": f"""
INSERT INTO customer_loyalty (id, cafe_id, customer_id, points_earned, tier_start_date, lifetime_spent,
    current_year_spent, current_month_spent, total_visits, visits_this_month, last_visit_date, first_visit_date,
    points_to_next_tier, next_tier_points, year_ends_on, month_ends_on, tier_period_ends_on, tier_period_points,
    previous_period_points, counted_tier_since, last_visit_at, program_version, account_version, created_at, updated_at)
SELECT gen_random_uuid(), g.cafe_id, g.customer_id, {POINTS} * {{rounds}}, d.first_day, {POINTS} * 1000 * {{rounds}},
       {YEAR_POINTS} * 1000, {POINTS} * 1000, {{rounds}}, 1, d.last_day, d.first_day, 500 - {YEAR_POINTS}, 500,
       date '{{year_ends}}', d.last_day + 29, date '{{year_ends}}', {YEAR_POINTS},
       {POINTS} * {{rounds}} - {YEAR_POINTS}, d.first_day, {LAST_AT}, 1, {{rounds}}, {FIRST_AT}, {LAST_AT}
FROM bench_guests g
CROSS JOIN LATERAL (SELECT ({FIRST_AT})::date AS first_day, ({LAST_AT})::date AS last_day) d ORDER BY g.n""",
    },
    "customer": {
        "customers": f"""
INSERT INTO customers (cafe_id, id, phone_sealed, phone_hash, phone_last4, name, city, segment, created_at,
    updated_at)
SELECT g.cafe_id, g.customer_id, '{{sealed}}', g.phone_hash, right(g.n::text, 4),
       (ARRAY['سارا', 'علی', 'مریم', 'رضا', 'زهرا', 'حسین', 'نرگس'])[1 + g.n % 7] || ' '
           || (ARRAY['احمدی', 'کریمی', 'محمدی', 'رضایی', 'حسینی'])[1 + g.n / 7 % 5],
       (ARRAY['تهران', 'اصفهان', 'شیراز', 'تبریز'])[1 + g.n % 4], 'occasional', {FIRST_AT}, {FIRST_AT} {OF_ROUND}""",
        "consents": f"""
INSERT INTO consents (cafe_id, customer_id, channel, purpose, granted, source, changed_at)
SELECT g.cafe_id, g.customer_id, 'sms', 'marketing', true, 'till', {FIRST_AT} {OF_ROUND}""",
        "consent_history": f"""
INSERT INTO consent_history (cafe_id, customer_id, id, channel, purpose, granted, source, occurred_at, recorded_at)
SELECT g.cafe_id, g.customer_id, {TIME_ORDERED.format(visits="g.n::bigint", tail="g.tail")}, 'sms', 'marketing', true,
       'till', {FIRST_AT}, {FIRST_AT} {OF_ROUND}""",
    },
    "campaign": {
        "contacts": f"""
INSERT INTO contacts (cafe_id, customer_id, version, phone_sealed, phone_hash, name_sealed, status_at)
SELECT g.cafe_id, g.customer_id, 1, '{{sealed}}', g.phone_hash, '{{sealed}}', {FIRST_AT} {OF_ROUND}""",
        "consents": f"""
INSERT INTO consents (cafe_id, customer_id, channel, purpose, granted, changed_at, source)
SELECT g.cafe_id, g.customer_id, 'sms', 'marketing', true, {FIRST_AT}, 'till' {OF_ROUND}""",
    },
    "feedback": {},
}
# What the visits of the guests add up to, without the evaluation of segments.
ACTIVITY = f"""
SELECT g.cafe_id, g.customer_id, {FIRST_AT} AS registered_at, {FIRST_AT} AS first_visit_at, {LAST_AT} AS last_visit_at,
       {POINTS} * {{rounds}}::bigint AS current_points, {{rounds}}::bigint AS points_version, 0::bigint AS tier_version,
       'bronze'::loyalty_tier_enum AS tier_level, {{rounds}} AS total_visits, 0 AS rating_sum, 0 AS rating_count,
       {POINTS} * 1000::numeric * {{rounds}} AS lifetime_spent,
       CASE WHEN {LAST_AT} > timestamptz '{{now}}' - interval '31 days' THEN ARRAY[{LAST_AT}]
            ELSE ARRAY[]::timestamptz[] END AS recent_visits
{OF_ROUND}"""
# Events of the last 30 days; how many each service takes in per visit.
INBOX = f"""
INSERT INTO crm.inbox (event_id, received_at)
SELECT CASE copy WHEN 1 THEN {EVENT_ID} ELSE {VISIT_ID} END, {AT}
FROM bench_guests g CROSS JOIN generate_series(1, {{copies}}) AS copy
WHERE {AT} > timestamptz '{{now}}' - interval '30 days'"""
COPIES = {"visit": 1, "loyalty": 1, "customer": 2, "campaign": 1, "feedback": 1}

# Segments of the customer service, whose evaluation is its own SQL (`{mask}` and `{check_at}`).
EVALUATED = """
INSERT INTO customer_activity (cafe_id, customer_id, registered_at, segment_mask, next_check_at, first_visit_at,
    last_visit_at, current_points, points_version, tier_version, tier_level, total_visits, rating_sum, rating_count,
    lifetime_spent, recent_visits)
SELECT a.cafe_id, a.customer_id, a.registered_at, {mask}, {check_at}, a.first_visit_at, a.last_visit_at,
       a.current_points, a.points_version, a.tier_version, a.tier_level, a.total_visits, a.rating_sum, a.rating_count,
       a.lifetime_spent, a.recent_visits
FROM ({activity}) a {join} WHERE $1::timestamptz IS NOT NULL"""
MEMBERS = {
    "segment_members": """
INSERT INTO segment_members (cafe_id, segment_id, customer_id, entered_at)
SELECT a.cafe_id, s.id, a.customer_id, a.registered_at
FROM customer_activity a JOIN customer_segments s ON s.cafe_id = a.cafe_id AND a.segment_mask >> s.slot & 1 = 1""",
    "segment_history": """
INSERT INTO segment_history (cafe_id, customer_id, segment_id, entered_at, reason)
SELECT m.cafe_id, m.customer_id, m.segment_id, m.entered_at, 'visit' FROM segment_members m""",
}
COUNT_MEMBERS = """
UPDATE customer_segments s SET customer_count = m.customers
FROM (SELECT cafe_id, segment_id, count(*) AS customers FROM segment_members GROUP BY 1, 2) m
WHERE s.cafe_id = m.cafe_id AND s.id = m.segment_id"""
SHOW_SEGMENTS = """
UPDATE customers c SET segment = m.segment::customer_segment_enum
FROM (
    SELECT cafe_id, customer_id, CASE WHEN segment_mask & 4 > 0 THEN 'vip' WHEN segment_mask & 2 > 0 THEN 'regular'
                                      WHEN segment_mask & 1 > 0 THEN 'new' END AS segment
    FROM customer_activity
) m
WHERE c.cafe_id = m.cafe_id AND c.id = m.customer_id AND m.segment IS NOT NULL"""
# Guests of many kinds, for evaluating: their last visits lie within four months, a fifth of a fifth is on each step.
VARIED_ACTIVITY = """
SELECT g.cafe_id, g.customer_id, f.first_at AS registered_at, f.first_at AS first_visit_at, f.last_at AS last_visit_at,
       g.n % 40 * 50::bigint AS current_points, f.visits::bigint AS points_version, 1::bigint AS tier_version,
       (ARRAY['bronze', 'bronze', 'bronze', 'silver', 'gold'])[1 + g.n / 20 % 5]::loyalty_tier_enum AS tier_level,
       f.visits AS total_visits, CASE WHEN g.n % 4 = 0 THEN 1 + g.n / 4 % 5 ELSE 0 END AS rating_sum,
       CASE WHEN g.n % 4 = 0 THEN 1 ELSE 0 END AS rating_count,
       f.visits * (50000 + g.n / 400 % 7 * 20000)::numeric AS lifetime_spent,
       ARRAY(
           SELECT f.last_at - back * interval '1 day' * (1 + g.n / 100 % 6)
           FROM generate_series(0, least(f.visits - 1, g.n / 600 % 5)) AS back
           WHERE f.last_at - back * interval '1 day' * (1 + g.n / 100 % 6) > timestamptz '{now}' - interval '31 days'
       ) AS recent_visits
FROM bench_guests g
CROSS JOIN LATERAL (
    SELECT 1 + g.n % 20 AS visits,
           that_day - interval '1 day' * (120 + g.n / 37 % 600) AS first_at,
           that_day - interval '1 day' * (g.n / 11 % 120) AS last_at
    FROM (SELECT timestamptz '{now}' - interval '1 second' * (g.n % 86399) AS that_day) AS today
) f
ORDER BY g.n"""
