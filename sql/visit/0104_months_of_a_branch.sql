-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- With a branch everything is counted over that branch's visits alone, as if it were the cafe. Sums are as large as they
-- are: amounts that fit one by one must not stop the month. The version
-- before calls the new ones by the same words.
-- squawk-ignore ban-drop-function
DROP FUNCTION get_monthly_crm_stats(date, uuid);
-- squawk-ignore ban-drop-function
DROP FUNCTION crm_stats_between(uuid, timestamptz, timestamptz, timestamptz);

-- Visits of [starts, ends) of one cafe; a guest is retained who came in [previous_starts, starts) and came again.
CREATE FUNCTION crm_stats_between(
    target_cafe uuid, previous_starts timestamptz, starts timestamptz, ends timestamptz, target_branch uuid DEFAULT NULL
) RETURNS TABLE (
    new_customers integer, total_visits integer, total_revenue numeric, avg_rating numeric, retention_rate numeric,
    currency_unit text
) LANGUAGE sql STABLE AS $$
WITH visits AS MATERIALIZED (
    SELECT v.customer_id, in_toman(v.final_amount, v.currency_unit) AS revenue, v.feedback_rating
    FROM customer_visits v
    WHERE v.cafe_id = target_cafe AND v.visit_date >= starts AND v.visit_date < ends AND v.voided_at IS NULL
      AND (target_branch IS NULL OR v.branch_id = target_branch)
), present AS (
    SELECT DISTINCT customer_id FROM visits WHERE customer_id IS NOT NULL
), previous AS (
    SELECT DISTINCT v.customer_id FROM customer_visits v
    WHERE v.cafe_id = target_cafe AND v.visit_date >= previous_starts AND v.visit_date < starts
      AND v.voided_at IS NULL AND v.customer_id IS NOT NULL
      AND (target_branch IS NULL OR v.branch_id = target_branch)
), retention AS (
    SELECT count(*) AS previous, count(p.customer_id) AS returned
    FROM previous LEFT JOIN present p USING (customer_id)
)
SELECT
    (
        SELECT count(*)::integer FROM present p
        WHERE NOT EXISTS (
            SELECT FROM customer_visits v
            WHERE v.cafe_id = target_cafe AND v.customer_id = p.customer_id AND v.visit_date < starts
              AND v.voided_at IS NULL AND (target_branch IS NULL OR v.branch_id = target_branch)
        )
    ),
    (SELECT count(*)::integer FROM visits),
    (SELECT round(coalesce(sum(revenue), 0), 2) FROM visits),
    (SELECT round(coalesce(avg(feedback_rating), 0), 2) FROM visits),
    CASE WHEN r.previous > 0 THEN round(100.0 * r.returned / r.previous, 2) ELSE 0 END,
    'IRT'
FROM retention r
$$;

-- The month of `target_month` in the cafe's own calendar and time zone. Row level security decides which cafes there are.
CREATE FUNCTION get_monthly_crm_stats(
    target_month date DEFAULT CURRENT_DATE, target_cafe uuid DEFAULT NULL, target_branch uuid DEFAULT NULL
) RETURNS TABLE (
    cafe_id uuid, month_starts date, month_ends date, new_customers integer, total_visits integer,
    total_revenue numeric, avg_rating numeric, retention_rate numeric, currency_unit text
) LANGUAGE sql STABLE AS $$
SELECT c.cafe_id, lower(m.this), upper(m.this) - 1, s.*
FROM cafes c
CROSS JOIN LATERAL (
    SELECT this, calendar_month(lower(this) - 1, c.calendar) AS previous
    FROM calendar_month(target_month, c.calendar) AS this
) m
CROSS JOIN LATERAL crm_stats_between(
    c.cafe_id,
    lower(m.previous)::timestamp AT TIME ZONE c.time_zone,
    lower(m.this)::timestamp AT TIME ZONE c.time_zone,
    upper(m.this)::timestamp AT TIME ZONE c.time_zone,
    target_branch
) s
WHERE target_cafe IS NULL OR c.cafe_id = target_cafe
$$;

-- migrate:down
