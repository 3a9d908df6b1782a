-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- The present of the process that asks: in a development system its clock may run ahead (CRM_CLOCK_OFFSET), and what
-- depends on the day goes with it. What is stamped with `now()` stays as it is.
CREATE FUNCTION crm.present() RETURNS timestamptz LANGUAGE sql STABLE AS $$
SELECT now() + coalesce(nullif(current_setting('crm.clock_offset', true), ''), '0')::interval
$$;

CREATE OR REPLACE FUNCTION crm.note_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.club_changes (cafe_id, day, what, tier, amount)
    SELECT n.cafe_id, f.day, f.what, f.tier, count(*)
    FROM added n
    LEFT JOIN public.cafes c ON c.cafe_id = n.cafe_id
    CROSS JOIN LATERAL (
        VALUES (NULL::date, 'members', n.tier_level),
               ((crm.present() AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date, 'joined', NULL)
    ) AS f (day, what, tier)
    GROUP BY n.cafe_id, f.day, f.what, f.tier;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION crm.note_tier() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.club_changes (cafe_id, day, what, tier, amount)
    SELECT NEW.cafe_id, f.day, f.what, f.tier, f.amount
    FROM (VALUES (
        coalesce((SELECT c.time_zone FROM public.cafes c WHERE c.cafe_id = NEW.cafe_id), 'Asia/Tehran')
    )) AS z (zone)
    CROSS JOIN LATERAL (
        VALUES (NULL::date, 'members', OLD.tier_level, -1),
               (NULL, 'members', NEW.tier_level, 1),
               ((crm.present() AT TIME ZONE z.zone)::date,
                CASE WHEN NEW.tier_level > OLD.tier_level THEN 'risen' ELSE 'fallen' END, NEW.tier_level, 1)
    ) AS f (day, what, tier, amount);
    RETURN NULL;
END $$;

CREATE OR REPLACE VIEW loyalty_accounts WITH (security_invoker = true) AS
SELECT
    l.id, l.cafe_id, l.customer_id,
    l.points_earned, l.points_redeemed, l.points_expired, l.current_points, l.points_owed,
    l.tier_level, l.tier_start_date, l.tier_expires_date,
    l.lifetime_spent,
    CASE WHEN l.year_ends_on >= t.today THEN l.current_year_spent ELSE 0 END AS current_year_spent,
    CASE WHEN l.month_ends_on >= t.today THEN l.current_month_spent ELSE 0 END AS current_month_spent,
    l.currency_unit,
    l.total_visits,
    CASE WHEN l.month_ends_on >= t.today THEN l.visits_this_month ELSE 0 END AS visits_this_month,
    l.last_visit_date, l.first_visit_date,
    p.points AS tier_period_points,
    coalesce(greatest(0, l.next_tier_points - p.points), 0) AS points_to_next_tier,
    l.last_visit_at, l.account_version, l.created_at, l.updated_at
FROM customer_loyalty AS l
LEFT JOIN cafes AS c ON c.cafe_id = l.cafe_id
CROSS JOIN LATERAL (SELECT (crm.present() AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date AS today) AS t
CROSS JOIN LATERAL (
    SELECT CASE WHEN l.tier_period_ends_on >= t.today THEN l.tier_period_points ELSE 0 END AS points
) AS p;

-- Guests whose balance has reached the cost of a reward and who are still to be told. Rows are only added, and taken away
-- by the job: nobody waits for it.
CREATE TABLE reached_rewards (
    cafe_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    customer_id uuid NOT NULL,
    reward_id uuid NOT NULL,
    reward_version integer NOT NULL,
    cost_points bigint NOT NULL,
    balance bigint NOT NULL,
    PRIMARY KEY (cafe_id, id)
);
SELECT crm.protect('reached_rewards', '', '', 'SELECT, INSERT, DELETE');

-- Up to when the ledger has been looked through for them, of all cafes; what is there is not told any more.
CREATE TABLE crm.reward_progress (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen_until timestamptz NOT NULL
);
INSERT INTO crm.reward_progress (seen_until) VALUES (now());

DO $$
BEGIN
    EXECUTE format('GRANT SELECT, UPDATE ON crm.reward_progress TO %I', crm.service_role());
END $$;

-- migrate:down
