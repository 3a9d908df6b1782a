-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- What a bill asks to spend, and why it was refused, so that the till can ask what became of it.
ALTER TABLE customer_visits
ADD COLUMN points_to_redeem integer NOT NULL DEFAULT 0,
ADD COLUMN redemption_refusal text;

-- migrate:down
