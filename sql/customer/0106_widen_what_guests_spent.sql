-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- A thousand of the largest bills must fit, and those that came before bills had a bound. A wider numeric rewrites
-- nothing; the view is the same one, made again, because it stands on the column.
-- squawk-ignore ban-drop-view
DROP VIEW customer_summary;
-- squawk-ignore changing-column-type
ALTER TABLE customer_activity ALTER COLUMN lifetime_spent TYPE numeric(30, 2);

CREATE VIEW customer_summary WITH (security_invoker = true) AS
SELECT
    c.cafe_id,
    c.id,
    c.phone_sealed,
    c.phone_last4,
    c.name,
    c.status,
    c.segment,
    c.created_at,
    a.current_points,
    a.tier_level,
    a.lifetime_spent,
    a.currency_unit,
    a.total_visits,
    (a.last_visit_at AT TIME ZONE coalesce(f.time_zone, 'Asia/Tehran'))::date AS last_visit_date,
    a.last_visit_at AS last_visit,
    round(a.rating_sum::numeric / nullif(a.rating_count, 0), 2) AS avg_rating,
    CASE
        WHEN a.last_visit_at IS NOT NULL THEN floor(greatest(extract(EPOCH FROM now() - a.last_visit_at), 0) / 86400)
    END::integer AS days_since_last_visit,
    round(a.lifetime_spent / greatest(a.total_visits, 1), 2) AS avg_spend_per_visit
FROM customers AS c
INNER JOIN customer_activity AS a ON c.cafe_id = a.cafe_id AND c.id = a.customer_id
LEFT JOIN cafes AS f ON c.cafe_id = f.cafe_id
WHERE c.is_active;

GRANT SELECT ON customer_summary TO staff_role;
DO $$
BEGIN
    EXECUTE format('GRANT SELECT ON customer_summary TO %I', crm.service_role());
END $$;

-- migrate:down
