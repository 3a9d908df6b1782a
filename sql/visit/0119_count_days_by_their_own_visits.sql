-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Joined with a list of days or months, whose length the planner guesses, all visits of a cafe were read and most of them
-- thrown away. OFFSET 0 keeps each day and each month apart, found by the key of the visits.
CREATE OR REPLACE FUNCTION count_guests(cafes_of uuid[], days date[], at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
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
                OFFSET 0
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
CREATE OR REPLACE FUNCTION count_months(cafes_of uuid[], months date[], at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE counted_months m SET due_at = NULL, counted_at = at
    FROM unnest(cafes_of, months) AS t (cafe_id, month) WHERE m.cafe_id = t.cafe_id AND m.month = t.month;
    DELETE FROM branch_months b USING spans_of_months(cafes_of, months, at) s WHERE b.cafe_id = s.cafe_id AND b.month = s.month;
    INSERT INTO branch_months
    SELECT d.cafe_id, d.month, d.branch_id, count(*), count(*) FILTER (WHERE f.first_day >= d.month)
    FROM (
        SELECT DISTINCT s.cafe_id, s.month, v.branch_id, v.customer_id
        FROM spans_of_months(cafes_of, months, at) s
        CROSS JOIN LATERAL (
            SELECT i.branch_id, i.customer_id FROM customer_visits i
            WHERE i.cafe_id = s.cafe_id AND i.visit_date >= s.begins AND i.visit_date < s.ends AND i.voided_at IS NULL
              AND i.customer_id IS NOT NULL AND i.branch_id IS NOT NULL
            OFFSET 0
        ) v
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
        CROSS JOIN LATERAL (
            SELECT i.id, i.branch_id, i.customer_id, i.visit_date, i.items_ordered, i.currency_unit
            FROM customer_visits i
            WHERE i.cafe_id = s.cafe_id AND i.visit_date >= s.begins AND i.visit_date < s.ends AND i.voided_at IS NULL
            OFFSET 0
        ) v
        CROSS JOIN LATERAL jsonb_array_elements(v.items_ordered) AS l (line)
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

-- migrate:down
