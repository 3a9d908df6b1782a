-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TYPE customer_status_enum AS ENUM ('active', 'inactive', 'blocked');
CREATE TYPE customer_segment_enum AS ENUM ('new', 'occasional', 'regular', 'vip');
CREATE TYPE loyalty_tier_enum AS ENUM ('bronze', 'silver', 'gold', 'platinum');
CREATE TYPE consent_channel_enum AS ENUM ('sms', 'email', 'push', 'instagram');
CREATE TYPE consent_purpose_enum AS ENUM ('service', 'marketing');

-- Names sort by the Persian alphabet whatever the server's own locale is.
CREATE COLLATION persian (PROVIDER = icu, LOCALE = 'fa');

-- Fields named *_sealed are encrypted by the application; phone_hash finds an exact number within one cafe.
-- A till registers guests by their number alone, so a name may be missing. An erased guest's row stays, empty.
CREATE TABLE customers (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    phone_sealed text,
    phone_hash bytea CHECK (octet_length(phone_hash) = 32),
    phone_last4 varchar(4),

    name varchar(100) COLLATE persian,
    name_english varchar(100) COLLATE persian,
    -- What the search for names compares: all spellings of both names in one key.
    name_key text COLLATE "C" GENERATED ALWAYS AS (
        nullif(crm.name_key(coalesce(name, '') || ' ' || coalesce(name_english, '')), '')
    ) STORED,
    email_sealed text,

    birthday date,
    anniversary date,

    status customer_status_enum NOT NULL DEFAULT 'active',
    segment customer_segment_enum NOT NULL DEFAULT 'new',

    notes_sealed text,
    preferences jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(preferences) = 'object'),

    address_sealed text,
    city varchar(50) COLLATE persian,
    postal_code varchar(10),

    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by uuid,
    updated_by uuid,
    version integer NOT NULL DEFAULT 1,

    deleted_at timestamptz,
    is_active boolean NOT NULL GENERATED ALWAYS AS (deleted_at IS NULL) STORED,

    PRIMARY KEY (cafe_id, id),
    CONSTRAINT living_customers_have_a_phone CHECK (
        deleted_at IS NOT NULL OR num_nonnulls(phone_sealed, phone_hash, phone_last4) = 3
    ),
    CONSTRAINT erased_customers_are_empty CHECK (
        deleted_at IS NULL
        OR preferences = '{}' AND num_nonnulls(
            phone_sealed, phone_hash, phone_last4, name, name_english, email_sealed, birthday, anniversary,
            notes_sealed, address_sealed, city, postal_code
        ) = 0
    )
) WITH (fillfactor = 90);

CREATE UNIQUE INDEX idx_customers_phone ON customers (cafe_id, phone_hash) WHERE is_active;
CREATE INDEX idx_customers_search ON customers (cafe_id, phone_last4) WHERE is_active;
CREATE INDEX idx_customers_name ON customers USING gin (name_key gin_trgm_ops) WHERE is_active;
CREATE INDEX idx_customers_status ON customers (cafe_id, status) WHERE is_active;
CREATE INDEX idx_customers_segment ON customers (cafe_id, segment) WHERE is_active;
CREATE INDEX idx_customers_birthday ON customers (cafe_id, birthday) WHERE is_active;
CREATE INDEX idx_customers_created_at ON customers (cafe_id, created_at, id);

-- What other services told about a guest, in one narrow row. It may come before the guest is registered and stays after
-- erasure (the sums are not personal), so it has no foreign key. Every writer locks this row before any other of the
-- guest's. Money is in Toman; segment_mask has one bit per segment slot and is null until first judged.
-- Every visit rewrites the row: room on the page and no second index keep that cheap.
CREATE TABLE customer_activity (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    registered_at timestamptz,
    segment_mask bigint,
    next_check_at timestamptz,
    first_visit_at timestamptz,
    last_visit_at timestamptz,
    current_points bigint NOT NULL DEFAULT 0,
    points_version bigint NOT NULL DEFAULT 0,
    tier_version bigint NOT NULL DEFAULT 0,
    tier_level loyalty_tier_enum NOT NULL DEFAULT 'bronze',
    total_visits integer NOT NULL DEFAULT 0,
    rating_sum integer NOT NULL DEFAULT 0,
    rating_count integer NOT NULL DEFAULT 0,
    lifetime_spent numeric(18, 2) NOT NULL DEFAULT 0,
    currency_unit text NOT NULL DEFAULT 'IRT' CHECK (currency_unit = 'IRT'),
    -- Newest first, of the last 31 days, so that recent_visits[4] tells whether there were four.
    recent_visits timestamptz [] NOT NULL DEFAULT '{}',
    PRIMARY KEY (cafe_id, customer_id)
) WITH (fillfactor = 70);

-- The answer in force per channel and purpose, and every answer ever given.
CREATE TABLE consents (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    channel consent_channel_enum NOT NULL,
    purpose consent_purpose_enum NOT NULL,
    granted boolean NOT NULL,
    source text NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by uuid,
    PRIMARY KEY (cafe_id, customer_id, channel, purpose)
);

CREATE TABLE consent_history (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    id uuid NOT NULL,
    channel consent_channel_enum NOT NULL,
    purpose consent_purpose_enum NOT NULL,
    granted boolean NOT NULL,
    source text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    recorded_by uuid,
    PRIMARY KEY (cafe_id, customer_id, id)
);

SELECT crm.protect('customers');
SELECT crm.protect('customer_activity');
SELECT crm.protect('consents', 'SELECT, INSERT, UPDATE, DELETE');
SELECT crm.protect('consent_history', 'SELECT, INSERT', '', 'SELECT, INSERT');

-- migrate:down
