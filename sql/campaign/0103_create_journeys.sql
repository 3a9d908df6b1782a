-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

CREATE TYPE journey_trigger_enum AS ENUM ('visit.recorded', 'segment.entered');
CREATE TYPE run_state_enum AS ENUM ('waiting', 'queued', 'cancelled', 'skipped');

CREATE TABLE journeys (
    id uuid NOT NULL,
    cafe_id uuid NOT NULL,
    journey_key varchar(50) NOT NULL,
    name varchar(200) NOT NULL,
    trigger journey_trigger_enum NOT NULL,
    segment_key varchar(50),
    delay_minutes integer NOT NULL CHECK (delay_minutes BETWEEN 0 AND 10080),
    -- A trigger older than this is news to nobody; also the longest a held message waits.
    max_age_minutes integer NOT NULL DEFAULT 1440 CHECK (max_age_minutes BETWEEN 1 AND 43200),
    campaign_id uuid NOT NULL,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, id),
    UNIQUE (cafe_id, journey_key),
    FOREIGN KEY (cafe_id, campaign_id) REFERENCES campaigns (cafe_id, id),
    CHECK ((trigger = 'segment.entered') = (segment_key IS NOT NULL)),
    CHECK (delay_minutes < max_age_minutes)
);

-- One guest's way through one journey. `trigger_id` is the visit, or the segment: a guest is welcomed once.
CREATE TABLE journey_runs (
    cafe_id uuid NOT NULL,
    journey_id uuid NOT NULL,
    trigger_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    state run_state_enum NOT NULL,
    reason varchar(50),
    correlation_id uuid NOT NULL,
    causation_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (cafe_id, journey_id, trigger_id, customer_id),
    FOREIGN KEY (cafe_id, journey_id) REFERENCES journeys (cafe_id, id)
);
CREATE INDEX journey_runs_due ON journey_runs (due_at) WHERE state = 'waiting';
CREATE INDEX journey_runs_customer ON journey_runs (cafe_id, customer_id);

SELECT crm.protect('journeys', 'SELECT, UPDATE');
SELECT crm.protect('journey_runs', 'SELECT');

-- migrate:down
