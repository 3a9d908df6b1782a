-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Which points of a cafe lapse next. By the moment alone the lots of all cafes are read; lots that never lapse are in
-- neither. Built in a transaction, so that a failure leaves nothing half-made: points wait for the seconds it takes,
-- nobody at a till does.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX point_lots_lapsing ON point_lots (cafe_id, expires_at) WHERE remaining > 0 AND expires_at IS NOT NULL;

-- migrate:down
