-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- Which cafes have something due, without reading all that is due: in each second the index has each cafe once for whoever
-- jumps from one to the next. A run counts from when it was due and known, so that what a till brings late lies together.
-- They take the places of the indexes by time alone, through which the version before found the same rows; it finds them
-- through these. Built in a transaction, so that a failure leaves nothing half-made: messages wait for the seconds it
-- takes, nobody at a till does.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX journey_runs_turns ON journey_runs (
    date_bin('1 second', greatest(due_at, created_at), timestamptz '2000-01-01 00:00:00+00'), cafe_id, due_at
) WHERE state = 'waiting';
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS journey_runs_due;

-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS idx_deliveries_status;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_deliveries_status ON campaign_deliveries (
    date_bin('1 second', due_at, timestamptz '2000-01-01 00:00:00+00'), cafe_id, due_at
) WHERE delivery_status = 'queued';

-- squawk-ignore require-concurrent-index-creation
CREATE INDEX deliveries_unsettled_turns ON campaign_deliveries (
    delivery_status, date_bin('1 second', check_at, timestamptz '2000-01-01 00:00:00+00'), cafe_id
) WHERE check_at IS NOT NULL;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX IF EXISTS deliveries_unsettled;

-- migrate:down
