-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Reports reach back as far as the cafe does, so days are kept for ever, and whatever of guests can't be added up from days
-- is kept by months: who came, who was new, who came again. All of it follows from the visits and is counted by the job
-- that counts days, after the visit was taken in.

-- Bills with a guest, what guests said, and hours of the day from 0 to 23. Null until the day is counted again.
ALTER TABLE daily_stats
ADD COLUMN known_visits integer,
ADD COLUMN known_revenue numeric,
ADD COLUMN rating_count integer,
ADD COLUMN rating_sum integer,
ADD COLUMN hour_visits integer[],
ADD COLUMN hour_revenue numeric[];

-- On which local days a guest came. Counted days only: of today nothing is here.
CREATE TABLE guest_days (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    stat_date date NOT NULL,
    PRIMARY KEY (cafe_id, customer_id, stat_date)
);
CREATE INDEX guest_days_day ON guest_days (cafe_id, stat_date);

-- How many guests whose first month was `first_month` came in `month` (both the first day of a month of the cafe's
-- calendar), and how many of them came again within so many days of their first day in it.
CREATE TABLE guest_months (
    cafe_id uuid NOT NULL,
    first_month date NOT NULL,
    month date NOT NULL CHECK (month >= first_month),
    guests integer NOT NULL,
    again_30 integer NOT NULL,
    again_60 integer NOT NULL,
    again_90 integer NOT NULL,
    PRIMARY KEY (cafe_id, first_month, month)
);

-- Months of a cafe that have visits. `due_at`: when what a month's visits say together is to be counted again.
CREATE TABLE counted_months (
    cafe_id uuid NOT NULL,
    month date NOT NULL,
    counted_at timestamptz,
    due_at timestamptz,
    PRIMARY KEY (cafe_id, month)
);
CREATE INDEX counted_months_due ON counted_months (due_at) WHERE due_at IS NOT NULL;

-- Guests of one branch: they are not the sum over its days. `new_guests` were never before in any branch.
CREATE TABLE branch_months (
    cafe_id uuid NOT NULL,
    month date NOT NULL,
    branch_id uuid NOT NULL,
    guests integer NOT NULL,
    new_guests integer NOT NULL,
    PRIMARY KEY (cafe_id, month, branch_id)
);

-- Dishes of a month, of the whole cafe (no branch) and of each branch; `revenue` in Toman, before discounts. A name that
-- stands on one guest's bills only is no dish but a word somebody typed: such lines are together under the empty name, of
-- which no guests are told. `repeat_guests` had it on two days of the month or more.
CREATE TABLE dish_months (
    cafe_id uuid NOT NULL,
    month date NOT NULL,
    branch_id uuid,
    name text NOT NULL,
    quantity numeric NOT NULL,
    revenue numeric NOT NULL,
    bills integer NOT NULL,
    guests integer NOT NULL,
    repeat_guests integer NOT NULL
);
CREATE UNIQUE INDEX dish_months_dish ON dish_months (cafe_id, month, branch_id, name) NULLS NOT DISTINCT;

SELECT crm.protect(name::regclass, 'SELECT')
FROM unnest(ARRAY['guest_days', 'guest_months', 'counted_months', 'branch_months', 'dish_months']) AS t (name);

-- Before this moment visits were taken out of the tables (detach_visit_partitions): what was counted of them stays.
CREATE FUNCTION archived_before() RETURNS timestamptz LANGUAGE sql STABLE AS $$
SELECT coalesce(max(
    (to_date(c.relname, '"customer_visits_y"YYYY"m"MM') + interval '1 month') AT TIME ZONE 'UTC'
), '-infinity')
FROM pg_class c WHERE c.relname LIKE 'customer\_visits\_y%' AND c.relkind = 'r' AND NOT c.relispartition
$$;

