-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- One view over all cafes took longer with each of them, and one cafe's sums could stop it for all. A day is counted by
-- itself now, from that cafe's visits of that day: when it has ended, and again when one of its visits comes late, is
-- corrected, voided or rated.

-- The last three months of local days; amounts in Toman. Without a branch: the whole cafe. Of today nothing is here.
CREATE TABLE daily_stats (
    cafe_id uuid NOT NULL,
    stat_date date NOT NULL,
    branch_id uuid,
    unique_customers integer NOT NULL,
    total_visits integer NOT NULL CHECK (total_visits > 0),
    -- No number is too large, but what is none must not get here.
    total_revenue numeric NOT NULL CHECK (total_revenue < 'Infinity'),
    avg_order_value numeric NOT NULL,
    avg_rating numeric(3, 2),
    counted_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX daily_stats_day ON daily_stats (cafe_id, stat_date, branch_id) NULLS NOT DISTINCT;

-- Days that must be counted, once `due_at` has come: for a day that goes on, its end. Without a day: all that are kept.
-- Only added to, so that nobody waits for another's row and none is lost to a count that did not see its visit.
CREATE TABLE days_to_count (
    cafe_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    stat_date date,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
CREATE INDEX days_to_count_due ON days_to_count (due_at) WHERE stat_date IS NOT NULL;
CREATE INDEX days_to_count_whole ON days_to_count (due_at) WHERE stat_date IS NULL;
CREATE INDEX days_to_count_day ON days_to_count (cafe_id, stat_date, due_at);

SELECT crm.protect('daily_stats', 'SELECT');
-- Whoever writes a visit notes its day.
SELECT crm.protect('days_to_count', 'SELECT, INSERT', 'SELECT, INSERT');

-- Its first visits may have come before the cafe itself; and other midnights make other days.
CREATE FUNCTION crm.note_cafe_to_count() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.days_to_count (cafe_id, due_at) VALUES (NEW.cafe_id, now());
    RETURN NULL;
END $$;
CREATE TRIGGER count_new_cafe AFTER INSERT ON cafes FOR EACH ROW EXECUTE FUNCTION crm.note_cafe_to_count();
CREATE TRIGGER count_days_again AFTER UPDATE OF time_zone ON cafes FOR EACH ROW
WHEN (OLD.time_zone <> NEW.time_zone) EXECUTE FUNCTION crm.note_cafe_to_count();
-- The version before notes nothing: what it writes until it is replaced is counted a day later.
INSERT INTO days_to_count (cafe_id, due_at)
SELECT c.cafe_id, now() + later.wait FROM cafes c CROSS JOIN (VALUES (interval '0'), (interval '1 day')) AS later (wait);

-- One cafe's visits of one day: the whole cafe's first, then each branch's.
CREATE FUNCTION count_visits_of(target_cafe uuid, day date, zone text) RETURNS TABLE (
    branch_id uuid, unique_customers integer, total_visits integer, total_revenue numeric, avg_order_value numeric,
    avg_rating numeric
) LANGUAGE sql STABLE AS $$
SELECT
    v.branch_id,
    count(DISTINCT v.customer_id)::integer,
    count(*)::integer,
    round(sum(in_toman(v.final_amount, v.currency_unit)), 2),
    round(avg(in_toman(v.final_amount, v.currency_unit)), 2),
    round(avg(v.feedback_rating), 2)
FROM customer_visits v
WHERE v.cafe_id = target_cafe AND v.voided_at IS NULL
  AND v.visit_date >= day::timestamp AT TIME ZONE zone AND v.visit_date < (day + 1)::timestamp AT TIME ZONE zone
GROUP BY GROUPING SETS ((), (v.branch_id))
HAVING count(*) > 0 AND (grouping(v.branch_id) = 1 OR v.branch_id IS NOT NULL)
$$;

-- What is due at a moment: whoever began before a day had ended may still write a visit into it without a word.
CREATE FUNCTION ended_by(at timestamptz) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
SELECT least(at, min(a.xact_start)) FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
$$;
-- The days that have waited longest, and the cafes whose days must be found first; without those of some cafes.
CREATE FUNCTION due_days(at timestamptz, most integer, but_for uuid[] DEFAULT '{}')
RETURNS TABLE (cafe_id uuid, stat_date date) LANGUAGE sql VOLATILE AS $$
SELECT DISTINCT q.cafe_id, q.stat_date FROM (
    SELECT d.cafe_id, d.stat_date FROM days_to_count d
    WHERE d.stat_date IS NOT NULL AND d.due_at <= (SELECT ended_by(at)) AND d.cafe_id <> ALL (but_for)
    ORDER BY d.due_at LIMIT most
) q
$$;
CREATE FUNCTION due_cafes(at timestamptz, most integer, but_for uuid[] DEFAULT '{}')
RETURNS TABLE (cafe_id uuid) LANGUAGE sql VOLATILE AS $$
SELECT DISTINCT q.cafe_id FROM (
    SELECT d.cafe_id FROM days_to_count d
    WHERE d.stat_date IS NULL AND d.due_at <= (SELECT ended_by(at)) AND d.cafe_id <> ALL (but_for)
    ORDER BY d.due_at LIMIT most
) q
$$;

-- Counts these days anew, whoever noted them, and forgets what is older than anybody may ask for.
CREATE FUNCTION count_days(cafes_of uuid[], days date[], at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    due constant timestamptz := ended_by(at);
BEGIN
    -- Each statement sees what was committed before it: whose note is gone, their visit is counted.
    DELETE FROM days_to_count q USING unnest(cafes_of, days) AS t (cafe_id, stat_date)
    WHERE q.cafe_id = t.cafe_id AND q.stat_date = t.stat_date AND q.due_at <= due;
    DELETE FROM daily_stats s USING unnest(cafes_of, days) AS t (cafe_id, stat_date)
    WHERE s.cafe_id = t.cafe_id AND s.stat_date = t.stat_date;
    DELETE FROM daily_stats s USING unnest(cafes_of) AS t (cafe_id)
    WHERE s.cafe_id = t.cafe_id AND s.stat_date < at::date - 93;
    INSERT INTO daily_stats
    SELECT t.cafe_id, t.stat_date, v.branch_id, v.unique_customers, v.total_visits, v.total_revenue,
           v.avg_order_value, v.avg_rating, at
    FROM unnest(cafes_of, days) AS t (cafe_id, stat_date)
    LEFT JOIN cafes c ON c.cafe_id = t.cafe_id
    CROSS JOIN LATERAL count_visits_of(t.cafe_id, t.stat_date, coalesce(c.time_zone, 'Asia/Tehran')) v;
END $$;

-- Notes all days of these cafes that have visits, or had some when they were counted.
CREATE FUNCTION find_days(cafes_of uuid[], at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    due constant timestamptz := ended_by(at);
BEGIN
    DELETE FROM days_to_count q USING unnest(cafes_of) AS t (cafe_id)
    WHERE q.cafe_id = t.cafe_id AND q.stat_date IS NULL AND q.due_at <= due;
    INSERT INTO days_to_count (cafe_id, stat_date, due_at)
    SELECT t.cafe_id, d.stat_date, greatest(at, (d.stat_date + 1)::timestamp AT TIME ZONE z.name)
    FROM unnest(cafes_of) AS t (cafe_id)
    LEFT JOIN cafes c ON c.cafe_id = t.cafe_id
    CROSS JOIN LATERAL (SELECT coalesce(c.time_zone, 'Asia/Tehran') AS name) z
    CROSS JOIN LATERAL (
        SELECT (v.visit_date AT TIME ZONE z.name)::date AS stat_date FROM customer_visits v
        WHERE v.cafe_id = t.cafe_id AND v.visit_date > at - interval '94 days'
        UNION
        SELECT s.stat_date FROM daily_stats s WHERE s.cafe_id = t.cafe_id
    ) d;
END $$;

-- From here on what was there before, under the names it had: the version before reads and calls it until it is replaced.
-- squawk-ignore ban-drop-view
DROP VIEW cafe_daily_stats;
-- squawk-ignore ban-drop-function
DROP FUNCTION own_daily_customer_stats();
-- squawk-ignore ban-drop-view
DROP MATERIALIZED VIEW daily_customer_stats;

-- One row per cafe and local day, the last 90 and today, which is counted while it is read.
CREATE VIEW daily_customer_stats WITH (security_invoker = true) AS
SELECT s.cafe_id, s.stat_date, s.unique_customers, s.total_visits, s.total_revenue, s.avg_order_value, s.avg_rating,
       'IRT'::text AS currency_unit, s.counted_at AS refreshed_at
FROM daily_stats s
LEFT JOIN cafes c ON c.cafe_id = s.cafe_id
CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date AS today) z
WHERE s.branch_id IS NULL AND s.stat_date BETWEEN z.today - 90 AND z.today - 1
UNION ALL
SELECT c.cafe_id, z.today, v.unique_customers, v.total_visits, v.total_revenue, v.avg_order_value,
       v.avg_rating::numeric(3, 2), 'IRT', now()
FROM cafes c
CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE c.time_zone)::date AS today) z
CROSS JOIN LATERAL count_visits_of(c.cafe_id, z.today, c.time_zone) v
WHERE v.branch_id IS NULL;
CREATE VIEW cafe_daily_stats WITH (security_invoker = true) AS SELECT * FROM daily_customer_stats;

-- What is due, for whoever does not wait for the service to do it.
CREATE OR REPLACE FUNCTION refresh_daily_stats() RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = public, pg_temp AS $$
DECLARE
    at constant timestamptz := clock_timestamp();
BEGIN
    PERFORM find_days(array_agg(d.cafe_id), at) FROM due_cafes(at, 50) d;
    PERFORM count_days(array_agg(d.cafe_id), array_agg(d.stat_date), at) FROM due_days(at, 1000) d;
END $$;

REVOKE EXECUTE ON FUNCTION count_days (uuid[], date[], timestamptz), find_days (uuid[], timestamptz) FROM PUBLIC;
GRANT SELECT ON daily_customer_stats, cafe_daily_stats TO staff_role;
DO $$
BEGIN
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION count_days(uuid[], date[], timestamptz), find_days(uuid[], timestamptz) TO %I',
        crm.service_role()
    );
    EXECUTE format('GRANT SELECT ON daily_customer_stats, cafe_daily_stats TO %I', crm.service_role());
END $$;

-- migrate:down
