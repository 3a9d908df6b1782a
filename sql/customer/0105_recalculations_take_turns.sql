-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- When the cafe's last round of a recalculation began: the next round is that of the cafe that waits longest.
ALTER TABLE segment_recalculations ADD COLUMN turn_at timestamptz;

-- migrate:down
