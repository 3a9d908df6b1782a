-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- When guests entered and left segments, as the customer service told: a multiplier for a segment holds for the bills
-- in between. They stay as long as the bills do, which are counted by them again.
CREATE TABLE segment_moves (
    cafe_id uuid NOT NULL,
    customer_id uuid NOT NULL,
    segment_key text NOT NULL,
    moved_at timestamptz NOT NULL,
    is_member boolean NOT NULL,
    PRIMARY KEY (cafe_id, customer_id, segment_key, moved_at)
);
SELECT crm.protect('segment_moves', 'SELECT', 'SELECT', 'SELECT, INSERT');

-- migrate:down
