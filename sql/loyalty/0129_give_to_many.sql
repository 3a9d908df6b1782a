-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Points for many guests at once: of segments, or what they had in the program before this one. Who gets what is fixed when
-- it is asked for, so that it never comes to more than was seen and approved. A job gives them; what is given goes.
CREATE TABLE grant_runs (
    cafe_id uuid NOT NULL,
    run_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('bonus', 'opening')),
    segment_keys text [] NOT NULL DEFAULT '{}',
    reason text,
    guests integer NOT NULL CHECK (guests > 0),
    total_points bigint NOT NULL CHECK (total_points > 0),
    budget_points bigint,
    state text NOT NULL CHECK (state IN ('pending', 'approved', 'declined', 'done')),
    given integer NOT NULL DEFAULT 0,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL,
    decided_by uuid,
    decided_at timestamptz,
    turn_at timestamptz,
    PRIMARY KEY (cafe_id, run_id),
    CONSTRAINT decided_by_another CHECK (decided_by <> created_by),
    CHECK ((decided_by IS NULL) = (decided_at IS NULL)),
    CHECK (total_points <= budget_points)
);
CREATE INDEX grant_runs_due ON grant_runs (turn_at) WHERE state = 'approved';
CREATE INDEX grant_runs_newest ON grant_runs (cafe_id, created_at);
CREATE TABLE grant_run_guests (
    cafe_id uuid NOT NULL,
    run_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    points bigint NOT NULL CHECK (points > 0),
    PRIMARY KEY (cafe_id, run_id, customer_id)
);
CREATE INDEX grant_run_guests_guest ON grant_run_guests (cafe_id, customer_id);
SELECT crm.protect('grant_runs', 'SELECT, INSERT, UPDATE', '', 'SELECT, INSERT, UPDATE');
SELECT crm.protect('grant_run_guests', 'SELECT, INSERT', '', 'SELECT, INSERT, DELETE');

-- migrate:down
