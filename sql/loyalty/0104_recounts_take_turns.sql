-- migrate:up
SET lock_timeout = '5s';
SET statement_timeout = '60s';

-- When the last of the cafe's guests were counted anew: next is the cafe that waits longest.
ALTER TABLE recounts ADD COLUMN turn_at timestamptz;

-- migrate:down
