-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- How many guests entered and left a segment on a day of the cafe, and how many were in it after the last move. A line of
-- thirty days must not read every stay that ever was. Written with the segment's count, under the same lock.
CREATE TABLE segment_days (
    cafe_id uuid NOT NULL,
    day date NOT NULL,
    segment_id uuid NOT NULL,
    entered integer NOT NULL,
    gone integer NOT NULL,
    members integer NOT NULL,
    PRIMARY KEY (cafe_id, day, segment_id)
) WITH (fillfactor = 70);
CREATE INDEX segment_days_day ON segment_days USING brin (day);
SELECT crm.protect('segment_days');

-- The last days from the stays, once: one reading of them, and a row for each segment and day.
INSERT INTO segment_days (cafe_id, day, segment_id, entered, gone, members)
SELECT
    s.cafe_id, d.day, s.id, d.entered, d.gone,
    s.customer_count - coalesce(sum(d.entered - d.gone) OVER (
        PARTITION BY s.cafe_id, s.id ORDER BY d.day DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0)
FROM (
    SELECT m.cafe_id, m.segment_id, (m.moved_at AT TIME ZONE coalesce(f.time_zone, 'Asia/Tehran'))::date AS day,
        count(*) FILTER (WHERE m.entered) AS entered, count(*) FILTER (WHERE NOT m.entered) AS gone
    FROM (
        SELECT h.cafe_id, h.segment_id, e.moved_at, e.entered
        FROM segment_history AS h CROSS JOIN LATERAL (VALUES (h.entered_at, true), (h.left_at, false)) AS e (moved_at, entered)
        WHERE e.moved_at > now() - interval '90 days'
    ) AS m
    LEFT JOIN cafes AS f ON f.cafe_id = m.cafe_id
    GROUP BY 1, 2, 3
) AS d
INNER JOIN customer_segments AS s ON s.cafe_id = d.cafe_id AND s.id = d.segment_id
ON CONFLICT (cafe_id, day, segment_id) DO NOTHING;

-- migrate:down