-- One cafe's visits of one day: the whole cafe's first, then each branch's.
CREATE FUNCTION count_day(target_cafe uuid, day date, zone text) RETURNS TABLE (
    branch_id uuid, unique_customers integer, total_visits integer, total_revenue numeric, avg_order_value numeric,
    avg_rating numeric, known_visits integer, known_revenue numeric, rating_count integer, rating_sum integer,
    hour_visits integer[], hour_revenue numeric[]
) LANGUAGE sql STABLE AS $$
WITH v AS MATERIALIZED (
    SELECT v.branch_id, v.customer_id, v.feedback_rating AS rating, in_toman(v.final_amount, v.currency_unit) AS toman,
           extract(hour FROM v.visit_date AT TIME ZONE zone)::integer AS hour
    FROM customer_visits v
    WHERE v.cafe_id = target_cafe AND v.voided_at IS NULL
      AND v.visit_date >= day::timestamp AT TIME ZONE zone AND v.visit_date < (day + 1)::timestamp AT TIME ZONE zone
), hours AS MATERIALIZED (
    SELECT grouping(v.branch_id) AS is_whole, v.branch_id, v.hour, count(*)::integer AS visits, sum(v.toman) AS revenue
    FROM v GROUP BY GROUPING SETS ((v.hour), (v.branch_id, v.hour))
), places AS (
    SELECT
        grouping(v.branch_id) AS is_whole, v.branch_id, count(DISTINCT v.customer_id)::integer AS guests,
        count(*)::integer AS visits, round(sum(v.toman), 2) AS revenue, round(avg(v.toman), 2) AS order_value,
        round(avg(v.rating), 2) AS rating, count(v.customer_id)::integer AS known,
        round(coalesce(sum(v.toman) FILTER (WHERE v.customer_id IS NOT NULL), 0), 2) AS known_revenue,
        count(v.rating)::integer AS ratings, coalesce(sum(v.rating), 0)::integer AS stars
    FROM v GROUP BY GROUPING SETS ((), (v.branch_id))
    HAVING count(*) > 0 AND (grouping(v.branch_id) = 1 OR v.branch_id IS NOT NULL)
)
SELECT p.branch_id, p.guests, p.visits, p.revenue, p.order_value, p.rating, p.known, p.known_revenue, p.ratings, p.stars,
       h.visits, h.revenue
FROM places p
CROSS JOIN LATERAL (
    SELECT array_agg(coalesce(o.visits, 0) ORDER BY n.hour) AS visits,
           array_agg(round(coalesce(o.revenue, 0), 2) ORDER BY n.hour) AS revenue
    FROM generate_series(0, 23) AS n (hour)
    LEFT JOIN hours o ON o.hour = n.hour AND o.is_whole = p.is_whole AND o.branch_id IS NOT DISTINCT FROM p.branch_id
) h
$$;

-- What the days of these guests come to in `guest_months`. Whoever plans by keys has no hash joins, and would go through the
-- calendar once for each day of a guest.
CREATE FUNCTION months_of_guests(cafes_of uuid[], guests_of uuid[]) RETURNS SETOF guest_months
    LANGUAGE sql STABLE SET enable_hashjoin = on AS $$
WITH days AS MATERIALIZED (
    SELECT d.cafe_id, d.customer_id, d.stat_date
    FROM unnest(cafes_of, guests_of) AS t (cafe_id, customer_id)
    JOIN guest_days d ON d.cafe_id = t.cafe_id AND d.customer_id = t.customer_id
), calendars AS MATERIALIZED (
    SELECT x.cafe_id, x.stat_date, lower(calendar_month(x.stat_date, coalesce(c.calendar, 'jalali'))) AS month
    FROM (SELECT DISTINCT d.cafe_id, d.stat_date FROM days d) x LEFT JOIN cafes c ON c.cafe_id = x.cafe_id
), each AS (
    SELECT d.cafe_id, d.customer_id, c.month, lag(c.month) OVER w AS month_before,
           min(c.month) OVER w AS first_month, lead(d.stat_date) OVER w - d.stat_date AS gap
    FROM days d JOIN calendars c ON c.cafe_id = d.cafe_id AND c.stat_date = d.stat_date
    WINDOW w AS (PARTITION BY d.cafe_id, d.customer_id ORDER BY d.stat_date)
)
SELECT e.cafe_id, e.first_month, e.month, count(*)::integer,
       (count(*) FILTER (WHERE e.gap <= 30))::integer, (count(*) FILTER (WHERE e.gap <= 60))::integer,
       (count(*) FILTER (WHERE e.gap <= 90))::integer
FROM each e WHERE e.month_before IS DISTINCT FROM e.month
GROUP BY e.cafe_id, e.first_month, e.month
$$;

