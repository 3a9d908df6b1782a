-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- One row per guest, rewritten by every visit: pages keep room for it, and no index stands on a column that each visit
-- changes (the seed's idx_loyalty_points and idx_loyalty_spent), so that the rewriting touches no index at all.
CREATE TABLE customer_loyalty (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,

    -- Earned is net of corrections; redeemed is net of what was given back.
    points_earned bigint NOT NULL DEFAULT 0,
    points_redeemed bigint NOT NULL DEFAULT 0 CHECK (points_redeemed >= 0),
    points_expired bigint NOT NULL DEFAULT 0 CHECK (points_expired >= 0),
    current_points bigint GENERATED ALWAYS AS (points_earned - points_redeemed - points_expired) STORED,
    -- Only taking back the points of a visit may leave a guest owing; nothing else sets this column.
    points_owed bigint NOT NULL DEFAULT 0 CHECK (points_owed >= 0),

    tier_level loyalty_tier_enum NOT NULL DEFAULT 'bronze',
    tier_start_date date NOT NULL DEFAULT current_date,
    tier_expires_date date,

    lifetime_spent numeric(18, 2) NOT NULL DEFAULT 0 CHECK (lifetime_spent >= 0),
    current_year_spent numeric(18, 2) NOT NULL DEFAULT 0 CHECK (current_year_spent >= 0),
    current_month_spent numeric(18, 2) NOT NULL DEFAULT 0 CHECK (current_month_spent >= 0),
    currency_unit text NOT NULL DEFAULT 'IRT' CHECK (currency_unit = 'IRT'),

    total_visits integer NOT NULL DEFAULT 0 CHECK (total_visits >= 0),
    visits_this_month integer NOT NULL DEFAULT 0 CHECK (visits_this_month >= 0),
    last_visit_date date,
    first_visit_date date,

    -- From the points that count for tiers, not from the balance: spending must not push the next tier away.
    -- `next_tier_points` is where the next tier begins, null on the highest.
    points_to_next_tier bigint NOT NULL DEFAULT 0 CHECK (points_to_next_tier >= 0),
    next_tier_points bigint,

    -- The periods that the counters belong to, each by its last day. The view loyalty_accounts knows by them what is
    -- over, so that nobody has to come by at midnight and reset a million rows.
    year_ends_on date,
    month_ends_on date,

    -- Where counting goes on with the next visit: everything below is as of the last one, while tier_level, its dates and
    -- points_to_next_tier are as of the last writing, and move by themselves when a period ends.
    tier_period_ends_on date,
    tier_period_points bigint NOT NULL DEFAULT 0,
    previous_period_points bigint NOT NULL DEFAULT 0,
    counted_tier_since date,
    last_visit_at timestamptz,
    program_version integer NOT NULL DEFAULT 0,

    account_version bigint NOT NULL DEFAULT 0,

    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (cafe_id, id),
    CONSTRAINT idx_loyalty_customer UNIQUE (cafe_id, customer_id),
    CONSTRAINT balance_only_negative_when_owed CHECK (
        points_earned - points_redeemed - points_expired + points_owed >= 0
    )
) WITH (fillfactor = 70);

-- These columns change a few times a year, and an update that leaves them as they are stays off the index.
CREATE INDEX idx_loyalty_tier ON customer_loyalty (cafe_id, tier_level);
CREATE INDEX idx_loyalty_tier_expires ON customer_loyalty (tier_expires_date) WHERE tier_expires_date IS NOT NULL;

SELECT crm.protect('customer_loyalty', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE');

-- The account as it stands today, also for a guest who never comes back.
CREATE VIEW loyalty_accounts WITH (security_invoker = true) AS
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
CROSS JOIN LATERAL (SELECT (now() AT TIME ZONE coalesce(c.time_zone, 'Asia/Tehran'))::date AS today) AS t
CROSS JOIN LATERAL (
    SELECT CASE WHEN l.tier_period_ends_on >= t.today THEN l.tier_period_points ELSE 0 END AS points
) AS p;

DO $$
BEGIN
    EXECUTE format('GRANT SELECT ON loyalty_accounts TO staff_role, till_role, %I', crm.service_role());
END $$;

-- migrate:down
