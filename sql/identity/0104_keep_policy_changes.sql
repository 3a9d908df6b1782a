-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Every change of a cafe's approval policy, step by step: nobody may change or delete a row. A change waits while it has
-- been asked for and nothing else has become of it.
CREATE TABLE policy_steps (
    cafe_id uuid NOT NULL,
    change_id uuid NOT NULL,
    step text NOT NULL CHECK (step IN ('asked', 'applied', 'declined', 'replaced')),
    by_user uuid NOT NULL,
    at timestamptz NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    PRIMARY KEY (cafe_id, change_id, step)
);
CREATE UNIQUE INDEX policy_steps_end ON policy_steps (cafe_id, change_id) WHERE step <> 'asked';
CREATE INDEX policy_steps_time ON policy_steps (cafe_id, at);

SELECT crm.protect('policy_steps', 'SELECT, INSERT', '', 'SELECT, INSERT');

-- migrate:down
