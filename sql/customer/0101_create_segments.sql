-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- `slot` is the segment's bit in customer_activity.segment_mask; slots 0 to 2 belong to the three system segments. A
-- deleted segment keeps its slot until the last guest has left it.
CREATE TABLE customer_segments (
    cafe_id uuid NOT NULL,
    id uuid NOT NULL,
    slot smallint CHECK (slot BETWEEN 0 AND 62),

    name varchar(100) COLLATE persian NOT NULL,
    description text,
    segment_key varchar(50) NOT NULL CHECK (segment_key ~ '^[a-z][a-z0-9_]*$'),

    criteria jsonb NOT NULL,

    customer_count integer NOT NULL DEFAULT 0 CHECK (customer_count >= 0),
    last_calculated_at timestamptz,

    is_system_segment boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,

    color_hex varchar(7) NOT NULL DEFAULT '#6B7280' CHECK (color_hex ~ '^#[0-9A-Fa-f]{6}$'),
    icon_name varchar(50),
    display_order integer NOT NULL DEFAULT 0,

    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    created_by uuid,
    deleted_at timestamptz,

    PRIMARY KEY (cafe_id, id),
    UNIQUE (cafe_id, slot),
    CHECK (slot IS NOT NULL OR deleted_at IS NOT NULL)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX customer_segments_key ON customer_segments (cafe_id, segment_key) WHERE deleted_at IS NULL;

CREATE TABLE segment_members (
    cafe_id uuid NOT NULL,
    segment_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, segment_id, customer_id)
);

-- One row per stay. A reason is what made us look: a visit, points, time going by, a changed definition and so on.
CREATE TABLE segment_history (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    segment_id uuid NOT NULL,
    entered_at timestamptz NOT NULL,
    reason text NOT NULL,
    left_at timestamptz,
    left_reason text,
    PRIMARY KEY (cafe_id, customer_id, segment_id, entered_at),
    CHECK ((left_at IS NULL) = (left_reason IS NULL))
);

-- When a guest must be judged again although nothing happens. A moment that moved later is left as it is: judging once
-- too early is cheaper than rewriting an indexed row with every visit.
CREATE TABLE segment_due (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, customer_id)
);
CREATE INDEX segment_due_next ON segment_due (due_at);

-- Cafes whose definitions changed and whose guests have not all been judged by the new ones.
CREATE TABLE segment_recalculations (
    cafe_id uuid PRIMARY KEY,
    requested_at timestamptz NOT NULL
);

SELECT crm.protect('customer_segments');
SELECT crm.protect('segment_members', 'SELECT, INSERT, DELETE');
SELECT crm.protect('segment_history');
SELECT crm.protect('segment_due', 'SELECT, INSERT, UPDATE, DELETE');
SELECT crm.protect('segment_recalculations');

-- migrate:down
