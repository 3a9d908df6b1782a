-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Places where guests are asked without a bill: a table, a branch, the website. The code is what is printed there; whoever
-- reads it may answer, so it is no secret, and it goes on saying where somebody was asked when it is retired.
CREATE TABLE feedback_points (
    cafe_id uuid NOT NULL,
    code text NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('table', 'branch', 'website')),
    branch text,
    table_number varchar(10),
    label varchar(100) NOT NULL,
    created_at timestamptz NOT NULL,
    created_by uuid NOT NULL,
    retired_at timestamptz,
    PRIMARY KEY (cafe_id, code),
    CHECK ((kind = 'table') = (table_number IS NOT NULL))
);

SELECT crm.protect('feedback_points', 'SELECT, INSERT, UPDATE');

-- migrate:down
