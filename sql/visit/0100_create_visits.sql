-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TYPE payment_method_enum AS ENUM ('cash', 'card', 'online', 'points', 'mixed');

-- Kept from identity's events: which codes a till may name.
CREATE TABLE branches (
    cafe_id uuid NOT NULL,
    branch_id uuid NOT NULL,
    version integer NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    is_active boolean NOT NULL,
    PRIMARY KEY (cafe_id, branch_id)
);

-- Whom a number belongs to, without the number. Learned at the till, or from the guest's profile.
CREATE TABLE guests (
    cafe_id uuid NOT NULL,
    phone_hash bytea NOT NULL CHECK (octet_length(phone_hash) = 32),
    customer_id uuid NOT NULL,
    name_known boolean NOT NULL,
    marketing_consent boolean,
    consent_at timestamptz,
    profiled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cafe_id, phone_hash),
    CHECK ((marketing_consent IS NULL) = (consent_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX guests_customer ON guests (cafe_id, customer_id);

-- A profile that was still on its way when the guest was erased must not bring the number back.
CREATE TABLE erased_guests (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, customer_id)
);

-- Numbers a guest's visits; its row is also where changes of one guest queue, so that their events keep an order.
CREATE TABLE visit_counters (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    last_number integer NOT NULL CHECK (last_number > 0),
    PRIMARY KEY (cafe_id, customer_id)
) WITH (fillfactor = 70);

-- What a device sends queues at its row: two copies of one receipt never meet.
CREATE TABLE till_devices (
    cafe_id uuid NOT NULL,
    device_id text NOT NULL,
    highest_sequence bigint,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cafe_id, device_id)
) WITH (fillfactor = 50);

-- Numbers that a device skipped, until they arrive.
CREATE TABLE device_gaps (
    cafe_id uuid NOT NULL,
    device_id text NOT NULL,
    missing_from bigint NOT NULL,
    missing_to bigint NOT NULL,
    detected_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cafe_id, device_id, missing_from),
    CHECK (missing_from <= missing_to)
);

