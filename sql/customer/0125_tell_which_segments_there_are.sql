-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Whether others have been told how this segment stands: a change takes it away, and a job tells the cafe's whole list.
-- What the version before changes is told with the next change. A few rows per cafe; built in a transaction, so that a
-- failure leaves nothing half-made.
ALTER TABLE customer_segments ADD COLUMN is_told boolean NOT NULL DEFAULT false;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX customer_segments_untold ON customer_segments (cafe_id) WHERE NOT is_told;

-- migrate:down