-- Follows who came on these days, and adds to months what that changes.
CREATE FUNCTION count_guests(cafes_of uuid[], days date[], at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed guest_days[];
    is_new boolean[];
    guest_cafes uuid[];
    guests uuid[];
    before guest_months[];
    after guest_months[];
    difference guest_months[];
BEGIN
    SELECT array_agg(ROW(x.cafe_id, x.customer_id, x.stat_date)::guest_days), array_agg(x.is_seen)
    INTO changed, is_new
    FROM (
        SELECT y.cafe_id, y.customer_id, y.stat_date, bool_or(y.is_seen) AS is_seen
        FROM (
            SELECT DISTINCT t.cafe_id, v.customer_id, t.stat_date, true AS is_seen
            FROM unnest(cafes_of, days) AS t (cafe_id, stat_date)
            LEFT JOIN cafes c ON c.cafe_id = t.cafe_id
            CROSS JOIN LATERAL (SELECT coalesce(c.time_zone, 'Asia/Tehran') AS name) z
            CROSS JOIN LATERAL (
                SELECT v.customer_id FROM customer_visits v
                WHERE v.cafe_id = t.cafe_id AND v.customer_id IS NOT NULL AND v.voided_at IS NULL
                  AND v.visit_date >= t.stat_date::timestamp AT TIME ZONE z.name
                  AND v.visit_date < (t.stat_date + 1)::timestamp AT TIME ZONE z.name
            ) v
            UNION ALL
            SELECT g.cafe_id, g.customer_id, g.stat_date, false
            FROM unnest(cafes_of, days) AS t (cafe_id, stat_date)
            JOIN guest_days g ON g.cafe_id = t.cafe_id AND g.stat_date = t.stat_date
        ) y
        GROUP BY y.cafe_id, y.customer_id, y.stat_date HAVING count(*) = 1
    ) x;
    IF changed IS NOT NULL THEN
        SELECT array_agg(x.cafe_id), array_agg(x.customer_id) INTO guest_cafes, guests
        FROM (SELECT DISTINCT u.cafe_id, u.customer_id FROM unnest(changed) u) x;
        SELECT array_agg(m) INTO before FROM months_of_guests(guest_cafes, guests) m;
        INSERT INTO guest_days
        SELECT u.cafe_id, u.customer_id, u.stat_date
        FROM ROWS FROM (unnest(changed), unnest(is_new)) AS u (cafe_id, customer_id, stat_date, is_new) WHERE u.is_new;
        DELETE FROM guest_days g
        USING ROWS FROM (unnest(changed), unnest(is_new)) AS u (cafe_id, customer_id, stat_date, is_new)
        WHERE NOT u.is_new AND g.cafe_id = u.cafe_id AND g.customer_id = u.customer_id AND g.stat_date = u.stat_date;
        SELECT array_agg(m) INTO after FROM months_of_guests(guest_cafes, guests) m;
        SELECT array_agg(ROW(d.cafe_id, d.first_month, d.month, d.guests, d.in_30, d.in_60, d.in_90)::guest_months)
        INTO difference
        FROM (
            SELECT m.cafe_id, m.first_month, m.month, sum(m.guests * m.sign) AS guests, sum(m.again_30 * m.sign) AS in_30,
                   sum(m.again_60 * m.sign) AS in_60, sum(m.again_90 * m.sign) AS in_90
            FROM (SELECT a.*, 1 AS sign FROM unnest(after) a UNION ALL SELECT b.*, -1 FROM unnest(before) b) m
            GROUP BY m.cafe_id, m.first_month, m.month
        ) d
        WHERE (d.guests, d.in_30, d.in_60, d.in_90) <> (0, 0, 0, 0);
        MERGE INTO guest_months m USING unnest(difference) d
        ON m.cafe_id = d.cafe_id AND m.first_month = d.first_month AND m.month = d.month
        WHEN MATCHED AND m.guests + d.guests = 0 THEN DELETE
        WHEN MATCHED THEN UPDATE SET
            guests = m.guests + d.guests, again_30 = m.again_30 + d.again_30, again_60 = m.again_60 + d.again_60,
            again_90 = m.again_90 + d.again_90
        WHEN NOT MATCHED THEN INSERT VALUES (d.cafe_id, d.first_month, d.month, d.guests, d.again_30, d.again_60, d.again_90);
    END IF;
    -- These months have changed, and those in which somebody is new now, or is no more.
    INSERT INTO counted_months AS m (cafe_id, month, due_at)
    SELECT x.cafe_id, x.month, at
    FROM (
        SELECT t.cafe_id, lower(calendar_month(t.stat_date, coalesce(c.calendar, 'jalali'))) AS month
        FROM unnest(cafes_of, days) AS t (cafe_id, stat_date) LEFT JOIN cafes c ON c.cafe_id = t.cafe_id
        UNION
        SELECT d.cafe_id, d.month FROM unnest(difference) d WHERE d.month = d.first_month
    ) x
    ON CONFLICT (cafe_id, month) DO UPDATE
    SET due_at = coalesce(m.due_at, greatest(excluded.due_at, m.counted_at + interval '10 minutes'));
END $$;

CREATE OR REPLACE FUNCTION count_days(cafes_of uuid[], days date[], at timestamptz) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    due constant timestamptz := ended_by(at);
    archived constant timestamptz := archived_before();
    cafes_left uuid[];
    days_left date[];
BEGIN
    -- What a day adds to its month is the difference to what it was, so one at a time counts a cafe.
    PERFORM pg_advisory_xact_lock(hashtextextended(x.cafe_id::text, 118))
    FROM (SELECT DISTINCT t.cafe_id FROM unnest(cafes_of) AS t (cafe_id) ORDER BY 1) x;
    -- Each statement sees what was committed before it: whose note is gone, their visit is counted.
    DELETE FROM days_to_count q USING unnest(cafes_of, days) AS t (cafe_id, stat_date)
    WHERE q.cafe_id = t.cafe_id AND q.stat_date = t.stat_date AND q.due_at <= due;
    SELECT array_agg(t.cafe_id), array_agg(t.stat_date) INTO cafes_left, days_left
    FROM (SELECT DISTINCT u.cafe_id, u.stat_date FROM unnest(cafes_of, days) AS u (cafe_id, stat_date)) t
    LEFT JOIN cafes c ON c.cafe_id = t.cafe_id
    WHERE t.stat_date::timestamp AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran') >= archived;
    DELETE FROM daily_stats s USING unnest(cafes_left, days_left) AS t (cafe_id, stat_date)
    WHERE s.cafe_id = t.cafe_id AND s.stat_date = t.stat_date;
    INSERT INTO daily_stats (
        cafe_id, stat_date, branch_id, unique_customers, total_visits, total_revenue, avg_order_value, avg_rating,
        counted_at, known_visits, known_revenue, rating_count, rating_sum, hour_visits, hour_revenue
    )
    SELECT t.cafe_id, t.stat_date, v.branch_id, v.unique_customers, v.total_visits, v.total_revenue, v.avg_order_value,
           v.avg_rating, at, v.known_visits, v.known_revenue, v.rating_count, v.rating_sum, v.hour_visits, v.hour_revenue
    FROM unnest(cafes_left, days_left) AS t (cafe_id, stat_date)
    LEFT JOIN cafes c ON c.cafe_id = t.cafe_id
    CROSS JOIN LATERAL count_day(t.cafe_id, t.stat_date, coalesce(c.time_zone, 'Asia/Tehran')) v;
    PERFORM count_guests(cafes_left, days_left, at);
END $$;

-- Notes all days of these cafes that have visits, or had some when they were counted, and puts the months of their guests
-- together anew: another calendar has other months.
CREATE OR REPLACE FUNCTION find_days(cafes_of uuid[], at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    due constant timestamptz := ended_by(at);
    archived constant timestamptz := archived_before();
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(x.cafe_id::text, 118))
    FROM (SELECT DISTINCT t.cafe_id FROM unnest(cafes_of) AS t (cafe_id) ORDER BY 1) x;
    DELETE FROM days_to_count q USING unnest(cafes_of) AS t (cafe_id)
    WHERE q.cafe_id = t.cafe_id AND q.stat_date IS NULL AND q.due_at <= due;
    DELETE FROM guest_months m WHERE m.cafe_id = ANY (cafes_of);
    INSERT INTO guest_months
    SELECT m.* FROM (
        SELECT array_agg(g.cafe_id) AS cafes_of, array_agg(g.customer_id) AS guests_of
        FROM (SELECT DISTINCT d.cafe_id, d.customer_id FROM guest_days d WHERE d.cafe_id = ANY (cafes_of)) g
    ) x CROSS JOIN LATERAL months_of_guests(x.cafes_of, x.guests_of) m;
    DELETE FROM counted_months m USING cafes c
    WHERE m.cafe_id = ANY (cafes_of) AND c.cafe_id = m.cafe_id AND lower(calendar_month(m.month, c.calendar)) <> m.month;
    DELETE FROM branch_months m USING cafes c
    WHERE m.cafe_id = ANY (cafes_of) AND c.cafe_id = m.cafe_id AND lower(calendar_month(m.month, c.calendar)) <> m.month;
    DELETE FROM dish_months m USING cafes c
    WHERE m.cafe_id = ANY (cafes_of) AND c.cafe_id = m.cafe_id AND lower(calendar_month(m.month, c.calendar)) <> m.month;
    INSERT INTO days_to_count (cafe_id, stat_date, due_at)
    SELECT t.cafe_id, d.stat_date, greatest(at, (d.stat_date + 1)::timestamp AT TIME ZONE z.name)
    FROM unnest(cafes_of) AS t (cafe_id)
    LEFT JOIN cafes c ON c.cafe_id = t.cafe_id
    CROSS JOIN LATERAL (SELECT coalesce(c.time_zone, 'Asia/Tehran') AS name) z
    CROSS JOIN LATERAL (
        SELECT (v.visit_date AT TIME ZONE z.name)::date AS stat_date FROM customer_visits v WHERE v.cafe_id = t.cafe_id
        UNION
        SELECT s.stat_date FROM daily_stats s WHERE s.cafe_id = t.cafe_id
        UNION
        SELECT g.stat_date FROM guest_days g WHERE g.cafe_id = t.cafe_id
    ) d
    WHERE d.stat_date::timestamp AT TIME ZONE z.name >= archived;
END $$;

-- Months whose turn it is, and what their visits of ended days say together.
CREATE FUNCTION due_months(at timestamptz, most integer, but_for uuid[] DEFAULT '{}')
RETURNS TABLE (cafe_id uuid, month date) LANGUAGE sql STABLE AS $$
SELECT m.cafe_id, m.month FROM counted_months m
WHERE m.due_at <= at AND m.cafe_id <> ALL (but_for) ORDER BY m.due_at LIMIT most
$$;
-- From the first moment of a month until its end, or until today begins.
CREATE FUNCTION spans_of_months(cafes_of uuid[], months date[], at timestamptz)
RETURNS TABLE (cafe_id uuid, month date, zone text, begins timestamptz, ends timestamptz) LANGUAGE sql STABLE AS $$
SELECT t.cafe_id, t.month, z.name, t.month::timestamp AT TIME ZONE z.name,
       least(upper(calendar_month(t.month, z.calendar))::timestamp, date_trunc('day', at AT TIME ZONE z.name))
           AT TIME ZONE z.name
FROM unnest(cafes_of, months) AS t (cafe_id, month)
LEFT JOIN cafes c ON c.cafe_id = t.cafe_id
CROSS JOIN LATERAL (
    SELECT coalesce(c.time_zone, 'Asia/Tehran') AS name, coalesce(c.calendar, 'jalali') AS calendar
) z
WHERE t.month::timestamp AT TIME ZONE z.name >= archived_before()
$$;
CREATE FUNCTION count_months(cafes_of uuid[], months date[], at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE counted_months m SET due_at = NULL, counted_at = at
    FROM unnest(cafes_of, months) AS t (cafe_id, month) WHERE m.cafe_id = t.cafe_id AND m.month = t.month;
    DELETE FROM branch_months b USING spans_of_months(cafes_of, months, at) s WHERE b.cafe_id = s.cafe_id AND b.month = s.month;
    INSERT INTO branch_months
    SELECT d.cafe_id, d.month, d.branch_id, count(*), count(*) FILTER (WHERE f.first_day >= d.month)
    FROM (
        SELECT DISTINCT s.cafe_id, s.month, v.branch_id, v.customer_id
        FROM spans_of_months(cafes_of, months, at) s
        JOIN customer_visits v ON v.cafe_id = s.cafe_id AND v.visit_date >= s.begins AND v.visit_date < s.ends
        WHERE v.voided_at IS NULL AND v.customer_id IS NOT NULL AND v.branch_id IS NOT NULL
    ) d
    CROSS JOIN LATERAL (
        SELECT min(g.stat_date) AS first_day FROM guest_days g
        WHERE g.cafe_id = d.cafe_id AND g.customer_id = d.customer_id
    ) f
    GROUP BY d.cafe_id, d.month, d.branch_id;
    DELETE FROM dish_months m USING spans_of_months(cafes_of, months, at) s WHERE m.cafe_id = s.cafe_id AND m.month = s.month;
    INSERT INTO dish_months
    WITH lines AS (
        SELECT s.cafe_id, s.month, v.branch_id, coalesce(v.customer_id, v.id) AS party, v.customer_id, v.id,
               (v.visit_date AT TIME ZONE s.zone)::date AS stat_date, coalesce(l.line ->> 'name', '') AS name,
               coalesce((l.line ->> 'quantity')::numeric, 1) AS quantity,
               coalesce(in_toman((l.line ->> 'amount')::numeric, v.currency_unit), 0) AS revenue
        FROM spans_of_months(cafes_of, months, at) s
        JOIN customer_visits v ON v.cafe_id = s.cafe_id AND v.visit_date >= s.begins AND v.visit_date < s.ends
        CROSS JOIN LATERAL jsonb_array_elements(v.items_ordered) AS l (line)
        WHERE v.voided_at IS NULL
    ), parties AS (
        SELECT l.cafe_id, l.month, grouping(l.branch_id) AS is_whole, l.branch_id, l.name, l.party, l.customer_id,
               sum(l.quantity) AS quantity, sum(l.revenue) AS revenue, count(DISTINCT l.id) AS bills,
               count(DISTINCT l.stat_date) AS days
        FROM lines l
        GROUP BY GROUPING SETS (
            (l.cafe_id, l.month, l.name, l.party, l.customer_id),
            (l.cafe_id, l.month, l.name, l.party, l.customer_id, l.branch_id)
        )
        HAVING grouping(l.branch_id) = 1 OR l.branch_id IS NOT NULL
    ), dishes AS (
        SELECT p.cafe_id, p.month, p.branch_id, p.name, sum(p.quantity) AS quantity, sum(p.revenue) AS revenue,
               sum(p.bills) AS bills, count(p.customer_id) AS guests,
               count(p.customer_id) FILTER (WHERE p.days > 1) AS repeat_guests, count(*) AS parties
        FROM parties p GROUP BY p.cafe_id, p.month, p.is_whole, p.branch_id, p.name
    ), ranked AS (
        SELECT d.*, d.name <> '' AND d.parties > 1 AND row_number() OVER (
            PARTITION BY d.cafe_id, d.month, d.branch_id, d.parties > 1 ORDER BY d.revenue DESC, d.name
        ) <= 300 AS is_dish
        FROM dishes d
    )
    SELECT r.cafe_id, r.month, r.branch_id, CASE WHEN r.is_dish THEN r.name ELSE '' END, sum(r.quantity),
           round(sum(r.revenue), 2), sum(r.bills), coalesce(sum(r.guests) FILTER (WHERE r.is_dish), 0),
           coalesce(sum(r.repeat_guests) FILTER (WHERE r.is_dish), 0)
    FROM ranked r GROUP BY 1, 2, 3, 4;
END $$;

-- So many months of a calendar, the last one that of `day`.
CREATE FUNCTION last_months(day date, calendar text, most integer) RETURNS TABLE (starts date, ends date)
    LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    this daterange := calendar_month(day, calendar);
BEGIN
    FOR passed IN 1 .. most LOOP
        starts := lower(this);
        ends := upper(this) - 1;
        RETURN NEXT;
        this := calendar_month(starts - 1, calendar);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION refresh_daily_stats() RETURNS void
    LANGUAGE plpgsql SECURITY INVOKER SET search_path = public, pg_temp AS $$
DECLARE
    at constant timestamptz := clock_timestamp();
BEGIN
    PERFORM find_days(array_agg(d.cafe_id), at) FROM due_cafes(at, 50) d;
    PERFORM count_days(array_agg(d.cafe_id), array_agg(d.stat_date), at) FROM due_days(at, 1000) d;
    PERFORM count_months(array_agg(d.cafe_id), array_agg(d.month), at) FROM due_months(at, 50) d;
END $$;

CREATE TRIGGER count_months_again AFTER UPDATE OF calendar ON cafes FOR EACH ROW
WHEN (OLD.calendar <> NEW.calendar) EXECUTE FUNCTION crm.note_cafe_to_count();

REVOKE EXECUTE ON FUNCTION count_guests (uuid[], date[], timestamptz), count_months (uuid[], date[], timestamptz)
FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION count_guests(uuid[], date[], timestamptz), count_months(uuid[], date[], timestamptz)'
        ' TO %I', crm.service_role()
    );
END $$;

-- All days are counted once more. The version before notes no late visit of more than three months ago: what it writes
-- until it is replaced is counted a day later.
INSERT INTO days_to_count (cafe_id, due_at)
SELECT c.cafe_id, now() + later.wait FROM cafes c CROSS JOIN (VALUES (interval '0'), (interval '1 day')) AS later (wait);

-- migrate:down