-- Every receipt ever named by a device, for ever: what makes a repeat a repeat. `fingerprint` is of the record itself and
-- empty while only its correction or its void has come; without a visit it is a void that waits for its record.
CREATE TABLE visit_receipts (
    cafe_id uuid NOT NULL,
    device_id text NOT NULL,
    receipt_number text NOT NULL,
    event_id uuid,
    fingerprint bytea CHECK (octet_length(fingerprint) = 16),
    visit_id uuid,
    visit_date timestamptz,
    customer_id uuid,
    visit_number integer CHECK (visit_number > 0),
    corrected_at timestamptz,
    corrected_fingerprint bytea CHECK (octet_length(corrected_fingerprint) = 16),
    voided_at timestamptz,
    void_reason text,
    PRIMARY KEY (cafe_id, device_id, receipt_number),
    CHECK ((visit_id IS NULL) = (visit_date IS NULL)),
    CHECK (visit_id IS NOT NULL OR voided_at IS NOT NULL),
    CHECK ((customer_id IS NULL) = (visit_number IS NULL)),
    CHECK ((corrected_at IS NULL) = (corrected_fingerprint IS NULL))
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX visit_receipts_visit ON visit_receipts (cafe_id, visit_id) WHERE visit_id IS NOT NULL;
-- A partitioned table can't promise this itself: its unique keys must hold the date.
CREATE UNIQUE INDEX visit_receipts_number ON visit_receipts (cafe_id, customer_id, visit_number)
WHERE customer_id IS NOT NULL;
CREATE INDEX visit_receipts_event ON visit_receipts (cafe_id, event_id) WHERE event_id IS NOT NULL;

CREATE TABLE customer_visits (
    id uuid NOT NULL,
    cafe_id uuid NOT NULL,
    customer_id uuid,

    visit_date timestamptz NOT NULL,
    visit_number integer,

    branch_id uuid,
    device_id varchar(64) NOT NULL,
    receipt_number varchar(64) NOT NULL,

    total_amount numeric(18, 2) NOT NULL DEFAULT 0 CHECK (total_amount >= 0),
    discount_amount numeric(18, 2) NOT NULL DEFAULT 0,
    final_amount numeric(18, 2) GENERATED ALWAYS AS (total_amount - discount_amount) STORED,
    currency_unit text NOT NULL CHECK (currency_unit IN ('IRT', 'IRR')),
    payment_method payment_method_enum,

    items_ordered jsonb NOT NULL DEFAULT '[]',
    item_count integer NOT NULL DEFAULT 0 CHECK (item_count >= 0),

    table_number varchar(10),
    server_name varchar(100),
    service_duration integer CHECK (service_duration >= 0),

    -- The comment stays in the feedback database: it is the guest's own words, and erased there.
    feedback_rating integer CHECK (feedback_rating BETWEEN 1 AND 5),
    feedback_categories text[],
    feedback_has_comment boolean,
    feedback_at timestamptz,

    points_earned integer NOT NULL DEFAULT 0,
    points_redeemed integer NOT NULL DEFAULT 0,
    points_version bigint,

    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    created_by uuid,

    visit_notes text,
    attributes jsonb NOT NULL DEFAULT '{}',

    corrected_at timestamptz,
    voided_at timestamptz,
    void_reason text,

    PRIMARY KEY (cafe_id, visit_date, id),
    CHECK (discount_amount BETWEEN 0 AND total_amount)
) PARTITION BY RANGE (visit_date);

CREATE INDEX idx_visits_customer ON customer_visits (cafe_id, customer_id, visit_date) WHERE customer_id IS NOT NULL;
-- The key serves the ranges of one cafe; this one serves those over all cafes at hardly any cost per visit.
CREATE INDEX idx_visits_date ON customer_visits USING brin (visit_date);
CREATE INDEX idx_visits_amount ON customer_visits (cafe_id, final_amount);
CREATE INDEX idx_visits_rating ON customer_visits (cafe_id, feedback_rating) WHERE feedback_rating IS NOT NULL;

-- A till that syncs years late, or the years before the first partition, find a place here.
CREATE TABLE customer_visits_default PARTITION OF customer_visits DEFAULT WITH (fillfactor = 70);

SELECT crm.protect('branches', 'SELECT', 'SELECT');
SELECT crm.protect('guests', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE');
SELECT crm.protect('erased_guests', '');
SELECT crm.protect('visit_counters', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE');
SELECT crm.protect('till_devices', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE');
SELECT crm.protect('device_gaps', 'SELECT, INSERT, UPDATE, DELETE', 'SELECT, INSERT, UPDATE, DELETE');
SELECT crm.protect('visit_receipts', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE');
SELECT crm.protect('customer_visits', 'SELECT, INSERT, UPDATE', 'SELECT, INSERT, UPDATE');

-- Partitions are reached through their parent; nobody but the owner of the migrations touches them directly.
CREATE FUNCTION crm.protect_partition(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY owner_all ON %s TO crm_owner USING (true) WITH CHECK (true)', target);
END $$;
SELECT crm.protect_partition('customer_visits_default');

-- The service may add and detach partitions, which only the owner of a table can, by these functions alone. Rows of that
-- month that waited in the default partition move along.
CREATE FUNCTION make_visit_partition(month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    starts constant timestamptz := date_trunc('month', month::timestamp) AT TIME ZONE 'UTC';
    ends constant timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
    partition constant text := to_char(month, '"customer_visits_y"YYYY"m"MM');
    columns text;
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    SELECT string_agg(quote_ident(attname), ', ') INTO columns FROM pg_attribute
    WHERE attrelid = 'customer_visits'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    EXECUTE format(
        'CREATE TABLE %I (LIKE customer_visits INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)'
        ' WITH (fillfactor = 70)', partition
    );
    LOCK TABLE customer_visits_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format(
        'WITH moved AS (DELETE FROM customer_visits_default WHERE visit_date >= %L AND visit_date < %L RETURNING %s)'
        ' INSERT INTO %I (%s) SELECT %s FROM moved', starts, ends, columns, partition, columns, columns
    );
    EXECUTE format('ALTER TABLE customer_visits ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, starts, ends);
    PERFORM crm.protect_partition(partition::regclass);
    RETURN true;
END $$;

-- Old partitions become tables of their own, for the operator to dump and drop; returns their names.
CREATE FUNCTION detach_visit_partitions(before date) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '5s' AS $$
DECLARE
    partition text;
BEGIN
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'customer_visits'::regclass AND c.relname <> 'customer_visits_default'
          AND to_date(c.relname, '"customer_visits_y"YYYY"m"MM') + interval '1 month' <= before
        ORDER BY c.relname
    LOOP
        EXECUTE format('ALTER TABLE customer_visits DETACH PARTITION %I', partition);
        RETURN NEXT partition;
    END LOOP;
END $$;

-- Months with so many visits in the default partition that they deserve their own.
CREATE FUNCTION crowded_visit_months(fewest bigint) RETURNS SETOF date
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
SELECT date_trunc('month', visit_date AT TIME ZONE 'UTC')::date
FROM customer_visits_default GROUP BY 1 HAVING count(*) >= fewest ORDER BY 1
$$;

REVOKE EXECUTE ON FUNCTION make_visit_partition (date), detach_visit_partitions (date), crowded_visit_months (bigint)
FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format(
        'GRANT EXECUTE ON FUNCTION make_visit_partition(date), detach_visit_partitions(date), crowded_visit_months(bigint)'
        ' TO %I', crm.service_role()
    );
END $$;

SELECT make_visit_partition((date_trunc('month', now()) + make_interval(months => month))::date)
FROM generate_series(-1, 3) AS month;

-- migrate:down
